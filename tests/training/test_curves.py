"""The picture of runs: same bytes for same records, every odd run drawn, no file destroyed."""

import math
import re
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from phalanx.errors import PhalanxError, UsageError
from phalanx.palette import SERIES
from phalanx.training.curves import Curve, check_target, draw_curves, make_curve
from phalanx.training.history import History


def history(steps: int, *, every: int = 10, lost: tuple[int, ...] = ()) -> History:
    found = History()
    for n in range(1, steps + 1):
        place = {"step": float(n), "tokens": n * 64.0, "seconds": n * 0.5}
        loss = math.nan if n in lost else 4.0 / math.sqrt(n) + 0.1 * math.sin(n * 12.9898)
        found.steps.append({**place, "loss": loss, "rate": 1 / n, "gradient_norm": 2.0})
        if every and n % every == 0:
            scores = {"loss": 4.1 / math.sqrt(n), "bits_per_byte": 6.0 / math.sqrt(n)}
            found.validations.append({**place, **scores})
    return found


def draw(path: Path, *curves: Curve, y: str = "loss") -> bytes:
    draw_curves(curves, path, "steps", y)  # type: ignore[arg-type]
    return path.read_bytes()


def test_the_same_records_give_the_same_bytes(tmp_path: Path) -> None:
    curves = [make_curve(name, history(60), "tokens", "loss") for name in ("a", "b")]
    for suffix in (".svg", ".png"):
        first, second = tmp_path / f"1{suffix}", tmp_path / f"2{suffix}"
        assert draw(first, *curves) == draw(second, *curves)
        assert draw(first, *curves[:1]) != second.read_bytes()  # over a picture of its own
    assert ElementTree.parse(tmp_path / "1.svg").getroot().tag.endswith("svg")
    assert (tmp_path / "1.png").read_bytes().startswith(b"\x89PNG")


ODD = {
    "one point": history(1, every=0),
    "no validations": history(30, every=0),
    "NaN among the losses": history(30, lost=(1, 7, 8, 30)),
    "only validations": History(validations=history(30).validations),
    "nothing but NaN": history(3, every=0, lost=(1, 2, 3)),
}


@pytest.mark.parametrize("name", [name for name in ODD if name != "nothing but NaN"])
def test_an_odd_run_is_drawn_alone_and_beside_others(tmp_path: Path, name: str) -> None:
    curve = make_curve(name, ODD[name], "steps", "loss")
    assert b"<svg" in draw(tmp_path / "alone.svg", curve)
    assert b"<svg" in draw(
        tmp_path / "all.svg", *(make_curve(n, h, "steps", "loss") for n, h in ODD.items())
    )


def test_without_a_figure_it_says_so(tmp_path: Path) -> None:
    curve = make_curve("x", ODD["nothing but NaN"], "steps", "loss")
    with pytest.raises(UsageError, match="none of the runs has loss on record"):
        draw(tmp_path / "a.svg", curve)
    curve = make_curve("x", history(5, every=0), "steps", "bits_per_byte")
    with pytest.raises(UsageError, match="bits per byte"):
        draw(tmp_path / "a.svg", curve, y="bits_per_byte")
    assert not (tmp_path / "a.svg").exists()


NAMES = ("莎士比亚", "_hidden", "$\\frac{1}$", "a$b", "<&>", "\U00013000\u0001", "x" * 300)


@pytest.mark.parametrize("name", NAMES)
def test_no_name_breaks_the_picture(tmp_path: Path, name: str) -> None:
    curve = make_curve(name, history(20), "steps", "loss")
    other = make_curve("y" * len(name), history(20), "steps", "loss")
    drawn = draw(tmp_path / "a.svg", curve)
    ElementTree.fromstring(drawn)
    assert drawn != draw(tmp_path / "b.svg", other)  # the name is there, whatever it is


def test_the_smooth_curve_is_a_mean_that_does_not_lag(tmp_path: Path) -> None:
    found = History()
    for n in range(1000):
        found.steps.append({"step": float(n), "loss": 10.0 - n * 0.01 + (-1) ** n})
    x, y = make_curve("a", found, "steps", "loss").smooth
    middle = slice(100, 900)
    assert np.abs(y[middle] - (10.0 - x[middle] * 0.01)).max() < 0.05  # raw is off by 1
    assert y[0] == found.steps["loss"][0]


def test_the_speed_comes_from_two_steps() -> None:
    curve = make_curve("a", history(5), "steps", "tokens_per_second")
    assert list(curve.raw[0]) == [2, 3, 4, 5]
    assert list(curve.raw[1]) == [128.0] * 4


def test_long_records_make_small_files_that_keep_the_spikes(tmp_path: Path) -> None:
    found = History()
    for n in range(20_000):
        loss = 2.5 if n == 12_345 else 2.0 + 0.1 * (n % 2)
        found.steps.append({"step": float(n), "loss": loss})
    curve = make_curve("a", found, "steps", "loss")
    drawn = draw(tmp_path / "a.svg", curve)
    assert len(drawn) < 150_000
    x, y = curve.raw
    calm = replace(curve, raw=(x, np.minimum(y, 2.1)))  # the same smooth curve
    assert draw(tmp_path / "b.svg", calm) != drawn


def colours(drawn: bytes) -> list[str]:
    return re.findall(r'stroke: (#[0-9a-f]{6})[^"]*stroke-width: 1.8', drawn.decode())


def test_a_run_keeps_its_colour_beside_one_without_the_figure(tmp_path: Path) -> None:
    bare = make_curve("bare", history(20, every=0), "steps", "bits_per_byte")
    full = make_curve("full", history(20), "steps", "bits_per_byte")
    drawn = draw(tmp_path / "a.svg", bare, full, y="bits_per_byte")
    assert set(colours(drawn)) == {SERIES[1]}


def test_more_runs_than_colours_are_told_apart(tmp_path: Path) -> None:
    curves = [make_curve(str(n), history(20, every=0), "steps", "loss") for n in range(9)]
    drawn = draw(tmp_path / "a.svg", *curves).decode()
    lines = re.findall(rf"stroke: {SERIES[0]}; stroke-width: 1.8", drawn)
    dashed = re.findall(rf'stroke-dasharray[^"]*stroke: {SERIES[0]}; stroke-width: 1.8', drawn)
    assert (len(lines), len(dashed)) == (4, 2)  # two curves, each with a line in the legend


def test_many_validations_do_not_hide_the_curve(tmp_path: Path) -> None:
    drawn = draw(tmp_path / "a.svg", make_curve("a", history(400, every=1), "steps", "loss"))
    marks = re.findall(rb'<use [^>]*style="fill: #d5622a', drawn)
    assert 10 < len(marks) <= 26  # the legend's among them


def test_a_loss_that_falls_far_is_shown_in_ratios(tmp_path: Path) -> None:
    """Equal ratios are equal distances: the paths of 8, 4, 2 go down in equal steps."""
    found = History()
    for n in range(3):
        found.validations.append({"step": float(n), "loss": 8.0 / 2**n})
    drawn = draw(tmp_path / "a.svg", make_curve("a", found, "steps", "loss")).decode()
    marks = [float(y) for y in re.findall(r'<use [^>]*y="([\d.]+)" style="fill: #d5622a', drawn)]
    assert marks[1] - marks[0] == pytest.approx(marks[2] - marks[1], rel=1e-3)


@pytest.mark.parametrize("content", [b"notes", b"\x00\x01", b"PK\x03\x04", b"<html>"])
def test_what_is_no_picture_is_left_alone(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "thesis.svg"
    path.write_bytes(content)
    with pytest.raises(UsageError, match="is no picture"):
        draw(path, make_curve("a", history(5), "steps", "loss"))
    assert path.read_bytes() == content


def test_places_that_cannot_be_written_are_named(tmp_path: Path) -> None:
    curve = make_curve("a", history(5), "steps", "loss")
    with pytest.raises(UsageError, match=r"expected \.svg or \.png"):
        check_target(tmp_path / "a.jpg")
    (tmp_path / "folder.svg").mkdir()
    with pytest.raises(UsageError, match="is no picture"):
        check_target(tmp_path / "folder.svg")
    with pytest.raises(PhalanxError, match="nowhere"):
        draw(tmp_path / "nowhere" / "a.svg", curve)
