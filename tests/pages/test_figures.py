"""Numbers as they are read."""

from __future__ import annotations

import math

import pytest

from phalanx.pages.figures import (
    bytes_,
    duration,
    figure,
    interval,
    many,
    percent,
    significant,
)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0.0, "0"),
        (12.0, "12"),
        (12_300.0, "12,300"),
        (1.5, "1.50"),
        (9.996, "10.0"),
        (99.96, "100"),
        (0.98765, "0.988"),
        (0.00123, "0.00123"),
        (0.00003, "3e-5"),
        (3.14e-7, "3.1e-7"),
        (-2.5, "-2.50"),
        (1234.5, "1230"),
        (2.5e7, "2.5e7"),
        (math.inf, "∞"),
        (math.nan, "–"),
    ],
)
def test_significant(value: float, expected: str) -> None:
    assert significant(value) == expected


def test_units() -> None:
    assert many(25_100) == "25.1k"
    assert many(999_600) == "1.00M"
    assert many(1.31e11) == "131G"
    assert many(512) == "512"
    assert bytes_(212 * 2**20) == "212 MiB"
    assert bytes_(100) == "100 B"
    assert duration(0.0021) == "2.10 ms"
    assert duration(4.2e-5) == "42.0 µs"
    assert duration(117.3) == "117 s"
    assert duration(0.99999) == "1.00 s"
    assert percent(0.981) == "98.1%"
    assert percent(0.0941) == "9.4%"
    assert percent(0.22) == "22%"
    assert percent(0.0004) == "0.040%"
    assert percent(0.0) == "0%"
    assert figure(None, "seconds") == "–"
    assert figure(0.5, "recall") == "50%"
    assert figure(1.97, "time_growth") == "1.97"


def test_an_interval_says_its_sign_once() -> None:
    assert interval(17_800, 18_800, "tokens_per_second") == "17.8–18.8k"
    assert interval(0.0004, 0.00047, "seconds") == "400–470 µs"
    assert interval(0.0009, 0.0012, "seconds") == "900 µs–1.20 ms"
    assert interval(0.978, 1.0, "recall") == "97.8–100%"
    assert interval(None, 1.0, "ratio") == ""
