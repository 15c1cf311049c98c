"""Records read back: whole, while they are written, torn, damaged, and with what is not known."""

import json
import math
from pathlib import Path

import pytest

from phalanx.errors import UsageError
from phalanx.training.history import FILE_NAME, read, read_outline

STEPS = [{"kind": "step", "step": n, "loss": 3.0 / n, "seconds": n * 0.5} for n in range(1, 6)]
VALIDATION = {"kind": "validation", "step": 5, "loss": 1.5, "best": True, "bits_per_byte": None}
END = {"kind": "end", "reason": "steps", "step": 5}


def write(directory: Path, *lines: object, tail: str = "") -> Path:
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (directory / FILE_NAME).write_text(text + tail)
    return directory


def test_a_record_is_read_back(tmp_path: Path) -> None:
    checkpoint, resume = {"kind": "checkpoint", "step": 4}, {"kind": "resume", "step": 4}
    history = read(write(tmp_path, *STEPS, VALIDATION, checkpoint, resume, END))
    assert list(history.steps["step"]) == [1, 2, 3, 4, 5]
    assert list(history.steps["loss"]) == [3.0 / n for n in range(1, 6)]
    assert history.validations.last("loss") == 1.5
    assert history.checkpoints.last("step") == history.resumes.last("step") == 4
    assert history.end is not None
    assert history.end["reason"] == "steps"


def test_figures_that_are_missing_or_no_numbers_are_nan(tmp_path: Path) -> None:
    rows = [{"kind": "step", "loss": None}, {"kind": "step", "rate": 0.5, "loss": "high"}]
    history = read(write(tmp_path, *rows, {"kind": "step", "rate": float("inf"), "loss": 1}))
    assert [math.isnan(v) for v in history.steps["loss"]] == [True, True, False]
    assert [math.isnan(v) for v in history.steps["rate"]] == [True, False, True]
    assert [math.isnan(v) for v in history.steps["unheard of"]] == [True, True, True]
    assert history.steps.last("rate") is None
    assert history.validations.last("loss") is None


def test_unknown_kinds_are_ignored(tmp_path: Path) -> None:
    history = read(write(tmp_path, {"kind": "weather"}, {"kind": ["step"]}, {}, *STEPS))
    assert history.steps.rows == 5


@pytest.mark.parametrize("tail", ['{"kind": "step", "st', '{"kind": "validation"', "\0\0\0"])
def test_a_torn_last_line_is_passed_over(tmp_path: Path, tail: str) -> None:
    write(tmp_path, *STEPS, tail=tail)
    for history in (read(tmp_path), read_outline(tmp_path)):
        assert history.steps.last("step") == 5
        assert history.validations.rows == 0


@pytest.mark.parametrize("damage", ["nonsense", "[1, 2]", "5", "", '{"kind": ' + "[" * 100_000])
def test_a_damaged_line_is_named(tmp_path: Path, damage: str) -> None:
    write(tmp_path, *STEPS[:2], tail=damage + "\n" + json.dumps(END) + "\n")
    for reader in (read, read_outline):
        with pytest.raises(UsageError, match=rf"{FILE_NAME}:3: not a JSON object"):
            reader(tmp_path)


def test_a_missing_record_says_what_was_expected(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="Expected the record of a run"):
        read(tmp_path)


def test_an_outline_has_all_but_the_steps_before_the_last(tmp_path: Path) -> None:
    whole, outline = read(write(tmp_path, *STEPS, VALIDATION, END)), read_outline(tmp_path)
    assert outline.steps.rows == 1
    assert all(outline.steps.last(name) == whole.steps.last(name) for name in ("step", "loss"))
    assert outline.validations["loss"] == whole.validations["loss"]
    assert outline.end == whole.end
