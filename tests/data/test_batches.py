"""Windows: each position once, and a step's batch computed directly is the one reached."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from phalanx.data.batches import LanguageWindows, ValidationWindows
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


@given(st.integers(2, 300), st.integers(1, 40), st.integers(1, 90))
def test_validation_counts_each_position_once(count: int, length: int, positions: int) -> None:
    windows = ValidationWindows(stream(count), length)
    passes = list(windows.passes(positions))
    assert torch.equal(
        torch.cat([inputs.flatten() for inputs, _ in passes]), torch.arange(count - 1)
    )
    assert all(torch.equal(targets, inputs + 1) for inputs, targets in passes)
    assert sum(len(inputs) for inputs, _ in passes) == len(windows) == -(-(count - 1) // length)
    assert all(inputs.shape[1] == length for inputs, _ in passes[:-1])
    assert all(inputs.numel() <= max(positions, length) for inputs, _ in passes)
    assert windows.positions == count - 1
    assert all(part.dtype == torch.int64 for pair in passes for part in pair)


@given(st.integers(2, 300), st.integers(1, 40), st.integers(1, 320))
def test_a_long_text_is_judged_by_windows_from_all_over_it(
    count: int, length: int, most: int
) -> None:
    windows = ValidationWindows(stream(count), length, most)
    if most >= count - 1 or count - 1 < length:
        assert windows.positions == count - 1
        return
    passes = list(windows.passes(2 * length))
    starts = torch.cat([inputs[:, 0] for inputs, _ in passes])
    assert windows.positions == sum(targets.numel() for _, targets in passes)
    assert windows.positions <= max(most, length)
    assert windows.positions > most - length, "as many as fit"
    assert (starts % length == 0).all()
    gaps = starts.diff() // length
    assert gaps.numel() == 0 or int(gaps.max() - gaps.min()) <= 1, "evenly spread"
    whole = (count - 1) // length
    assert int(starts[-1]) // length == (len(starts) - 1) * whole // len(starts), "to the end"
    assert all(inputs.shape[1] == length for inputs, _ in passes)


def test_documents_are_numbered_along_a_window() -> None:
    tokens = np.array([1, 2, 9, 3, 9, 9, 4, 5, 9], dtype=np.uint16)
    windows = LanguageWindows(tokens, 8, seed=0, end_id=9)
    inputs, targets = windows.take(np.array([0]))
    found = windows.segments(inputs)
    assert found is not None
    assert found.tolist() == [[0, 0, 1, 1, 2, 3, 3, 3]]
    assert found.dtype == torch.int64
    # The end of one document begins the next, and is what the last token of each is asked for.
    assert targets[0, [1, 3, 4, 7]].tolist() == [9, 9, 9, 9]
    assert LanguageWindows(tokens, 8, seed=0).segments(inputs) is None
    judged = ValidationWindows(tokens, 8, end_id=9)
    assert torch.equal(judged.segments(judged.take(0, 1)[0]), found)  # type: ignore[arg-type]


def test_a_mapped_stream_is_read_where_windows_lie(tmp_path: Path) -> None:
    """A file with holes, far larger than memory: what is not asked for is never touched."""
    path = tmp_path / "tokens.bin"
    with path.open("wb") as file:
        file.truncate(2 * 10**11)
    tokens = np.memmap(path, np.dtype("<u2"), "r+")
    tokens[10**10 : 10**10 + 5] = [1, 2, 3, 4, 65535]
    windows = LanguageWindows(tokens, 4, seed=0)
    inputs, targets = windows.take(np.array([10**10, 99_999_999_000]))
    assert inputs.tolist() == [[1, 2, 3, 4], [0, 0, 0, 0]]
    assert targets.tolist()[0] == [2, 3, 4, 65535]
    judged = ValidationWindows(tokens, 4, most=12)
    assert [inputs.shape for inputs, _ in judged.passes(8)] == [(2, 4), (1, 4)]


def test_too_little_text_is_explained() -> None:
    with pytest.raises(UsageError, match=r"has 64 tokens, and a context of 64 needs at least 65"):
        LanguageWindows(stream(64), 64, seed=0)
    assert LanguageWindows(stream(65), 64, seed=0).count == 1
    with pytest.raises(UsageError, match="holds no text"):
        LanguageWindows(stream(64), 0, seed=0)
    with pytest.raises(UsageError, match="at least 2 tokens"):
        ValidationWindows(stream(1), 64)
    with pytest.raises(UsageError, match="at least 1"):
        ValidationWindows(stream(9), 0)


def test_small_token_types_are_widened() -> None:
    tokens = np.array([65535, 1, 2, 3, 4], dtype=np.uint16)
    assert LanguageWindows(tokens, 4, seed=0).batch(0, 1)[0].tolist() == [[65535, 1, 2, 3]]
    assert ValidationWindows(tokens, 4).take(0, 1)[0].tolist() == [[65535, 1, 2, 3]]
