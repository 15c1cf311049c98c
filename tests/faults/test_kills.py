"""Killed anywhere and resumed, a run comes to the same bits as one that was left in peace."""

import random
import signal
from pathlib import Path

import pytest
from lives import DONE, Lives, die_at, disturbed, end_of, live, result, wait, wait_for_step

from phalanx import durable

TEXT = "one two buckle my shoe, three four knock at the door, five six pick up sticks. " * 60
SETTINGS = {
    "steps": 150,
    "train.batch_size": 4,
    "train.micro_batch_size": 3,
    "train.sequence_length": 16,
    "train.evaluate_every": 25,
    "train.checkpoint_every": 10,
    "train.average": 0.99,
    "train.patience": 50,
    "model.width": 16,
    "model.layers": 1,
    "model.dropout": 0.2,
}


def command(folder: Path, preset: str, name: str, **changes: object) -> list[str]:
    text = folder / "text.txt"
    if not text.exists():
        text.write_text(TEXT)
    settings = SETTINGS | {key.replace("__", "."): value for key, value in changes.items()}
    options = [word for key, value in settings.items() for word in (f"--{key}", str(value))]
    start = ["train", str(text), "--preset", preset, "-o", str(folder / name)]
    return [*start, *options, "--resume", "auto"]


def in_peace(folder: Path, preset: str, **changes: object) -> dict[str, object]:
    assert end_of(live(command(folder, preset, "peace", **changes), folder / "log")) == DONE, (
        folder / "log"
    ).read_text()
    return result(folder / "peace")


@pytest.mark.parametrize(
    ("preset", "kills"),
    [
        ("gru", 5),
        ("transformer", 5),
        *[
            pytest.param(name, 20, marks=pytest.mark.slow)
            for name in ("rnn", "lstm", "gru", "mingru", "transformer")
        ],
    ],
)
def test_killed_at_random_moments(preset: str, kills: int, tmp_path: Path) -> None:
    expected = in_peace(tmp_path, preset, steps=30 * kills)
    run, random_state = tmp_path / "killed", random.Random(kills)

    def moment(child: int, lives: Lives) -> int | None:
        step = 30 * len(lives.ends) + random_state.randint(1, 25)
        end = wait_for_step(child, run, step)
        return wait(child, random_state.uniform(0, 0.003)) if end is None else end

    lives = disturbed(
        command(tmp_path, preset, "killed", steps=30 * kills),
        tmp_path / "log",
        moment,
        choose=lambda: signal.SIGKILL,
        enough=lambda lives: len(lives.ends) == kills,
    )
    assert lives.ends == [-signal.SIGKILL] * kills + [DONE], lives.said[-1]
    assert result(run) == expected


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_asked_to_stop_at_random_moments(number: signal.Signals, tmp_path: Path) -> None:
    expected = in_peace(tmp_path, "lstm")
    run, random_state = tmp_path / "stopped", random.Random(1)
    lives = disturbed(
        command(tmp_path, "lstm", "stopped"),
        tmp_path / "log",
        lambda child, lives: wait_for_step(
            child, run, 25 * len(lives.ends) + random_state.randint(1, 20)
        ),
        choose=lambda: number,
        enough=lambda lives: len(lives.ends) == 5,
    )
    assert lives.ends == [128 + number] * 5 + [DONE], lives.said[-1]
    assert result(run) == expected


BOUNDARIES = 28  # of one save of a run, links and the oldest one's end included


@pytest.mark.parametrize(
    "boundaries",
    [
        pytest.param(range(0, 3 * BOUNDARIES, 11), id="some"),
        pytest.param(range(3 * BOUNDARIES), id="all", marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize("preset", ["gru", "transformer"])
def test_killed_at_each_write_fsync_and_rename_of_a_save(
    preset: str, boundaries: range, tmp_path: Path
) -> None:
    changes = {"steps": 30, "train__evaluate_every": 20}
    expected = in_peace(tmp_path, preset, **changes)
    ends = Lives()
    for boundary in boundaries:
        again = command(tmp_path, preset, f"at-{boundary}", **changes)
        ends.ends.append(end_of(live(again, tmp_path / "log", die_at(boundary))))
        assert end_of(live(again, tmp_path / "log")) == DONE, (tmp_path / "log").read_text()
        assert result(tmp_path / f"at-{boundary}") == expected
        for folder in (tmp_path / f"at-{boundary}", tmp_path / f"at-{boundary}" / "checkpoints"):
            assert not list(folder.glob(f"{durable.HIDDEN}*"))
    assert set(ends.ends) == {-signal.SIGKILL}
