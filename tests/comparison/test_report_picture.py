"""The README's picture: the same bytes for the same study, an error without lengths."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
from sample_study import sample_study

from phalanx.comparison.report import draw_picture
from phalanx.errors import UsageError


def test_the_same_study_gives_the_same_bytes(tmp_path: Path) -> None:
    study = sample_study()
    first = draw_picture(study, tmp_path / "a.svg").read_bytes()
    second = draw_picture(study, tmp_path / "b.svg").read_bytes()
    assert first == second
    assert ElementTree.fromstring(first).tag.endswith("svg")
    assert len(first) < 200_000
    faster = [replace(p, seconds=(p.seconds or 0) / 2) for p in study.scaling]
    assert draw_picture(replace(study, scaling=faster), tmp_path / "c.svg").read_bytes() != first


def test_missing_times_are_left_out(tmp_path: Path) -> None:
    study = sample_study(("rnn", "transformer"))
    points = [replace(p, seconds=None, low=None, high=None) for p in study.scaling]
    assert draw_picture(replace(study, scaling=points), tmp_path / "a.svg").exists()


def test_without_lengths_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no scaling points"):
        draw_picture(replace(sample_study(), scaling=[]), tmp_path / "a.svg")
