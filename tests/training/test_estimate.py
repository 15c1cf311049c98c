"""The estimate of a dry run against counts by hand."""

import pytest
from small_runs import PRESETS, small_config

from phalanx.config import TrainingConfig
from phalanx.models import count
from phalanx.training.estimate import estimate

TRAIN = TrainingConfig(batch_size=3, sequence_length=16)


def test_transformer_s_work_is_the_closed_form() -> None:
    config = small_config("transformer", 20)
    assert config.feed_forward is not None
    B, T, D, F, L, V = 3, 16, 32, config.feed_forward.width, 2, 20
    products = L * (4 * D * D + 2 * D * F) + D * V  # weights that multiply each position
    attention = L * 2 * T * D  # scores and their sum, every pair
    forward = 2 * B * T * (products + attention)
    # The backward pass is two such products; attention makes its scores again on top of that.
    found = estimate(config, TRAIN)
    assert found.flops_per_step / (3 * forward) == pytest.approx(1.0, abs=0.05)
    assert found.tokens_per_step == B * T


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_is_counted(name: str) -> None:
    config = small_config(name, 20)
    found = estimate(config, TRAIN)
    assert (found.parameters, found.non_embedding_parameters) == count(config)
    six = 6 * (found.non_embedding_parameters + 32 * 20) * found.tokens_per_step
    assert found.flops_per_step / six == pytest.approx(1.1, abs=0.2)
    assert found.memory_bytes > 12 * found.parameters


def test_work_grows_with_the_batch_and_memory_with_the_optimizer() -> None:
    config = small_config("gru", 20)
    one = estimate(config, TRAIN)
    two = estimate(config, TRAIN.model_copy(update={"batch_size": 6}))
    assert two.flops_per_step == 2 * one.flops_per_step
    adamw = estimate(config, TRAIN.model_copy(update={"optimizer": "adamw"}))
    assert adamw.memory_bytes - one.memory_bytes == 4 * 2 * (3 * 32 * 32 * 2)
