"""Rows: lengths, positions, and the masks made of them."""

import pytest
import torch

from phalanx.rows import Rows, attention_mask


def test_full_rows() -> None:
    rows = Rows.full(2, 3)
    assert rows.positions_BT.tolist() == [[0, 1, 2], [0, 1, 2]]
    assert rows.keep_BT is None
    assert rows.consumed_B().tolist() == [3, 3]
    x_BTD = torch.randn(2, 3, 4)
    assert rows.zero_padding(x_BTD) is x_BTD


def test_full_rows_that_continue() -> None:
    assert Rows.full(2, 2, start_B=torch.tensor([5, 0])).positions_BT.tolist() == [[5, 6], [0, 1]]


def test_padded_rows() -> None:
    rows = Rows.padded(torch.tensor([3, 1, 0]), 3, torch.tensor([4, 7, 9]))
    assert rows.keep_BT is not None
    assert rows.keep_BT.tolist() == [[True] * 3, [True, False, False], [False] * 3]
    assert rows.consumed_B().tolist() == [3, 1, 0]
    # Padding stands at position 0, which every table of positions has.
    assert rows.positions_BT.tolist() == [[4, 5, 6], [7, 0, 0], [0, 0, 0]]


def test_padding_is_zeroed_whatever_stands_there() -> None:
    rows = Rows.padded(torch.tensor([2, 0]), 2)
    x_BTD = torch.ones(2, 2, 1)
    x_BTD[1] = torch.nan
    x_BTD.requires_grad_()
    zeroed = rows.zero_padding(x_BTD)
    assert zeroed[:, :, 0].tolist() == [[1, 1], [0, 0]]
    zeroed.square().sum().backward()
    assert x_BTD.grad is not None
    assert x_BTD.grad[:, :, 0].tolist() == [[2, 2], [0, 0]]


def test_wrong_rank_or_dtype() -> None:
    positions_BT = torch.zeros(2, 3, dtype=torch.int64)
    with pytest.raises(ValueError, match=r"positions_BT is torch.float32 of rank 2.*int64"):
        Rows(positions_BT.float())
    with pytest.raises(ValueError, match=r"lengths_B is torch.int64 of rank 2.*rank 1"):
        Rows(positions_BT, positions_BT)
    with pytest.raises(ValueError, match=r"segments_BT is torch.bool of rank 2"):
        Rows(positions_BT, None, positions_BT.bool())


def test_mask_says_what_it_keeps() -> None:
    slots = torch.arange(4)[None]
    causal = attention_mask(slots, slots, causal=True)
    assert torch.equal(causal[0], torch.ones(4, 4).tril().bool())
    window = attention_mask(slots, slots, causal=True, window=2)[0].int().tolist()
    assert window == [[1, 0, 0, 0], [1, 1, 0, 0], [0, 1, 1, 0], [0, 0, 1, 1]]
    both = attention_mask(slots, slots, causal=False, window=2)[0].int().tolist()
    assert both == [[1, 1, 0, 0], [1, 1, 1, 0], [0, 1, 1, 1], [0, 0, 1, 1]]


def test_mask_of_lengths_and_segments() -> None:
    slots = torch.arange(3)[None]
    lengths_B = torch.tensor([2, 0])
    mask = attention_mask(slots, slots, causal=False, key_lengths_B=lengths_B).int()
    assert mask.tolist() == [[[1, 1, 0]] * 3, [[0, 0, 0]] * 3]
    segments = torch.tensor([[0, 0, 1]])
    packed = attention_mask(
        slots, slots, causal=True, query_segments_BT=segments, key_segments_BS=segments
    )
    assert packed[0].int().tolist() == [[1, 0, 0], [1, 1, 0], [0, 0, 1]]
