"""SIGTERM and SIGINT at chosen moments: the step is finished and saved; a second one quits."""

import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from lives import result
from small_commands import (
    at_step,
    in_peace,
    interrupt,
    newest,
    steps_of,
    temporaries,
    train,
    write_text,
)

from phalanx import durable
from phalanx.cli.main import main
from phalanx.tasks import language_modelling
from phalanx.training.average import Average

Capture = pytest.CaptureFixture[str]
CODES = {signal.SIGTERM: 143, signal.SIGINT: 130}
both = pytest.mark.parametrize("number", CODES)


def resume(run: Path) -> int:
    return main(["train", "--resume", str(run)])


def before_call(
    patch: pytest.MonkeyPatch, where: object, name: str, call: int, action: Callable[[], object]
) -> None:
    """Let something happen right before the n-th call (counted from 1) of a function."""
    original, calls = getattr(where, name), 0

    def counted(*arguments: object, **named: object) -> object:
        nonlocal calls
        calls += 1
        if calls == call:
            action()
        return original(*arguments, **named)

    patch.setattr(where, name, counted)


@both
def test_during_a_step(number: signal.Signals, tmp_path: Path, capsys: Capture) -> None:
    text = write_text(tmp_path)
    run = tmp_path / "run"
    with pytest.MonkeyPatch.context() as patch:
        at_step(patch, 7, lambda: interrupt(number))
        assert train(text, run) == CODES[number]
    assert steps_of(newest(run)) == 7  # the step under way, and none after it
    said = capsys.readouterr().err
    assert f"{number.name} after step 7" in said
    assert f"phalanx train --resume {run}" in said
    assert resume(run) == 0
    assert result(run) == in_peace(tmp_path)


@both
def test_during_a_validation(number: signal.Signals, tmp_path: Path) -> None:
    """The one of step 10 is left at once, and made when the run goes on."""
    text = write_text(tmp_path)
    run = tmp_path / "run"
    finished = []
    with pytest.MonkeyPatch.context() as patch:
        judge = language_modelling.evaluate

        def evaluate(*arguments: object) -> language_modelling.Score:
            if len(finished) == 1:
                interrupt(number)
            finished.append(judge(*arguments))  # type: ignore[arg-type]  # as they came
            return finished[-1]

        patch.setattr(language_modelling, "evaluate", evaluate)
        assert train(text, run) == CODES[number]
    assert len(finished) == 1
    assert steps_of(newest(run)) == 10
    assert '"validated": 5,' in (newest(run) / "training.json").read_text()
    assert resume(run) == 0
    assert result(run) == in_peace(tmp_path)


@both
@pytest.mark.parametrize("primitive", ["_write", "_sync", "_rename"])
def test_during_a_save(number: signal.Signals, primitive: str, tmp_path: Path) -> None:
    text = write_text(tmp_path)
    run = tmp_path / "run"
    with pytest.MonkeyPatch.context() as patch:
        at_step(
            patch,
            8,
            lambda: before_call(patch, durable, primitive, 1, lambda: interrupt(number)),
        )
        assert train(text, run) == CODES[number]
    assert steps_of(newest(run)) == 8
    assert not temporaries(run)
    assert resume(run) == 0
    assert result(run) == in_peace(tmp_path)


@both
def test_a_second_one_during_an_update_saves_nothing(
    number: signal.Signals, tmp_path: Path
) -> None:
    """Half of the weights are those of before the step: no checkpoint may be made of them."""
    text = write_text(tmp_path)
    run = tmp_path / "run"
    with pytest.MonkeyPatch.context() as patch:
        at_step(patch, 7, lambda: interrupt(number))
        before_call(patch, Average, "update", 7, lambda: interrupt(number))
        assert train(text, run) == CODES[number]
    assert steps_of(newest(run)) == 5
    assert resume(run) == 0
    assert result(run) == in_peace(tmp_path)


@both
@pytest.mark.parametrize(("primitive", "call"), [("_write", 2), ("_sync", 3), ("_rename", 1)])
def test_a_second_one_during_the_save_leaves_nothing_of_it(
    number: signal.Signals, primitive: str, call: int, tmp_path: Path
) -> None:
    text = write_text(tmp_path)
    run = tmp_path / "run"
    with pytest.MonkeyPatch.context() as patch:
        at_step(
            patch,
            7,
            lambda: interrupt(number),
            lambda: before_call(patch, durable, primitive, call, lambda: interrupt(number)),
        )
        assert train(text, run) == CODES[number]
    assert steps_of(newest(run)) == 5
    assert not temporaries(run)
    assert resume(run) == 0
    assert result(run) == in_peace(tmp_path)


@pytest.fixture
def _as_in_the_foreground() -> Iterator[None]:
    """A program in the background finds Ctrl-C ignored; so may the one that runs the tests."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("_as_in_the_foreground")
def test_one_before_the_first_step_ends_the_program(tmp_path: Path) -> None:
    text = write_text(tmp_path)
    for number, code in CODES.items():
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(
                "phalanx.training.preparing.language_modelling.load_corpus",
                lambda *_, n=number, **__: interrupt(n),
            )
            assert train(text, tmp_path / "run") == code
    assert not (tmp_path / "run").exists()


def test_one_while_the_averaged_weights_are_taken_out_again(tmp_path: Path) -> None:
    """Behind the judging, and still in the validation: nothing of it may be left undone."""
    text = write_text(tmp_path)
    run = tmp_path / "run"
    with pytest.MonkeyPatch.context() as patch:
        copy, calls = torch._foreach_copy_, 0

        def disturbed(*arguments: object) -> None:
            nonlocal calls
            calls += 1
            if calls == 4:  # in and out at the save of step 4, and at the validation of step 5
                interrupt()
            copy(*arguments)

        patch.setattr(torch, "_foreach_copy_", disturbed)
        assert train(text, run) == 143
    assert steps_of(newest(run)) == 5
    assert resume(run) == 0
    assert result(run) == in_peace(tmp_path)
