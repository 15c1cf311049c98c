"""The step form of a linear recurrence rounds exactly as its scan does: replay, bit for bit."""

import pytest
import torch
from torch import Tensor

from phalanx.mixers import MinGRU
from phalanx.rows import Rows
from phalanx.schedules.scan import Replay, advance, scan, scan_from

# batch, length, width, chunk: chunks of one, longer than the sequence, ending on and off the grid
SHAPES = [
    (1, 1, 1, 1),
    (1, 3, 2, 1),
    (3, 7, 5, 8),
    (2, 8, 16, 8),
    (2, 16, 8, 8),
    (3, 17, 4, 8),
    (2, 37, 9, 5),
    (4, 63, 33, 16),
    (2, 129, 6, 16),
]
FIELDS = Replay._fields


def coefficients(batch: int, length: int, width: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    a_BTD = torch.rand(batch, length, width, generator=generator)
    return a_BTD, torch.randn(batch, length, width, generator=generator)


def step_through(
    a_BTD: Tensor, b_BTD: Tensor, replay: Replay, chunk: int
) -> tuple[Tensor, list[Replay]]:
    outputs, replays = [], [replay]
    for t in range(a_BTD.shape[1]):
        h_BD, replay = advance(a_BTD[:, t], b_BTD[:, t], replay, chunk)
        outputs.append(h_BD)
        replays.append(replay)
    return torch.stack(outputs, 1), replays


def assert_bitwise(given: Replay, expected: Replay) -> None:
    for name, one, other in zip(FIELDS, given, expected, strict=True):
        assert torch.equal(one, other), name


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64], ids=str)
def test_steps_replay_the_scan(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    batch, length, width, chunk = shape
    a_BTD, b_BTD = (c.to(dtype) for c in coefficients(batch, length, width))
    fresh = Replay.begin(torch.zeros(batch, width, dtype=dtype))
    h_BTD, replays = step_through(a_BTD, b_BTD, fresh, chunk)
    assert torch.equal(scan(a_BTD, b_BTD, chunk), h_BTD)
    consumed_B = torch.full((batch,), length)
    scanned_BTD, last = scan_from(a_BTD, b_BTD, fresh, consumed_B, chunk)
    assert torch.equal(scanned_BTD, h_BTD)
    assert_bitwise(last, replays[-1])


@pytest.mark.parametrize("cut", [1, 7, 8, 9, 20])
def test_scan_resumed_within_a_chunk(cut: int) -> None:
    a_BTD, b_BTD = coefficients(3, 21, 6)
    fresh = Replay.begin(torch.randn(3, 6))
    h_BTD, replays = step_through(a_BTD, b_BTD, fresh, 8)
    consumed_B = torch.full((3,), 21 - cut)
    rest_BTD, last = scan_from(a_BTD[:, cut:], b_BTD[:, cut:], replays[cut], consumed_B, 8)
    assert torch.equal(rest_BTD, h_BTD[:, cut:])
    assert_bitwise(last, replays[-1])


def test_rows_stand_at_different_places_of_their_chunks() -> None:
    a_BTD, b_BTD = coefficients(4, 30, 5)
    fresh = Replay.begin(torch.zeros(4, 5))
    h_BTD, replays = step_through(a_BTD, b_BTD, fresh, 8)
    begun, lengths = [0, 3, 8, 13], [17, 0, 5, 11]
    rows = range(4)
    start = Replay(*[torch.stack([getattr(replays[begun[r]], f)[r] for r in rows]) for f in FIELDS])
    expected = [replays[begun[r] + lengths[r]] for r in rows]
    end = Replay(*[torch.stack([getattr(expected[r], f)[r] for r in rows]) for f in FIELDS])
    a_padded, b_padded = torch.ones(4, 17, 5), torch.zeros(4, 17, 5)
    for r in rows:
        at = slice(begun[r], begun[r] + lengths[r])
        a_padded[r, : lengths[r]], b_padded[r, : lengths[r]] = a_BTD[r, at], b_BTD[r, at]
    found_BTD, last = scan_from(a_padded, b_padded, start, torch.tensor(lengths), 8)
    for r in rows:
        at = slice(begun[r], begun[r] + lengths[r])
        assert torch.equal(found_BTD[r, : lengths[r]], h_BTD[r, at])
    assert_bitwise(last, end)


def test_naive_steps_do_not_replay() -> None:
    """The planted defect: h <- a h + b without the chunk's rounding; not bit for bit."""
    a_BTD, b_BTD = coefficients(2, 63, 33)
    h_BD, outputs = torch.zeros(2, 33), []
    for t in range(63):
        h_BD = a_BTD[:, t] * h_BD + b_BTD[:, t]
        outputs.append(h_BD)
    naive_BTD, exact_BTD = torch.stack(outputs, 1), scan(a_BTD, b_BTD, 16)
    assert not torch.equal(naive_BTD, exact_BTD)
    assert torch.allclose(naive_BTD, exact_BTD, rtol=1e-5, atol=1e-6)


def test_counters_of_rows_that_stand_still() -> None:
    """A row that waits keeps its place in its chunk, whatever the others do."""
    torch.manual_seed(0)
    mixer = MinGRU(6, chunk=4)
    x_BTD = torch.randn(2, 9, 6)
    state = mixer.empty_state(2, 0, x_BTD)
    alone = mixer.empty_state(1, 0, x_BTD)
    taken = 0
    for t in range(9):
        active_B = torch.tensor([True, t % 3 != 1])
        _, state = mixer.step(x_BTD[:, t], state, active_B)
        if active_B[1]:
            _, alone = mixer.step(x_BTD[1:, t], alone)
            taken += 1
        assert state.count_B.tolist() == [(t + 1) % 4, taken % 4]
    for name in ("hidden_BD", "product_BD", "offset_BD", "carry_BD"):
        assert torch.allclose(getattr(state, name)[1:], getattr(alone, name), atol=1e-6)


def test_mixer_replays_its_scan_with_the_same_coefficients(monkeypatch: pytest.MonkeyPatch) -> None:
    """Serial schedule and scan of the mixer, bit for bit, once the products are the same ones.

    A product of matrices may round differently for one position and for many, so both schedules
    are given the coefficients of the many.
    """
    mixer = MinGRU(6, inner=5, chunk=4)
    x_BTD = torch.randn(3, 11, 6)
    a_BTD, b_BTD = mixer._coefficients(x_BTD)
    rows = Rows.padded(torch.tensor([11, 4, 0]), 11)
    monkeypatch.setattr(mixer, "_coefficients", lambda x: (a_BTD, b_BTD))
    _, scanned = mixer(x_BTD, rows, mixer.empty_state(3, 0, x_BTD))
    place = iter(range(11))

    def at_next_place(_x: Tensor) -> tuple[Tensor, Tensor]:
        t = next(place)
        return a_BTD[:, t], b_BTD[:, t]

    monkeypatch.setattr(mixer, "_coefficients", at_next_place)
    mixer.use_schedule("serial")
    _, stepped = mixer(x_BTD, rows, mixer.empty_state(3, 0, x_BTD))
    for name, tensor in scanned._tensors().items():
        assert torch.equal(tensor, stepped._tensors()[name]), name
