"""States: what they hold, how rows move between them, and what rewinding needs."""

import pytest
import torch

from phalanx.mixers import GRU, LSTM, Attention, MinGRU
from phalanx.models import build, preset
from phalanx.rows import Rows
from phalanx.states import KeyValueState


def cache(batch: int = 2, capacity: int = 4) -> KeyValueState:
    state = Attention(4, 2).empty_state(batch, capacity, torch.zeros(1))
    assert isinstance(state, KeyValueState)
    return state


def test_cache_appends_ragged_rows() -> None:
    values = torch.arange(12.0).reshape(2, 1, 3, 2).expand(2, 2, 3, 2)
    keep_BT = torch.tensor([[True, True, True], [True, False, False]])
    state, slots_BT = cache().append(values, -values, keep_BT, None)
    assert state.length_B.tolist() == [3, 1]
    assert slots_BT.tolist() == [[0, 1, 2], [0, 1, 2]]
    state, slots_BT = state.append(values[:, :, :1], values[:, :, :1], None, None)
    assert state.length_B.tolist() == [4, 2]
    assert slots_BT.tolist() == [[3], [1]]
    assert state.keys_BHSK[1, 0, :2, 0].tolist() == [6, 6]
    assert state.values_BHSK[1, 0, :2, 0].tolist() == [-6, 6]
    # A full row may still be padded: nothing of it is held.
    keep_BT = torch.tensor([[False, False, False], [True, True, False]])
    full, _ = state.append(values, values, keep_BT, None)
    assert full.length_B.tolist() == [4, 4]
    assert torch.equal(full.keys_BHSK[0, :, :4], state.keys_BHSK[0, :, :4])
    assert full.keys_BHSK[1, 0, :4, 0].tolist() == [6, 6, 6, 8]


def test_a_position_too_many_fails() -> None:
    """It must not land in the slot where padding goes: that would be silently wrong."""
    one = torch.ones(2, 2, 1, 2)
    state = cache(capacity=1).append(one, one, None, None)[0]
    with pytest.raises(RuntimeError, match="out of bounds"):
        state.append(one, one, None, None)
    with pytest.raises(RuntimeError, match="out of bounds"):
        state.append(one, one, torch.tensor([[True], [False]]), None)
    waiting, _ = state.append(one * 9, one * 9, torch.tensor([[False], [False]]), None)
    assert torch.equal(waiting.keys_BHSK[:, :, :1], one)


def test_cache_is_written_in_place_without_autograd() -> None:
    one = torch.ones(2, 2, 1, 2)
    with torch.inference_mode():
        empty = cache()
        state, _ = empty.append(one, one, None, None)
        assert state.keys_BHSK.data_ptr() == empty.keys_BHSK.data_ptr()
    empty = cache()
    state, _ = empty.append(one, one, None, None)
    assert state.keys_BHSK.data_ptr() != empty.keys_BHSK.data_ptr()
    assert empty.keys_BHSK.eq(0).all()


def test_bytes() -> None:
    keys = 2 * 2 * 5 * 2 * 4  # batch, heads, slots, head width, bytes of fp32
    assert cache().nbytes == 2 * keys + 2 * 8 + 2 * 5 * 8
    assert GRU(4).empty_state(3, 0, torch.zeros(1)).nbytes == 3 * (8 + 8 + 4 * 4)
    assert LSTM(4).empty_state(3, 0, torch.zeros(1)).nbytes == 3 * (8 + 8 + 2 * 4 * 4)


def test_bytes_of_a_kept_past_count() -> None:
    mixer, x_BTD = GRU(4), torch.randn(3, 5, 4)
    start = mixer.empty_state(3, 0, x_BTD)
    _, plain = mixer(x_BTD, Rows.full(3, 5), start)
    _, kept = mixer(x_BTD, Rows.full(3, 5), start, undo=2)
    assert kept.nbytes == 4 * plain.nbytes


@pytest.mark.parametrize("kind", [GRU, LSTM, MinGRU])
def test_a_state_without_past_does_not_rewind(kind: type) -> None:
    mixer, x_BTD = kind(4), torch.randn(2, 3, 4)
    rows, start = Rows.full(2, 3), mixer.empty_state(2, 0, x_BTD)
    count_B = torch.tensor([1, 0])
    _, state = mixer(x_BTD, rows, start)
    with pytest.raises(ValueError, match="keeps no past to rewind to; expected"):
        state.rewind(count_B)
    _, state = mixer(x_BTD, rows, start, undo=2)
    rewound = state.rewind(count_B)
    assert rewound.length_B.tolist() == [2, 3]
    with pytest.raises(ValueError, match="keeps no past"):
        rewound.rewind(count_B)
    _, stepped = mixer.step(x_BTD[:, 0], state)
    with pytest.raises(ValueError, match="keeps no past"):
        stepped.rewind(count_B)


def test_state_of_a_model_moves_its_layers_together() -> None:
    model = build(preset("transformer", 7, 16, width=16, layers=2, mixers=("gru", "attention")))
    ids_BT = torch.randint(7, (3, 4))
    _, state = model.hidden(ids_BT, None, model.empty_state(3, 8), undo=2)
    assert state is not None
    assert state.nbytes == sum(layer.nbytes for layer in state.layers)
    assert state.length_B.tolist() == [4, 4, 4]
    rewound = state.rewind(torch.tensor([0, 1, 2]))
    assert [layer.length_B.tolist() for layer in rewound.layers] == [[4, 3, 2]] * 2
    chosen = rewound.select(torch.tensor([2, 0]))
    assert chosen.length_B.tolist() == [2, 4]
    assert rewound.put(torch.tensor([1]), chosen.select(torch.tensor([0]))).length_B.tolist() == [
        4, 2, 2,
    ]  # fmt: skip
