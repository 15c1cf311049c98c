"""The record of a run: what a line is, what a resumed run cuts off, and a disk that is full."""

import io
import json
import math
import os
from pathlib import Path

import pytest

from phalanx.errors import PhalanxError, UsageError
from phalanx.training.events import Checkpoint, End, Resume
from phalanx.training.metrics import FILE_NAME, JsonLines, MetricsLog
from phalanx.training.trainer import Step, Validation


def step(number: int) -> Step:
    return Step(number, number * 64, number * 0.5, 3.0 / number, 1.0, 0.25)


def validation(number: int, loss: float = 2.0) -> Validation:
    scores = {"loss": loss, "perplexity": math.exp(loss)}
    return Validation(number, number * 64, number * 0.5, 2.5, scores, best=True)


def record(directory: Path, last: int, every: int = 4) -> Path:
    """The record of a run of ``last`` steps with validations and checkpoints."""
    with MetricsLog(directory) as log:
        for number in range(1, last + 1):
            log.write(step(number))
            if number % every == 0:
                log.write(validation(number))
                log.write(Checkpoint(number, best=True))
    return directory / FILE_NAME


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_line_holds_the_kind_the_figures_and_the_scores(tmp_path: Path) -> None:
    with MetricsLog(tmp_path) as log:
        log.write(step(1))
        log.write(Validation(1, 64, 0.5, 2.5, {"loss": math.inf, "perplexity": math.nan}))
        log.write(Checkpoint(1, best=False))
        log.write(Resume(1, 64, 0.5))
        log.write(End("diverged", 1, 64, 0.5))
        first, scored, *others = lines(tmp_path / FILE_NAME)  # there before the log is closed
    assert {"kind": "step", "step": 1, "tokens": 64, "seconds": 0.5, "loss": 3.0}.items() <= (
        first.items()
    )
    assert scored["kind"] == "validation"
    assert (scored["loss"], scored["perplexity"], scored["best"]) == (None, None, False)
    assert "scores" not in scored
    assert [line["kind"] for line in others] == ["checkpoint", "resume", "end"]
    assert others[2]["reason"] == "diverged"


def test_json_lines_are_the_lines_of_the_record(tmp_path: Path) -> None:
    stream = io.StringIO()
    events = [step(1), validation(1, math.nan), Checkpoint(1, best=True)]
    with MetricsLog(tmp_path) as log:
        for event in events:
            log.write(event)
            JsonLines(pytest.fail, stream).write(event)
    assert stream.getvalue() == (tmp_path / FILE_NAME).read_text()


def test_a_reader_of_the_lines_that_leaves_is_told_of_once() -> None:
    source, sink = os.pipe()
    told: list[bool] = []
    os.close(source)
    with open(sink, "w", closefd=False) as stream:
        lines = JsonLines(lambda: told.append(True), stream)
        assert not lines.closed
        for number in (1, 2):
            lines.write(step(number))
        os.dup2(os.open(os.devnull, os.O_WRONLY), sink)  # for what the stream still holds
    assert lines.closed
    assert told == [True]


@pytest.mark.parametrize("lost", [None, 7])
def test_a_resumed_record_is_that_of_a_run_that_never_stopped(
    tmp_path: Path, lost: int | None
) -> None:
    (tmp_path / "a").mkdir()
    whole = record(tmp_path / "a", 12)
    (tmp_path / "b").mkdir()
    path = record(tmp_path / "b", 11)
    if lost is not None:
        path.write_bytes(path.read_bytes()[:-lost])
    else:
        with MetricsLog(tmp_path / "b") as log:
            log.write(End("interrupted", 11, 704, 5.5))
    with MetricsLog(tmp_path / "b", resume_at=8) as log:
        log.write(Resume(8, 512, 4.0))
        for number in range(9, 13):
            log.write(step(number))
        log.write(validation(12))
        log.write(Checkpoint(12, best=True))
    assert [line for line in lines(path) if line["kind"] != "resume"] == lines(whole)


def test_a_last_line_without_its_end_is_cut(tmp_path: Path) -> None:
    """It reads as whole, and the next one would be written behind it."""
    path = record(tmp_path, 3)
    path.write_bytes(path.read_bytes()[:-1])
    MetricsLog(tmp_path, resume_at=3)
    assert len(lines(path)) == 2


def test_the_end_goes_where_nothing_else_is_cut(tmp_path: Path) -> None:
    path = record(tmp_path, 4)
    before = path.read_bytes()
    with MetricsLog(tmp_path) as log:
        log.write(End("interrupted", 4, 256, 2.0))
    MetricsLog(tmp_path, resume_at=4)
    assert path.read_bytes() == before


def test_a_validation_goes_that_the_checkpoint_did_not_know(tmp_path: Path) -> None:
    """The checkpoint at step 4 was made before its validation, which is made again."""
    path = record(tmp_path, 4)
    MetricsLog(tmp_path, resume_at=4, validated=0)
    assert [line["kind"] for line in lines(path)] == ["step"] * 4


def test_resuming_without_a_record_begins_one(tmp_path: Path) -> None:
    with MetricsLog(tmp_path, resume_at=3) as log:
        log.write(Resume(3, 192, 1.5))
    assert len(lines(tmp_path / FILE_NAME)) == 1


def test_damage_at_the_end_is_cut_and_in_the_middle_named(tmp_path: Path) -> None:
    path = record(tmp_path, 3)
    good = path.read_bytes()
    path.write_bytes(good + b"\0" * 50 + b"\nnonsense\n")
    MetricsLog(tmp_path, resume_at=3)
    assert path.read_bytes() == good
    path.write_bytes(b"nonsense\n" + good)
    with pytest.raises(UsageError, match=r"metrics\.jsonl:1: not a JSON object"):
        MetricsLog(tmp_path, resume_at=3)
    assert path.read_bytes() == b"nonsense\n" + good


def test_a_full_disk_is_named(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full on this system")
    (tmp_path / FILE_NAME).symlink_to("/dev/full")
    with MetricsLog(tmp_path) as log, pytest.raises(PhalanxError, match=r"metrics\.jsonl.*space"):
        log.write(step(1))


def test_a_line_that_does_not_fit_leaves_no_part_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = record(tmp_path, 2)
    before = path.read_bytes()
    write = __import__("os").write
    calls = []

    def fills_up(file: int, data: bytes) -> int:
        calls.append(file)
        if len(calls) > 1:
            raise OSError(28, "No space left on device")
        return int(write(file, data[:10]))

    with MetricsLog(tmp_path) as log:
        monkeypatch.setattr("phalanx.training.metrics.os.write", fills_up)
        with pytest.raises(PhalanxError, match="Free some space"):
            log.write(step(3))
    assert path.read_bytes() == before
