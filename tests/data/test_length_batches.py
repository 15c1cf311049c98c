"""Length batches: every sample once an epoch, little padding, each batch a function of its step."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phalanx.data.length_batches import LengthBatches, in_order, padded
from phalanx.errors import UsageError

LENGTHS = st.lists(st.integers(1, 60), min_size=1, max_size=200)
PAIRS = st.lists(st.tuples(st.integers(1, 40), st.integers(1, 60)), min_size=1, max_size=120)
SAMPLES = LENGTHS | PAIRS


@given(SAMPLES, st.integers(1, 50), st.none() | st.integers(60, 400), st.integers(0, 9))
@settings(max_examples=60, deadline=None)
def test_every_sample_comes_once_in_each_epoch(lengths, batch_size, batch_tokens, seed):
    lengths = np.array(lengths)
    batches = LengthBatches(lengths, batch_size=batch_size, batch_tokens=batch_tokens, seed=seed)
    for epoch in (0, 3):
        steps = range(epoch * batches.count, (epoch + 1) * batches.count)
        rows = [batches.rows(step) for step in steps]
        assert sorted(np.concatenate(rows).tolist()) == list(range(len(lengths)))
        sizes = [len(batch) for batch in rows]
        longest = [lengths[batch].reshape(len(batch), -1).max(0) for batch in rows]
        if batch_tokens is None:
            assert max(sizes) <= batch_size
            assert max(sizes) - min(sizes) <= 1
        else:
            assert all(
                n * most.max() <= batch_tokens for n, most in zip(sizes, longest, strict=True)
            )
        positions = sum(n * int(most.sum()) for n, most in zip(sizes, longest, strict=True))
        assert batches.padding == pytest.approx(1 - lengths.sum() / positions)
        for part in (1, 3, max(sizes)):
            rows_of_largest, *widths = batches.largest(part)
            assert rows_of_largest * sum(widths) == max(
                min(part, n) * int(most.sum()) for n, most in zip(sizes, longest, strict=True)
            )


@given(SAMPLES, st.integers(0, 1000))
@settings(max_examples=40, deadline=None)
def test_a_batch_depends_on_seed_and_step_alone(lengths, step):
    lengths = np.array(lengths)
    one, other = (LengthBatches(lengths, batch_size=4, batch_tokens=None, seed=5) for _ in "ab")
    for before in (7, 0, 300):
        other.rows(before)
    assert np.array_equal(one.rows(step), other.rows(step))


def test_what_a_batch_gives_is_the_callers():
    batches = LengthBatches(np.full(10, 3), batch_size=5, batch_tokens=None, seed=0)
    first = batches.rows(0).copy()
    batches.rows(0)[:] = 0
    assert np.array_equal(batches.rows(0), first)


def test_texts_of_one_length_are_mixed_anew_in_each_epoch_and_so_are_the_batches():
    lengths = np.repeat([3, 9], 64)
    batches = LengthBatches(lengths, batch_size=8, batch_tokens=None, seed=2)
    epochs = [[batches.rows(e * batches.count + i) for i in range(batches.count)] for e in (0, 1)]
    together = [{frozenset(rows.tolist()) for rows in epoch} for epoch in epochs]
    assert not together[0] & together[1]
    widths = [[int(lengths[rows].max()) for rows in epoch] for epoch in epochs]
    assert widths[0] != widths[1]
    assert widths[0] != sorted(widths[0])
    other = LengthBatches(lengths, batch_size=8, batch_tokens=None, seed=3)
    assert not np.array_equal(other.rows(0), batches.rows(0))


def test_texts_of_any_lengths_are_hardly_padded():
    lengths = np.random.default_rng(0).integers(5, 200, 3000)
    for tokens in (None, 2048):
        assert LengthBatches(lengths, batch_size=32, batch_tokens=tokens, seed=0).padding < 0.03
    arrival = lengths[: len(lengths) // 32 * 32].reshape(-1, 32)
    assert 1 - arrival.sum() / (arrival.max(1) * 32).sum() > 0.4  # what it saves


def test_pairs_of_related_lengths_are_hardly_padded():
    rng = np.random.default_rng(0)
    sources = rng.integers(3, 40, 5000)
    targets = np.maximum(1, sources * rng.uniform(0.8, 1.3, 5000)).astype(int)
    pairs = np.stack((sources, targets), 1)
    assert LengthBatches(pairs, batch_size=32, batch_tokens=None, seed=0).padding < 0.1


def test_a_text_longer_than_a_batch_is_refused():
    with pytest.raises(UsageError, match=r"has 70 tokens and a batch 64 \(train.batch_tokens\)"):
        LengthBatches(np.array([3, 70]), batch_size=2, batch_tokens=64, seed=0)
    with pytest.raises(UsageError, match="no text"):
        LengthBatches(np.array([], dtype=int), batch_size=2, batch_tokens=None, seed=0)


@given(SAMPLES, st.integers(1, 300))
@settings(max_examples=60, deadline=None)
def test_in_order_holds_every_sample_once_within_its_positions(lengths, positions):
    lengths = np.array(lengths)
    batches = in_order(lengths, positions)
    assert sorted(np.concatenate(batches).tolist()) == list(range(len(lengths)))
    for rows in batches:
        assert len(rows) == 1 or len(rows) * int(lengths[rows].max()) <= positions
        each = lengths[rows].reshape(len(rows), -1)
        assert each.sum() >= 0.9 * len(rows) * each.max(0).sum()


def test_in_order_of_nothing_is_nothing():
    assert in_order(np.array([], dtype=int), 10) == []


def test_padded_rows_keep_their_ids_and_lengths():
    ids_BT, lengths_B = padded([np.array([4, 5], np.int32), np.array([6], np.int32)], fill=9)
    assert ids_BT.tolist() == [[4, 5], [6, 9]]
    assert lengths_B.tolist() == [2, 1]
