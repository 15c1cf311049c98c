"""`phalanx train --resume`: what may be otherwise when a run goes on, and what is said about it."""

from pathlib import Path

import pytest
from small_runs import RHYME

from phalanx.cli.main import main
from phalanx.config import RunConfig
from phalanx.errors import UsageError
from phalanx.training.resume import CHANGEABLE, SAME_RUN, changes
from phalanx.training.run_directory import check_free

QUICK = ["--preset", "rnn", "--model.width", "8", "--model.layers", "1"]
QUICK += ["--train.sequence_length", "16", "--train.batch_size", "4", "--steps", "3"]
Capture = pytest.CaptureFixture[str]


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "rhyme.txt"
    path.write_text(RHYME * 10)
    return path


@pytest.fixture
def run(text: Path, tmp_path: Path, capsys: Capture) -> Path:
    path = tmp_path / "run"
    assert main(["train", str(text), *QUICK, "-o", str(path)]) == 0
    capsys.readouterr()
    return path


def test_a_run_goes_on_with_its_text_at_another_place(
    run: Path, text: Path, capsys: Capture
) -> None:
    text = text.rename(text.with_name("moved.txt"))
    assert main(["train", str(text), "--resume", str(run)]) == 0
    said = capsys.readouterr().err
    assert "changed: data.paths" in said
    assert "not the run that it would have been" not in said
    assert main(["train", "--resume", str(run)]) == 0  # the new place is in its configuration
    text.write_text("and a word more " + RHYME * 10)
    assert main(["train", "--resume", str(run)]) == 2
    assert "the text is not the one" in capsys.readouterr().err


def test_a_change_that_makes_another_course_of_it_is_said(run: Path, capsys: Capture) -> None:
    assert main(["train", "--resume", str(run), "--steps", "4", "--train.keep", "7"]) == 0
    lines = capsys.readouterr().err.splitlines()
    (steps,) = (line for line in lines if "train.steps 3 -> 4" in line)
    (keep,) = (line for line in lines if "train.keep 2 -> 7" in line)
    assert "not the run that it would have been" in steps
    assert "not the run that it would have been" not in keep


def test_another_run_is_refused(run: Path, capsys: Capture) -> None:
    assert main(["train", "--resume", str(run), "--train.learning_rate", "0.5"]) == 2
    assert "train.learning_rate 0.003 -> 0.5" in capsys.readouterr().err


@pytest.mark.parametrize("inside", ["last", "checkpoints", "checkpoints/step-00000003"])
def test_a_place_inside_of_a_run_leads_to_it(run: Path, inside: str, capsys: Capture) -> None:
    assert main(["train", "--resume", str(run / inside)]) == 2
    assert f"Did you mean the run it lies in, {run}?" in capsys.readouterr().err


def test_a_place_where_no_run_can_be_is_refused(text: Path) -> None:
    with pytest.raises(UsageError, match=f"cannot be made.*which {text} is not"):
        check_free(text / "runs" / "new")
    check_free(text.parent / "runs" / "new")


def test_what_may_change_is_configuration() -> None:
    values = RunConfig().model_dump()
    assert all(key in values[section] for section, key in (k.split(".") for k in CHANGEABLE))
    assert SAME_RUN < CHANGEABLE


def test_equal_configurations_have_no_changes() -> None:
    assert changes(RunConfig(), RunConfig()) == []
    with pytest.raises(UsageError, match="seed 0 -> 1"):
        changes(RunConfig(), RunConfig(seed=1))
