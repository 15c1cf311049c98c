"""Two processes, one run directory: the second refuses."""

import os
import signal
import time
from pathlib import Path

import pytest
from lives import TERMINATED, end_of, live
from small_commands import begun, checkpoints, command, train, write_text

from phalanx import durable
from phalanx.cli.main import main

Capture = pytest.CaptureFixture[str]


def test_the_second_refuses_while_the_first_trains(tmp_path: Path, capsys: Capture) -> None:
    text, run = write_text(tmp_path), tmp_path / "run"
    first = live(command(text, run, steps=1_000_000), tmp_path / "log")
    try:
        while not (run / "metrics.jsonl").exists():
            time.sleep(0.01)
        for more in ((), ("--resume", "auto"), ("--resume", str(run))):
            again = main(["train", *more]) if str(run) in more else train(text, run, *more)
            assert again == 1
            said = capsys.readouterr().err
            assert f"The run {run} is in use by process {first} on" in said
            assert "rm -r" not in said
        assert train(text, run, "--dry-run") == 0
    finally:
        os.kill(first, signal.SIGTERM)
        assert end_of(first) == TERMINATED, (tmp_path / "log").read_text()
    assert train(text, run, "--resume", "auto", steps=1_000_000, train__seconds=0.01) == 0


def test_the_lock_is_what_decides_in_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    """Both have looked and found nobody; one of them is faster."""
    text = write_text(tmp_path)
    old = begun(tmp_path)
    before = checkpoints(old)
    monkeypatch.setattr("phalanx.training.run_directory.check_not_in_use", lambda path: None)
    for run, more in ((tmp_path / "new", ()), (old, ("--resume", "auto"))):
        run.mkdir(exist_ok=True)
        with durable.Lock(run / ".lock", "x"):
            assert train(text, run, *more) == 1
            assert f"The run {run} is in use by process {os.getpid()}" in capsys.readouterr().err
    assert [entry.name for entry in (tmp_path / "new").iterdir()] == [".lock"]
    assert checkpoints(old) == before
    assert train(text, tmp_path / "new") == 0


def test_one_that_began_and_ended_meanwhile_is_not_written_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    """Found free, prepared, and no longer free under the lock."""
    text, run = write_text(tmp_path), tmp_path / "run"
    import phalanx.training.run as preparing

    prepare = preparing.prepare

    def slowly(config: object) -> object:
        monkeypatch.setattr(preparing, "prepare", prepare)
        assert train(text, run, train__learning_rate=0.5) == 0
        return prepare(config)  # type: ignore[arg-type]  # as it came

    monkeypatch.setattr(preparing, "prepare", slowly)
    assert train(text, run) == 2
    assert "exists already" in capsys.readouterr().err
    (tmp_path / "run").rename(tmp_path / "first")
    monkeypatch.setattr(preparing, "prepare", slowly)
    assert train(text, run, "--resume", "auto") == 2  # goes on, if with the same configuration
    assert "train.learning_rate 0.5 -> 0.003" in capsys.readouterr().err
