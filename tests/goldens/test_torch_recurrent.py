"""Our recurrent mixers against torch.nn.RNN, LSTM and GRU, weights moved both ways."""

from collections.abc import Callable

import pytest
import torch
from torch import nn

from phalanx.errors import UsageError
from phalanx.interop.torch_rnn import copy_from_torch, mixers_from_torch, torch_from_mixers
from phalanx.mixers import GRU, LSTM, RNN, Bidirectional
from phalanx.models import build, preset
from phalanx.rows import Rows

WIDTH = 6
KINDS: dict[str, Callable[..., nn.RNNBase]] = {
    "rnn-tanh": lambda **options: nn.RNN(WIDTH, WIDTH, batch_first=True, **options),
    "rnn-relu": lambda **o: nn.RNN(WIDTH, WIDTH, batch_first=True, nonlinearity="relu", **o),
    "lstm": lambda **options: nn.LSTM(WIDTH, WIDTH, batch_first=True, **options),
    "gru": lambda **options: nn.GRU(WIDTH, WIDTH, batch_first=True, **options),
}
kinds = pytest.mark.parametrize("kind", KINDS)
layers = pytest.mark.parametrize("layers", [1, 2])


def close(given: torch.Tensor, expected: torch.Tensor) -> None:
    torch.testing.assert_close(given, expected, rtol=1e-12, atol=1e-13)


@kinds
@layers
@pytest.mark.parametrize("schedule", ["serial", "fused"])
def test_outputs_states_and_gradients(kind: str, layers: int, schedule: str) -> None:
    theirs = KINDS[kind](num_layers=layers).double()
    ours = mixers_from_torch(theirs)
    assert ours[0].weight_ih_l0.dtype == torch.float64
    x_BTD = torch.randn(3, 7, WIDTH, dtype=torch.float64, requires_grad=True)
    expected_BTD, last = theirs(x_BTD)
    last_LBD = last if torch.is_tensor(last) else last[0]

    y_BTD, rows = x_BTD, Rows.full(3, 7)
    for layer, mixer in enumerate(ours):
        mixer.use_schedule(schedule)
        y_BTD, state = mixer(y_BTD, rows, mixer.empty_state(3, 0, x_BTD))
        close(state.hidden_BD, last_LBD[layer])
        if kind == "lstm":
            close(state.cell_BD, last[1][layer])
    close(y_BTD, expected_BTD)

    weights = torch.randn_like(y_BTD)
    found = torch.autograd.grad((y_BTD * weights).sum(), [x_BTD, ours[0].weight_hh_l0])
    truth = torch.autograd.grad((expected_BTD * weights).sum(), [x_BTD, theirs.weight_hh_l0])
    for one, other in zip(found, truth, strict=True):
        close(one, other)


@kinds
@layers
def test_weights_move_back(kind: str, layers: int) -> None:
    theirs = KINDS[kind](num_layers=layers)
    again = torch_from_mixers(mixers_from_torch(theirs))
    assert type(again) is type(theirs)
    assert again.mode == theirs.mode
    for name, tensor in theirs.state_dict().items():
        assert torch.equal(again.state_dict()[name], tensor), name


@kinds
def test_state_dict_of_one_layer_moves_as_it_is(kind: str) -> None:
    theirs = KINDS[kind]()
    mixer = {"l": LSTM, "g": GRU, "r": RNN}[kind[0]](WIDTH)
    mixer.load_state_dict(theirs.state_dict())
    theirs.load_state_dict(mixer.state_dict())


def test_layers_of_a_decoder() -> None:
    theirs = KINDS["lstm"](num_layers=2).double()
    decoder = build(preset("lstm", 9, 16, width=WIDTH, layers=2)).double()
    copy_from_torch(theirs, [block.mixer for block in decoder.blocks])
    ids_BT = torch.randint(9, (2, 5))
    y_BTD, _ = decoder.hidden(ids_BT)
    close(y_BTD, theirs(decoder.embedding(ids_BT))[0])


def test_a_module_without_biases() -> None:
    theirs = KINDS["gru"](bias=False).double()
    (mixer,) = mixers_from_torch(theirs)
    x_BTD = torch.randn(2, 4, WIDTH, dtype=torch.float64)
    close(mixer(x_BTD, Rows.full(2, 4))[0], theirs(x_BTD)[0])


def test_bidirectional_lstm() -> None:
    """Ours joins both directions by a linear layer; theirs leaves them side by side."""
    theirs = nn.LSTM(WIDTH, WIDTH, batch_first=True, bidirectional=True).double()
    ours = Bidirectional(WIDTH, LSTM(WIDTH), LSTM(WIDTH)).double()
    weights = theirs.state_dict()
    ours.forwards.load_state_dict({n: t for n, t in weights.items() if "reverse" not in n})
    ours.backwards.load_state_dict(
        {n.removesuffix("_reverse"): t for n, t in weights.items() if "reverse" in n}
    )
    x_BTD = torch.randn(3, 7, WIDTH, dtype=torch.float64)
    close(ours(x_BTD, Rows.full(3, 7))[0], ours.output(theirs(x_BTD)[0]))
    packed = nn.utils.rnn.pack_padded_sequence(x_BTD, torch.tensor([7, 4, 2]), batch_first=True)
    both_BTD, _ = nn.utils.rnn.pad_packed_sequence(theirs(packed)[0], batch_first=True)
    rows = Rows.padded(torch.tensor([7, 4, 2]), 7)
    close(ours(x_BTD, rows)[0], rows.zero_padding(ours.output(both_BTD)))


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (nn.LSTM(4, 4, bidirectional=True), "bidirectional"),
        (nn.LSTM(4, 4, proj_size=2), "projects its outputs to 2"),
        (nn.GRU(3, 4), "width 3 into 4"),
    ],
)
def test_what_cannot_be_moved(module: nn.RNNBase, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        mixers_from_torch(module)


def test_mixers_that_do_not_fit() -> None:
    with pytest.raises(UsageError, match="1 mixers were given for 2 layers"):
        copy_from_torch(nn.GRU(4, 4, 2), [GRU(4)])
    with pytest.raises(UsageError, match="expected GRU of width 4"):
        copy_from_torch(nn.GRU(4, 4), [LSTM(4)])
    with pytest.raises(UsageError, match="expected tanh"):
        copy_from_torch(nn.RNN(4, 4), [RNN(4, "relu")])
    with pytest.raises(UsageError, match="at least one"):
        torch_from_mixers([])
