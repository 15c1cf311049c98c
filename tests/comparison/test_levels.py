from dataclasses import replace

import pytest
import torch

from phalanx.comparison.contenders import contenders
from phalanx.comparison.levels import Ablation, ablations, heads, measure_levels
from phalanx.mixers import Attention
from phalanx.rows import Rows

MODELS = contenders(("lstm", "mingru", "transformer"), 31, 64, 20_000)


def test_every_level_agrees_and_is_timed() -> None:
    levels = measure_levels(ablations(MODELS, "cpu"), 3.0, "cpu", 3)
    assert [(level.key, level.model) for level in levels] == [
        ("positions", "transformer"),
        ("heads", "transformer"),
        ("feed_forward_positions", "mingru"),
        ("feed_forward_positions", "transformer"),
        ("batch_rows", "lstm"),
        ("batch_rows", "mingru"),
        ("batch_rows", "transformer"),
    ]
    for level in levels:
        assert level.equal, level
        assert level.tolerance > 0
    positions = levels[0]
    assert positions.ratio is not None
    assert positions.ratio > 2


def test_results_that_differ_have_no_time() -> None:
    [honest, *_] = ablations(MODELS, "cpu")
    planted = replace(honest, serial=lambda: honest.serial() + 0.01)
    [level] = measure_levels([planted], 1.0, "cpu", 3)
    assert not level.equal
    assert (level.parallel_seconds, level.serial_seconds, level.ratio) == (None, None, None)


def test_results_that_are_all_zero_show_nothing() -> None:
    zeros = Ablation("heads", "x", lambda: torch.zeros(3), lambda: torch.zeros(3))
    [level] = measure_levels([zeros], 1.0, "cpu", 3)
    assert not level.equal


def test_without_time_the_results_are_compared_all_the_same() -> None:
    levels = measure_levels(ablations(MODELS[:1], "cpu"), None, "cpu", 3)
    assert [(level.equal, level.ratio) for level in levels] == [(True, None)]


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_heads_alone_are_the_heads_together(groups: int) -> None:
    mixer = Attention(16, 4, key_value_heads=groups, rotary=True, query_key_norm=True).double()
    x_BTD = torch.randn(2, 7, 16, dtype=torch.float64)
    together, alone = heads(mixer, x_BTD, Rows.full(2, 7))
    with torch.no_grad():
        torch.testing.assert_close(together(), alone(), rtol=1e-12, atol=1e-12)
