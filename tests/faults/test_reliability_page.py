"""docs/reliability.md names tests that exist, and every test of a fault is named there."""

import ast
import re
from pathlib import Path

TESTS = Path(__file__).parent.parent
PAGE = (TESTS.parent / "docs" / "reliability.md").read_text(encoding="utf-8")


def names_in(folder: Path) -> set[str]:
    found = set()
    for file in folder.rglob("test_*.py"):
        for node in ast.parse(file.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                found.add(node.name)
    return found


def test_every_test_that_the_page_names_is_there() -> None:
    rows = [line for line in PAGE.splitlines() if line.startswith("| ") and "`test_" in line]
    assert len(rows) >= 25
    for row in rows:
        *_, names = row.rstrip(" |").rpartition(" | ")
        elsewhere = re.match(r"`(tests/\w+)`: ", names)
        folder = TESTS.parent / elsewhere[1] if elsewhere else TESTS / "faults"
        missing = set(re.findall(r"`(test_\w+)`", names)) - names_in(folder)
        assert not missing, (row, missing)


def test_every_row_of_faults_has_a_test() -> None:
    table = PAGE.partition("## Faults")[2].partition("##")[0]
    rows = [line for line in table.splitlines() if line.startswith("| ")][1:]
    assert all("`test_" in row for row in rows), rows


def test_what_may_change_is_what_the_code_lets_change() -> None:
    from phalanx.training.resume import CHANGEABLE

    listed = PAGE.partition("What may change on going on: ")[2].partition(". From\n")[0]
    assert set(re.findall(r"`([a-z_.]+)`", listed)) == CHANGEABLE
