"""The encoder-decoder: teacher forcing, memory, maps; more is in the laws and the goldens."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812  # torch's own customary name

from phalanx.models import EncoderDecoder, build, preset
from phalanx.rows import Rows

NAMES = ["transformer", "transformer-2017", "lstm", "gru", "mingru"]
every = pytest.mark.parametrize("name", NAMES)
V, S, T = 11, 7, 5


def small(name: str, **changes: object) -> EncoderDecoder:
    fields: dict[str, object] = {"width": 16, "layers": 2} | changes
    model = build(preset(name, V, 12, kind="encoder_decoder", **fields), seed=0)
    assert isinstance(model, EncoderDecoder)
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in model.double().parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return model


def pair() -> tuple[Tensor, Tensor, Rows, Rows]:
    """Sources and targets of uneven lengths."""
    generator = torch.Generator().manual_seed(1)
    source_BS = torch.randint(V, (3, S), generator=generator)
    ids_BT = torch.randint(V, (3, T), generator=generator)
    source_rows = Rows.padded(torch.tensor([7, 1, 4]), S)
    return source_BS, ids_BT, source_rows, Rows.padded(torch.tensor([5, 4, 1]), T)


def close(given: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(given, expected, rtol=1e-12, atol=1e-12)


@every
def test_teacher_forcing_is_one_loss_a_position(name: str) -> None:
    """The loss of a whole target = the sum of T losses, each of a prefix alone; gradients too."""
    model = small(name)
    source_BS, ids_BT, _, _ = pair()
    targets_BT = ids_BT.roll(-1, 1)
    parameters = list(model.parameters())
    whole = F.cross_entropy(
        model(source_BS, ids_BT).flatten(0, 1), targets_BT.flatten(), reduction="sum"
    )
    found = torch.autograd.grad(whole, parameters)
    losses = []
    for t in range(T):
        scores_BV = model(source_BS, ids_BT[:, : t + 1])[:, -1]
        losses.append(F.cross_entropy(scores_BV, targets_BT[:, t], reduction="sum"))
    alone = torch.stack(losses).sum()
    close(whole, alone)
    for one, other in zip(found, torch.autograd.grad(alone, parameters), strict=True):
        close(one, other)


@every
def test_tokens_by_a_carried_state_are_those_of_full_passes(name: str) -> None:
    """Sources are encoded once; every step reads the keys and values kept of them."""
    model = small(name)
    source_BS, _, source_rows, _ = pair()
    with torch.inference_mode():
        state = model.empty_state(model.encode(source_BS, source_rows), 8)
        ids_B, written_BT = torch.zeros(3, dtype=torch.int64), torch.zeros(3, 1, dtype=torch.int64)
        for _ in range(6):
            scores_BV, state = model.step(ids_B, state)
            close(scores_BV, model(source_BS, written_BT, source_rows)[:, -1])
            ids_B = scores_BV.argmax(-1)
            written_BT = torch.cat([written_BT, ids_B[:, None]], 1)


@every
def test_rows_in_a_batch_are_those_rows_alone(name: str) -> None:
    """Source and target padded, targets as gradients of the weights too; a source of one token."""
    model = small(name)
    source_BS, ids_BT, source_rows, rows = pair()
    scores_BTV = model(source_BS, ids_BT, source_rows, rows)
    for row, (length, own) in enumerate([(7, 5), (1, 4), (4, 1)]):
        alone_BTV = model(source_BS[row : row + 1, :length], ids_BT[row : row + 1, :own])
        close(alone_BTV[0], scores_BTV[row, :own])


@every
def test_maps_of_attention(name: str) -> None:
    """One a layer, in sum 1 over the source's real positions, zero at padding of either; they are
    what the layer reads by."""
    model = small(name)
    source_BS, ids_BT, source_rows, rows = pair()
    maps = model.attention_maps(source_BS, ids_BT, source_rows, rows)
    heads = model.config.attention.heads
    assert [each.shape for each in maps] == [(3, heads, T, S)] * 2
    assert rows.keep_BT is not None
    assert source_rows.keep_BT is not None
    for each in maps:
        close(each.sum(-1), rows.keep_BT[:, None].expand(-1, heads, -1).double())
        assert not bool(each.movedim(-1, 1)[~source_rows.keep_BT].ne(0).any())
    cross = model.blocks[0].cross
    values_BHSK = model.encode(source_BS, source_rows).layers[0].values_BHSK
    read: list[Tensor] = []
    kept = cross.output.register_forward_pre_hook(lambda _module, given: read.append(given[0]))
    model(source_BS, ids_BT, source_rows, rows)
    kept.remove()
    mixed_BTD = (maps[0] @ values_BHSK).transpose(1, 2).flatten(2)
    close(read[0][..., : mixed_BTD.shape[-1]][rows.keep_BT], mixed_BTD[rows.keep_BT])
    assert not cross._forward_hooks


def test_what_is_read_must_be_there() -> None:
    with pytest.raises(ValueError, match="expected a memory"):
        small("gru").hidden(torch.zeros(1, 2, dtype=torch.int64))


def test_one_table_serves_source_target_and_output() -> None:
    model = small("transformer-2017")
    assert model.output is None
    source_BS, ids_BT, _, _ = pair()
    model(source_BS, ids_BT).square().sum().backward()
    assert len([p for p in model.parameters() if p.shape == (V, 16)]) == 1
    assert model.embedding.weight.grad is not None


@pytest.mark.parametrize("block", ["pre", "post", "plain"])
@pytest.mark.parametrize("mixer", ["attention", "gru"])
def test_any_block_goes_around_any_mixer(block: str, mixer: str) -> None:
    model = small("transformer", block=block, mixers=(mixer,), positions="learned")
    source_BS, ids_BT, source_rows, rows = pair()
    scores_BTV = model(source_BS, ids_BT, source_rows, rows)
    assert scores_BTV.shape == (3, T, V)
    assert bool(scores_BTV.isfinite().all())


@every
@pytest.mark.parametrize("init", ["glorot", "zero", "gpt2"])
def test_every_weight_is_drawn_from_the_generator(name: str, init: str) -> None:
    config = small(name, init=init).config
    first = build(config, seed=3)
    with torch.device("meta"):
        second = build(config).to_empty(device="cpu")
    with torch.no_grad():
        for tensor in [*second.parameters(), *second.buffers()]:
            tensor.fill_(float("nan"))
    second.init_weights(torch.Generator().manual_seed(3))
    for one, other in zip(
        [*first.parameters(), *first.buffers()],
        [*second.parameters(), *second.buffers()],
        strict=True,
    ):
        assert torch.equal(one, other)


@every
def test_dropout_is_on_both_sides(name: str) -> None:
    model = small(name, dropout=0.5)
    source_BS, ids_BT, source_rows, rows = pair()
    memory = model.eval().encode(source_BS, source_rows)
    close(model.encode(source_BS, source_rows).memory_BSD, memory.memory_BSD)
    still, _ = model.hidden(ids_BT, rows, memory=memory)
    model.train()
    assert not torch.allclose(model.encode(source_BS, source_rows).memory_BSD, memory.memory_BSD)
    assert not torch.allclose(model.hidden(ids_BT, rows, memory=memory)[0], still)


@every
def test_lowered_precision_warns_of_nothing(name: str) -> None:
    model = small(name).float()
    source_BS, ids_BT, source_rows, rows = pair()
    with torch.autocast("cpu", torch.bfloat16):
        model(source_BS, ids_BT, source_rows, rows).float().square().mean().backward()
        state = model.empty_state(model.encode(source_BS, source_rows), 8)
        _, state = model.hidden(ids_BT, rows, state)
        model.step(ids_BT[:, 0], state)


def test_a_state_holds_what_it_reads() -> None:
    """Rows of a beam go to other sentences with what they read, not without it."""
    model = small("transformer")
    source_BS, ids_BT, source_rows, _ = pair()
    memory = model.encode(source_BS, source_rows)
    state = model.empty_state(memory, 8)
    assert state.nbytes > sum(layer.nbytes for layer in memory.layers) > 0
    order = torch.tensor([2, 2, 0])
    _, chosen = model.hidden(ids_BT, None, state.select(order))
    assert chosen is not None
    expected_BTV = model(source_BS[order], torch.cat([ids_BT, ids_BT[:, :1]], 1),
                         Rows.padded(torch.tensor([4, 4, 7]), S))  # fmt: skip
    close(model.step(ids_BT[:, 0], chosen)[0], expected_BTV[:, -1])
