"""The confusion matrix as a picture: every label and count, two labels or many."""

import re
from xml.etree import ElementTree

import pytest

from phalanx.pages import confusion
from phalanx.pages.confusion import confusion_svg


def texts(svg: bytes) -> str:
    """What the picture says: matplotlib leaves each text beside its outlines as a comment."""
    ElementTree.fromstring(svg)  # it is well-formed
    return "\n".join(re.findall(r"<!-- (.*?) -->", svg.decode()))


def test_counts_and_labels_are_drawn() -> None:
    counts = {("pos", "pos"): 413, ("pos", "neg"): 120, ("neg", "neg"): 434}
    found = texts(confusion_svg(counts, "967 rows")).split("\n")
    for expected in ("413", "120", "434", "967 rows", "right", "given by the model"):
        assert found.count(expected) == 1, expected
    assert found.count("pos") == found.count("neg") == 2  # a row and a column
    assert "0" not in found


def test_the_same_counts_give_the_same_bytes() -> None:
    counts = {("a", "a"): 1, ("b", "a"): 2}
    assert confusion_svg(counts, "x") == confusion_svg(dict(reversed(counts.items())), "x")


def test_labels_with_any_characters_are_drawn_as_they_are() -> None:
    found = texts(confusion_svg({("$x_1$", "a--b"): 1, ("<b>&", "tab\t"): 2, ("y" * 99, "a"): 3}))
    assert "$x_1$" in found
    assert "tab?" in found
    assert f"{'y' * 31}…" in found


def test_of_many_labels_those_that_are_confused_most(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(confusion, "MOST_LABELS", 3)
    counts = {(f"l{n}", f"l{n}"): 9 for n in range(6)} | {("l4", "l2"): 7, ("l5", "l4"): 1}
    found = texts(confusion_svg(counts, "x"))
    assert "3 labels more" in found
    assert set(re.findall(r"\bl\d\b", found)) == {"l2", "l4", "l5"}
