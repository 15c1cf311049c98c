"""The learning rate against closed forms."""

import math

import pytest

from phalanx.config import TrainingConfig
from phalanx.training.schedule import rate


def along(config: TrainingConfig) -> list[float]:
    return [rate(config, step, step / config.steps) for step in range(config.steps)]


def test_warm_up_and_cosine_are_those_of_nanogpt() -> None:
    config = TrainingConfig(steps=2000, warmup_steps=100, decay="cosine", final_fraction=0.1)
    for step, share in enumerate(along(config)):
        if step < 100:
            expected = (step + 1) / 101
        else:
            expected = 0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi * (step - 100) / 1900))
        assert share == pytest.approx(expected), step


def test_linear_decay_of_the_last_part() -> None:
    config = TrainingConfig(
        steps=100, warmup_steps=0, decay="linear", decay_fraction=0.4, final_fraction=0.0
    )
    shares = along(config)
    assert shares[:61] == [1.0] * 61
    assert shares[60:] == pytest.approx([1 - n / 40 for n in range(40)])


def test_warm_up_stable_decay() -> None:
    config = TrainingConfig(steps=100, warmup_steps=4, decay="wsd", final_fraction=0.1)
    shares = along(config)
    assert shares[:4] == pytest.approx([0.2, 0.4, 0.6, 0.8])
    assert shares[4:81] == [1.0] * 77
    assert shares[80:] == pytest.approx([0.1 + 0.9 * (1 - math.sqrt(n / 20)) for n in range(20)])
    assert rate(config, 100, 1.0) == pytest.approx(0.1)


def test_warm_up_stable_decay_over_another_part() -> None:
    config = TrainingConfig(steps=100, warmup_steps=0, decay="wsd", decay_fraction=0.5)
    assert along(config)[50:] == pytest.approx([1 - math.sqrt(n / 50) for n in range(50)])


def test_constant_stays() -> None:
    config = TrainingConfig(steps=50, warmup_steps=0, decay="constant")
    assert set(along(config)) == {1.0}


def test_a_short_run_is_not_all_warm_up() -> None:
    config = TrainingConfig(steps=20, warmup_steps=50, decay="linear", final_fraction=0.0)
    shares = along(config)
    assert shares[2] == pytest.approx(1.0)
    assert shares[11] == pytest.approx(1 - (11 / 20 - 0.1) / 0.9)


def test_decay_follows_the_clock_and_ends_with_it() -> None:
    config = TrainingConfig(steps=100_000, warmup_steps=10, seconds=60.0, final_fraction=0.1)
    assert rate(config, 50, 1.0) == pytest.approx(0.1)
    assert rate(config, 50, 0.5) == pytest.approx(0.1 + 0.45 * (1 + math.cos(math.pi * 0.5)), 1e-3)
