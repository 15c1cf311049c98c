"""`phalanx runs`: what the table says of runs in every state."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from phalanx.cli.main import main
from phalanx.cli.runs import ago
from phalanx.durable import Lock
from phalanx.pages import console

Capture = pytest.CaptureFixture[str]


def make_run(
    path: Path, *, loss: float | None = 1.5, end: str | None = "steps", saved: bool = True
) -> Path:
    path.mkdir(parents=True)
    (path / "config.yaml").write_text(
        "preset: transformer\nmodel: {mixers: [attention]}\ntrain: {steps: 100}\n"
    )
    step = {"kind": "step", "step": 50, "tokens": 5000, "seconds": 2.0, "loss": 2.5}
    lines: list[dict[str, object]] = [{**step, "step": 49}, step]
    if loss is not None:
        scored = {"kind": "validation", "step": 50, "training_loss": 2.25, "bits_per_byte": 3.5}
        lines += [{**scored, "loss": loss}, {**scored, "loss": loss + 1, "bits_per_byte": 9.0}]
    if end is not None:
        lines.append({"kind": "end", "reason": end, "step": 50})
    (path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    if saved:
        (path / "last").mkdir()
        (path / "last" / "training.json").write_text("{}")
        save_file({"a": np.zeros((30, 40)), "b": np.zeros(34)}, path / "last" / "model.safetensors")
    return path


def listed(capsys: Capture, *words: str) -> list[dict[str, object]]:
    assert main(["runs", *words, "--json"]) == 0
    found: list[dict[str, object]] = json.loads(capsys.readouterr().out)["runs"]
    return found


def test_the_figures_of_a_run(tmp_path: Path, capsys: Capture) -> None:
    path = make_run(tmp_path / "one")
    (found,) = listed(capsys, str(tmp_path))
    assert found.pop("modified")
    assert found == {
        "path": str(path),
        "status": "done",
        "problem": None,
        "model": "transformer",
        "parameters": 1234,
        "step": 50,
        "steps": 100,
        "training_loss": 2.25,
        "best_loss": 1.5,
        "bits_per_byte": 3.5,
        "tokens_per_second": 2500.0,
        "seconds": 2.0,
    }


def test_the_table_fits_a_hundred_columns(tmp_path: Path, capsys: Capture) -> None:
    for name in ("one", "x" * 90, "莎士比亚" * 9):
        make_run(tmp_path / "far" / name)
    make_run(tmp_path / "bare", loss=None, end=None, saved=False)
    assert main(["runs", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= 100
    row = next(line for line in out.splitlines() if "far/one" in line)
    assert row.split() == [
        *("far/one", "transformer", "1.23k", "50/100", "2.250", "1.500", "3.50", "2.50k"),
        *("0:02", "done", "now"),
    ]


@pytest.mark.parametrize(
    ("width", "figures"),
    [
        (60, "valid"),
        (80, "step train valid time"),
        (100, "params step train valid bits/B tok/s time"),
    ],
)
def test_a_narrow_terminal_shows_fewer_figures_and_no_half_ones(
    tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch, width: int, figures: str
) -> None:
    make_run(tmp_path / "one", end="diverged")
    make_run(tmp_path / ("x" * 90))
    monkeypatch.setattr(console, "WIDTH", width)  # of what is no terminal
    assert main(["runs", str(tmp_path)]) == 0
    head = next(line for line in capsys.readouterr().out.splitlines() if "status" in line)
    assert head.split() == ["run", "model", *figures.split(), "status", "when"]


def test_every_state(tmp_path: Path, capsys: Capture) -> None:
    make_run(tmp_path / "done", end="patience")
    make_run(tmp_path / "stopped", end="interrupted")
    make_run(tmp_path / "killed", end=None)
    make_run(tmp_path / "diverged", end="diverged")
    make_run(tmp_path / "failed", end=None, saved=False)
    make_run(tmp_path / "running", end=None)
    make_run(tmp_path / "torn", end=None)
    with (tmp_path / "torn" / "metrics.jsonl").open("a") as file:
        file.write('{"kind": "st')
    make_run(tmp_path / "damaged")
    (tmp_path / "damaged" / "metrics.jsonl").write_text("nonsense\n{}\n")
    make_run(tmp_path / "headless")
    (tmp_path / "headless" / "config.yaml").write_text("[1\x00")
    (tmp_path / "idle lock").mkdir()
    make_run(tmp_path / "idle lock" / "unlocked")
    (tmp_path / "idle lock" / "unlocked" / ".lock").write_text("1 here\n")
    with Lock(tmp_path / "running" / ".lock", "it"):
        found = {Path(str(run["path"])).name: run for run in listed(capsys, str(tmp_path))}
    assert {name: run["status"] for name, run in found.items()} == {
        "done": "done",
        "stopped": "stopped",
        "killed": "stopped",
        "diverged": "diverged",
        "failed": "failed",
        "running": "running",
        "torn": "stopped",
        "damaged": "damaged",
        "headless": "damaged",
        "unlocked": "done",
    }
    assert main(["runs", str(tmp_path)]) == 0
    said = capsys.readouterr().err.splitlines()
    assert sorted(line[:8] for line in said) == ["What is ", "damaged:", "damaged:"]
    assert any("metrics.jsonl:1: not a JSON object" in line for line in said)
    assert any("--resume" in line for line in said)


def test_sorted_by_loss_or_by_time(tmp_path: Path, capsys: Capture) -> None:
    for age, (name, loss) in enumerate({"b": 2.0, "none": None, "a": 1.0, "c": 3.0}.items()):
        path = make_run(tmp_path / name, loss=loss)
        os.utime(path / "metrics.jsonl", (1e9 - age, 1e9 - age))

    def names(*words: str) -> list[str]:
        return [Path(str(run["path"])).name for run in listed(capsys, str(tmp_path), *words)]

    assert names() == ["a", "b", "c", "none"]
    assert names("--sort", "time") == ["b", "none", "a", "c"]


def test_runs_are_found_three_folders_deep(tmp_path: Path, capsys: Capture) -> None:
    make_run(tmp_path / "a" / "b" / "c")
    make_run(tmp_path / "a" / "b" / "d" / "e")
    make_run(tmp_path / ".hidden" / "f")
    make_run(tmp_path / "g" / "inside" / "h").parent.joinpath("metrics.jsonl").touch()
    found = {Path(str(run["path"])).name for run in listed(capsys, str(tmp_path))}
    assert found == {"c", "inside"}  # what is inside a run is its own affair
    assert [run["path"] for run in listed(capsys, str(tmp_path / "a" / "b" / "c"))] == [
        str(tmp_path / "a" / "b" / "c")
    ]


def test_mixers_other_than_the_presets_are_named(tmp_path: Path, capsys: Capture) -> None:
    path = make_run(tmp_path / "run")
    models = {
        "{preset: gpt2, model: {mixers: [attention]}}": "gpt2",
        "{preset: transformer, model: {mixers: [mingru, attention]}}": "mingru/attention",
        "{preset: transformer, model: {mixers: [lstm]}}": "lstm",
        "{preset: gru}": "gru",
        "{preset: [1], model: 3, train: 4}": None,
    }
    for config, model in models.items():
        (path / "config.yaml").write_text(config)
        (found,) = listed(capsys, str(path))
        assert found["model"] == model


def test_no_runs_and_no_folder(
    tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["runs"]) == 0
    assert "no runs here yet" in capsys.readouterr().err
    assert main(["runs", "nowhere"]) == 2
    assert "nowhere: no such folder" in capsys.readouterr().err


def test_listing_does_not_wait_for_torch(tmp_path: Path) -> None:
    make_run(tmp_path / "one")
    code = (
        "import sys; from phalanx.cli.main import main; "
        f"main(['runs', {str(tmp_path)!r}]); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_how_long_ago() -> None:
    given = (5, 60, 3599, 7300, 2 * 86400)
    assert [ago(seconds) for seconds in given] == ["now", "1 min", "59 min", "2 h", "2 d"]
