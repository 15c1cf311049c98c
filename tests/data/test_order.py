"""The order of samples is a permutation and a function of (seed, epoch, index), nothing else."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from phalanx.data.order import mix, permutation, random_bits, sample_at

MASK = (1 << 64) - 1


@given(st.integers(0, 2**70), st.integers(0, 1000), st.integers(0, 500))
def test_it_is_a_permutation_and_repeats(seed: int, epoch: int, count: int) -> None:
    order = permutation(seed, epoch, count)
    assert order.dtype == np.int64
    assert np.array_equal(np.sort(order), np.arange(count))
    order[:] = 0  # the caller's copy: what he does to it must not reach anybody else
    assert np.array_equal(np.sort(permutation(seed, epoch, count)), np.arange(count))


def test_values_are_pinned() -> None:
    """A change here changes every training run; resuming an old one would read other samples."""
    assert permutation(0, 0, 10).tolist() == [2, 7, 9, 6, 8, 3, 4, 5, 0, 1]
    assert permutation(1, 2, 10).tolist() == [9, 1, 3, 2, 5, 6, 4, 0, 8, 7]
    assert [hex(int(bits)) for bits in random_bits(7, 3, np.arange(2))] == [
        "0x718fb9346913b371",
        "0xa732d464e9f8a27e",
    ]


def test_the_hash_is_splitmix64() -> None:
    """First outputs of the published generator from seed 1234567 (Vigna's reference code)."""
    states = [(1234567 + place * 0x9E3779B97F4A7C15) & MASK for place in (1, 2, 3)]
    assert mix(np.array(states, dtype=np.uint64)).tolist() == [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
    ]


def test_a_bit_depends_on_nothing_beside_it() -> None:
    whole = random_bits(3, 5, np.arange(1000))
    assert np.array_equal(random_bits(3, 5, np.array([999, 4])), whole[[999, 4]])


def test_epochs_and_seeds_differ_and_places_are_even() -> None:
    orders = {tuple(permutation(seed, epoch, 50)) for seed in range(20) for epoch in range(20)}
    assert len(orders) == 400
    firsts = np.bincount([order[0] for order in orders], minlength=50)
    assert firsts.max() < 25, "8 expected at each place"
    assert not np.array_equal(permutation(0, 1, 50), permutation(1, 0, 50))


@given(st.integers(0, 2**40), st.integers(1, 40), st.integers(0, 200), st.integers(1, 60))
def test_positions_are_computed_as_they_would_be_reached(
    seed: int, count: int, first: int, number: int
) -> None:
    """The reference: one epoch after another, sample by sample."""
    epochs = range((first + number) // count + 1)
    reached = np.concatenate([permutation(seed, epoch, count) for epoch in epochs])
    positions = np.arange(first, first + number)
    assert np.array_equal(sample_at(seed, positions, count), reached[first : first + number])
