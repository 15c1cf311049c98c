"""What mixers refuse, and what they are by construction; what they compute is for the laws."""

import pytest
import torch
from torch import nn

from phalanx.errors import UsageError
from phalanx.mixers import (
    GRU,
    LSTM,
    RNN,
    Attention,
    Bidirectional,
    BidirectionalAttention,
    CausalMixer,
    CrossAttention,
    LuongAttention,
    MinGRU,
    Mixer,
)
from phalanx.mixers import rotary as rotary_positions
from phalanx.mixers.registry import CAUSAL, causal_mixer, encoder_mixer
from phalanx.models import preset
from phalanx.rows import Rows

WIDTH = 8
CONFIG = preset("transformer", 9, 16, width=16)


@pytest.mark.parametrize("name", CAUSAL)
def test_registry_makes_causal_mixers(name: str) -> None:
    mixer = causal_mixer(name, CONFIG)
    assert isinstance(mixer, CausalMixer)
    for schedule in mixer.schedules:
        mixer.use_schedule(schedule)
    with pytest.raises(ValueError, match=f"{type(mixer).__name__} has no schedule 'newest'"):
        mixer.use_schedule("newest")


def test_registry_makes_encoder_mixers() -> None:
    assert isinstance(encoder_mixer("attention", CONFIG), BidirectionalAttention)
    both = encoder_mixer("lstm+mingru", CONFIG)
    assert isinstance(both, Bidirectional)
    assert isinstance(both.forwards, LSTM)
    assert isinstance(both.backwards, MinGRU)
    assert isinstance(encoder_mixer("gru", CONFIG), GRU)


def test_unknown_mixers() -> None:
    with pytest.raises(UsageError, match=r"'atention' is no causal mixer.*'attention'"):
        causal_mixer("atention", CONFIG)
    with pytest.raises(UsageError, match=r"'lstm\+lstm' is no causal mixer"):
        causal_mixer("lstm+lstm", CONFIG)
    with pytest.raises(UsageError, match="'gruu' is no causal mixer"):
        encoder_mixer("lstm+gruu", CONFIG)


def test_a_bidirectional_mixer_has_no_step() -> None:
    mixer = Bidirectional(WIDTH, GRU(WIDTH), GRU(WIDTH))
    assert not isinstance(mixer, CausalMixer)
    assert not hasattr(mixer, "step")
    assert not hasattr(BidirectionalAttention(WIDTH, 2), "step")
    state = GRU(WIDTH).empty_state(2, 0, torch.zeros(1))
    with pytest.raises(ValueError, match="carries no state"):
        mixer(torch.zeros(2, 3, WIDTH), Rows.full(2, 3), state)


@pytest.mark.parametrize("kind", [Attention, BidirectionalAttention])
def test_heads_must_divide(kind: type) -> None:
    with pytest.raises(ValueError, match="width 8 must be a multiple of heads 3"):
        kind(8, 3)
    with pytest.raises(ValueError, match="heads of key_value_heads 3"):
        kind(8, 4, key_value_heads=3)
    with pytest.raises(ValueError, match="even head width; given 1"):
        kind(8, 8, rotary=True)
    with pytest.raises(ValueError, match="width 8 must be a multiple of heads 3"):
        CrossAttention(8, 3)


def test_rotary_angles_keep_their_precision() -> None:
    positions_BT = torch.tensor([[300, 301, 4001]])
    exact = rotary_positions.angles(positions_BT, 8, torch.zeros(1, dtype=torch.float64))
    rounded = rotary_positions.angles(positions_BT, 8, torch.zeros(1, dtype=torch.bfloat16))
    for one, other in zip(exact, rounded, strict=True):
        assert other.dtype == torch.bfloat16
        assert (one - other.double()).abs().max() < 0.005


def test_rotary_products_depend_on_distance_alone() -> None:
    query, key = torch.randn(2, 1, 1, 1, 8, dtype=torch.float64)

    def product(at: int, other: int) -> float:
        places = (torch.tensor([[at]]), torch.tensor([[other]]))
        turned = [
            rotary_positions.turn(x, *rotary_positions.angles(place, 8, x))
            for x, place in zip((query, key), places, strict=True)
        ]
        return float((turned[0] * turned[1]).sum())

    assert product(3, 1) == pytest.approx(product(103, 101), rel=1e-12)
    assert product(3, 1) != pytest.approx(product(3, 2), rel=1e-3)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Attention(WIDTH, 2, rotary=True, query_key_norm=True),
        lambda: BidirectionalAttention(WIDTH, 2),
        lambda: RNN(WIDTH),
        lambda: LSTM(WIDTH),
        lambda: GRU(WIDTH),
        lambda: MinGRU(WIDTH, inner=12),
        lambda: Bidirectional(WIDTH, GRU(WIDTH), MinGRU(WIDTH)),
        lambda: CrossAttention(WIDTH, 2),
        lambda: LuongAttention(WIDTH, 2),
    ],
    ids=[
        "attention",
        "both-ways",
        "rnn",
        "lstm",
        "gru",
        "mingru",
        "bidirectional",
        "cross",
        "luong",
    ],
)
def test_weights_are_a_function_of_the_generator(make: type) -> None:
    """Also when the mixer was built on the meta device, where nothing is drawn."""
    with torch.device("meta"):
        empty = make()
    mixers: list[Mixer | nn.Module] = [make(), empty.to_empty(device="cpu")]
    for mixer in mixers:
        mixer.init_weights(torch.Generator().manual_seed(7))
    first, second = (mixer.state_dict() for mixer in mixers)
    assert first.keys() == second.keys()
    for name, tensor in first.items():
        assert torch.equal(tensor, second[name]), name


def test_fresh_lstm_remembers() -> None:
    bias = LSTM(WIDTH).bias_ih_l0.detach().chunk(4)
    assert [float(part.mean()) for part in bias] == [0, 1, 0, 0]


def test_gate_matrices_are_drawn_gate_by_gate() -> None:
    for block in GRU(WIDTH).weight_hh_l0.detach().chunk(3):
        assert torch.allclose(block @ block.t(), torch.eye(WIDTH), atol=1e-5)
