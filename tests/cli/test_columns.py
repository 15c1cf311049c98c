"""Options that name columns: one of another task's files is refused, not passed over."""

import pytest

from phalanx.cli.columns import check_columns
from phalanx.cli.main import main
from phalanx.errors import UsageError


def test_only_columns_of_the_task_pass() -> None:
    check_columns("translation", ["source_column", "target_column", "encoding_errors", "paths"])
    check_columns("tagging", ["text_column", "tag_column"])
    with pytest.raises(UsageError, match="--text-column: translation has no such column"):
        check_columns("translation", ["source_column", "text_column"])
    with pytest.raises(UsageError, match=r"--label-column: tagging has .* --tag-column and --text"):
        check_columns("tagging", ["label_column"])


def test_a_comparison_refuses_a_column_of_another_task(capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["compare", "lstm", "--task", "tagging", "--label-column", "x"]
    assert main(asked) == 2
    assert "--label-column: tagging has no such column" in capsys.readouterr().err
