"""`phalanx plot`: pictures of runs from the command line."""

import json
from pathlib import Path

import pytest

from phalanx.cli.main import main
from phalanx.cli.plot import legend

Capture = pytest.CaptureFixture[str]


def make_run(path: Path, steps: int = 12, every: int = 4) -> Path:
    path.mkdir(parents=True)
    (path / "config.yaml").write_text("preset: gru\n")
    with (path / "metrics.jsonl").open("w") as file:
        for n in range(1, steps + 1):
            place = {"step": n, "tokens": n * 64, "seconds": n * 0.5}
            line = {"kind": "step", **place, "loss": 3.0 / n, "rate": 1.0, "gradient_norm": 1.0}
            file.write(json.dumps(line) + "\n")
            if every and n % every == 0:
                score = {"kind": "validation", **place, "loss": 4.0 / n, "bits_per_byte": 5.0 / n}
                file.write(json.dumps(score) + "\n")
    return path


def test_runs_and_folders_of_runs_are_drawn(tmp_path: Path, capsys: Capture) -> None:
    one, _ = make_run(tmp_path / "one"), make_run(tmp_path / "more" / "two")
    picture = tmp_path / "a.svg"
    command = ["plot", str(one), str(tmp_path / "more"), "-o", str(picture)]
    assert main(command) == 0
    assert capsys.readouterr().out == f"{picture}\n"
    first = picture.read_bytes()
    assert main(command) == 0  # over its own picture
    assert picture.read_bytes() == first
    assert main(["plot", str(one), "-o", str(picture)]) == 0
    assert picture.read_bytes() != first


def test_every_figure_and_every_axis(tmp_path: Path, capsys: Capture) -> None:
    run = make_run(tmp_path / "run")
    figures = ("loss", "bits_per_byte", "rate", "gradient_norm", "tokens_per_second")
    pairs = [("steps", y) for y in figures] + [("tokens", "loss"), ("seconds", "loss")]
    drawn = set()
    for x, y in pairs:
        picture = tmp_path / f"{x}-{y}.svg"
        assert main(["plot", str(run), "-o", str(picture), "--x", x, "--y", y]) == 0
        drawn.add(picture.read_bytes())
    assert len(drawn) == len(pairs)


def test_a_run_without_the_figure_is_named(tmp_path: Path, capsys: Capture) -> None:
    runs = [str(make_run(tmp_path / "full")), str(make_run(tmp_path / "bare", every=0))]
    picture = str(tmp_path / "a.png")
    assert main(["plot", *runs, "-o", picture, "--y", "bits_per_byte"]) == 0
    assert capsys.readouterr().err == "bare: no bits per byte on record\n"


def test_what_cannot_be_drawn_is_said(tmp_path: Path, capsys: Capture) -> None:
    run = make_run(tmp_path / "run")
    (tmp_path / "notes.svg").write_text("my notes")
    (tmp_path / "empty").mkdir()
    broken = make_run(tmp_path / "broken")
    (broken / "metrics.jsonl").write_text("nonsense\n{}\n")
    new = str(tmp_path / "new.svg")
    for words, said in (
        ([], "no run to draw"),
        ([str(tmp_path / "empty"), "-o", new], "no run to draw"),
        ([str(tmp_path / "missing"), "-o", new], "no such folder"),
        ([str(run), "-o", str(tmp_path / "notes.svg")], "is no picture"),
        ([str(run), "-o", str(tmp_path / "a.pdf")], "expected .svg or .png"),
        ([str(broken), "-o", new], "metrics.jsonl:1: not a JSON object"),
        ([str(run), "-o", new, "--y", "losses"], "loss"),
    ):
        assert main(["plot", *words]) == 2, words
        error = capsys.readouterr().err
        assert said in error
        assert "Traceback" not in error
    assert not Path(new).exists()
    assert (tmp_path / "notes.svg").read_text() == "my notes"


def test_names_as_long_as_it_takes_to_tell_runs_apart(tmp_path: Path) -> None:
    paths = [Path("runs/a/x"), Path("runs/b/x"), Path("runs/b/y")]
    assert list(legend(paths).values()) == ["a/x", "b/x", "b/y"]
    assert list(legend(paths[1:]).values()) == ["x", "y"]
