"""Windows: each position once, and a step's batch computed directly is the one reached."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from phalanx.data.batches import IGNORED, LanguageWindows, validation_windows
from phalanx.errors import UsageError


def stream(count: int) -> np.ndarray:
    """Tokens that tell their own position, so that windows can be read back."""
    return np.arange(count, dtype=np.int32)


@given(st.integers(1, 12), st.integers(0, 300), st.integers(0, 9), st.integers(0, 5))
def test_an_epoch_has_each_pair_once(length: int, extra: int, seed: int, epoch: int) -> None:
    windows = LanguageWindows(stream(length + 1 + extra), length, seed)
    starts = windows.sample_ids(epoch, windows.count)  # one step = one epoch
    inputs, targets = windows.take(starts)
    assert torch.equal(targets, inputs + 1)
    offset = windows.offset(epoch)
    expected = torch.arange(offset, offset + windows.count * length)
    assert torch.equal(inputs.flatten().sort().values, expected)
    left_over = length + extra - windows.count * length
    assert 0 <= offset <= left_over < 2 * length


def test_all_positions_come_round() -> None:
    """Offsets move the cuts: over some epochs every pair is seen, the ends of the text too."""
    windows = LanguageWindows(stream(1 + 4 * 8 + 2), 8, seed=0)
    seen: set[int] = set()
    for epoch in range(60):
        seen |= set(windows.batch(epoch, windows.count)[0].flatten().tolist())
    assert seen == set(range(34))
    assert {windows.offset(epoch) for epoch in range(60)} == set(range(8 + 2 + 1))


@given(st.integers(1, 7), st.integers(1, 40), st.integers(0, 30))
def test_a_step_does_not_depend_on_how_it_was_reached(
    batch_size: int, seed: int, step: int
) -> None:
    windows = LanguageWindows(stream(61), 6, seed)
    reached = [windows.batch(k, batch_size) for k in range(step + 1)][-1]
    fresh = LanguageWindows(stream(61), 6, seed).batch(step, batch_size)
    assert torch.equal(reached[0], fresh[0])
    assert torch.equal(reached[1], fresh[1])
    # The order has no batch size: cutting it into batches elsewhere gives the same samples.
    one_by_one = [windows.sample_ids(step * batch_size + row, 1)[0] for row in range(batch_size)]
    assert windows.sample_ids(step, batch_size).tolist() == one_by_one


def test_batches_are_tensors_for_a_model() -> None:
    inputs, targets = LanguageWindows(stream(100), 10, seed=3).batch(5, 4)
    assert inputs.shape == targets.shape == (4, 10)
    assert inputs.dtype == targets.dtype == torch.int64
    assert inputs.is_contiguous()
    assert targets.is_contiguous()
    other = LanguageWindows(stream(100), 10, seed=4).batch(5, 4)
    assert not torch.equal(inputs, other[0])


def test_workers_share_a_batch() -> None:
    windows = LanguageWindows(stream(100), 10, seed=3)
    starts = windows.sample_ids(2, 6)
    whole = windows.batch(2, 6)[0]
    for rank in range(2):
        assert torch.equal(windows.take(starts[rank::2])[0], whole[rank::2])


@given(st.integers(2, 300), st.integers(1, 40))
def test_validation_counts_each_position_once(count: int, length: int) -> None:
    windows = validation_windows(stream(count), length)
    inputs, targets, lengths = windows
    assert inputs.shape == targets.shape == (len(lengths), length)
    kept = torch.arange(length)[None] < lengths[:, None]
    assert torch.equal(inputs[kept], torch.arange(count - 1))
    assert torch.equal(targets[kept], torch.arange(1, count))
    assert (targets[~kept] == IGNORED).all()
    assert (inputs[~kept] == 0).all()
    assert (lengths[:-1] == length).all()
    assert lengths[-1] >= 1
    assert windows.positions == count - 1
    assert inputs.dtype == targets.dtype == lengths.dtype == torch.int64


def test_too_little_text_is_explained() -> None:
    with pytest.raises(UsageError, match=r"has 64 tokens, and a context of 64 needs at least 65"):
        LanguageWindows(stream(64), 64, seed=0)
    assert LanguageWindows(stream(65), 64, seed=0).count == 1
    with pytest.raises(UsageError, match="holds no text"):
        LanguageWindows(stream(64), 0, seed=0)
    with pytest.raises(UsageError, match="at least 2 tokens"):
        validation_windows(stream(1), 64)
    with pytest.raises(UsageError, match="at least 1"):
        validation_windows(stream(9), 0)


def test_small_token_types_are_widened() -> None:
    tokens = np.array([65535, 1, 2, 3, 4], dtype=np.uint16)
    assert LanguageWindows(tokens, 4, seed=0).batch(0, 1)[0].tolist() == [[65535, 1, 2, 3]]
    assert validation_windows(tokens, 4).inputs_NT.tolist() == [[65535, 1, 2, 3]]
