"""Each parameter is in the group that it belongs to, by the type of its module."""

import copy

import pytest
import torch
from small_runs import PRESETS, small_model

from phalanx.config import TrainingConfig
from phalanx.models import build, preset
from phalanx.training.muon import Muon
from phalanx.training.optimizers import hidden_matrices, make_optimizers, set_rate, state_tensors


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("rnn", {"weight_ih_l0": 1, "weight_hh_l0": 1}),
        ("lstm", {"weight_ih_l0": 4, "weight_hh_l0": 4}),
        ("gru", {"weight_ih_l0": 3, "weight_hh_l0": 3}),
        ("mingru", {"mixer.input.weight": 2, "mixer.output.weight": 1}),
        ("transformer", {"query.weight": 1, "key_value.weight": 2, "mixer.output.weight": 1}),
    ],
)
def test_stacked_parts(name: str, expected: dict[str, int]) -> None:
    model = small_model(name, 20)
    names = {parameter: key for key, parameter in model.named_parameters()}
    found = {names[p]: parts for p, parts in hidden_matrices(model)}
    for ending, parts in expected.items():
        mine = {key: n for key, n in found.items() if key.endswith(ending)}
        assert len(mine) == 2, ending  # one a layer
        assert set(mine.values()) == {parts}
    assert not any(key.startswith(("embedding", "output", "positions")) for key in found)


def test_gates_of_both_directions_are_found() -> None:
    config = preset("transformer", 20, 8, kind="encoder", width=16, layers=1, mixers=["lstm+gru"])
    parts = sorted(parts for _, parts in hidden_matrices(build(config)))
    # Joining layer and feed-forward network are single maps; two matrices each of gru and lstm.
    assert parts == [1, 1, 1, 3, 3, 4, 4]


def test_matrices_that_read_a_memory_are_found() -> None:
    config = preset(
        "lstm", 20, 8, kind="encoder_decoder", width=16, layers=1, feed_forward={"width": 24}
    )
    model = build(config)
    names = {parameter: key for key, parameter in model.named_parameters()}
    found = {names[p]: parts for p, parts in hidden_matrices(model)}
    assert {k.removeprefix("blocks.0."): n for k, n in found.items() if k.startswith("blocks")} == {
        "own.mixer.weight_ih_l0": 4,
        "own.mixer.weight_hh_l0": 4,
        "reading.mixer.query.weight": 1,
        "reading.mixer.key_value.weight": 2,
        "reading.mixer.output.weight": 1,
        "reading.feed_forward.input.weight": 1,
        "reading.feed_forward.output.weight": 1,
    }
    assert all(key.startswith(("blocks.", "encoder_blocks.")) for key in found)


def test_tables_and_heads_are_not_hidden_matrices() -> None:
    changes = {"width": 16, "layers": 1, "attention": {"heads": 2}, "outputs": 3}
    model = build(preset("bert-base", 20, 8, pooling="first", **changes))
    names = {parameter: key for key, parameter in model.named_parameters()}
    found = {names[p] for p, _ in hidden_matrices(model)}
    left = {key for key, p in model.named_parameters() if p.dim() == 2} - found
    assert left == {
        "embedding.weight",
        "types.weight",
        "positions.weight",
        "transform.dense.weight",
        "output.weight",
    }


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("optimizer", ["muon", "adamw"])
def test_every_parameter_is_in_exactly_one_group(name: str, optimizer: str) -> None:
    model = small_model(name, 20)
    config = TrainingConfig(optimizer=optimizer, weight_decay=0.1)
    optimizers = make_optimizers(model, config)
    groups = [group for each in optimizers for group in each.param_groups]
    listed = [p for group in groups for p in group["params"]]
    assert sorted(map(id, listed)) == sorted(map(id, model.parameters()))
    for group in groups:
        if group["weight_decay"]:
            assert all(p.dim() == 2 for p in group["params"])
        else:
            assert all(p.dim() < 2 for p in group["params"])
    muon = [each for each in optimizers if isinstance(each, Muon)]
    assert len(muon) == (optimizer == "muon")
    if muon:
        by_muon = {id(p) for group in muon[0].param_groups for p in group["params"]}
        assert id(model.embedding.weight) not in by_muon
        assert all(group["lr"] == config.muon_learning_rate for group in muon[0].param_groups)


def test_rate_scales_the_peak_of_each_group() -> None:
    optimizers = make_optimizers(small_model("transformer", 20), TrainingConfig())
    for share in (0.5, 0.25):  # of the peak, not of the last rate
        set_rate(optimizers, share)
    rates = {round(group["lr"], 9) for each in optimizers for group in each.param_groups}
    assert rates == {0.25 * 3e-3, 0.25 * 0.01, 0.25 * 0.04}
    assert isinstance(optimizers[0], torch.optim.AdamW)


def test_the_table_of_tokens_has_its_own_rate_where_one_is_given() -> None:
    model = small_model("lstm", 20)
    for rate, expected in ((0.05, 0.05), (None, 3e-3)):
        config = TrainingConfig(learning_rate=3e-3, embedding_learning_rate=rate)
        groups = [g for each in make_optimizers(model, config) for g in each.param_groups]
        (mine,) = [g for g in groups if any(p is model.embedding.weight for p in g["params"])]
        assert mine["lr"] == expected


@pytest.mark.parametrize("optimizer", ["muon", "adamw"])
def test_states_are_there_before_the_first_step_as_torch_would_make_them(optimizer: str) -> None:
    model = small_model("transformer", 20)
    other = copy.deepcopy(model)
    config = TrainingConfig(optimizer=optimizer)
    ours, theirs = make_optimizers(model, config), make_optimizers(other, config)
    theirs[0].state.clear()  # AdamW makes its own in the first step
    before = state_tensors(ours, model)
    assert not any(tensor.any() for tensor in before.values())
    for each, optimizers in ((model, ours), (other, theirs)):
        for parameter in each.parameters():
            parameter.grad = torch.ones_like(parameter)
        for one in optimizers:
            one.step()
    made = state_tensors(theirs, other)
    assert made.keys() == before.keys()
    for name, tensor in state_tensors(ours, model).items():
        assert (tensor.dtype, tensor.stride()) == (made[name].dtype, made[name].stride())
        assert torch.equal(tensor, made[name]), name


def test_states_have_the_names_of_their_parameters() -> None:
    model = small_model("transformer-2017", 20)  # its output is its table of tokens
    names = {name for name, _ in model.named_parameters()}
    tensors = state_tensors(make_optimizers(model, TrainingConfig()), model)
    kinds = {key.split(".", 2)[2]: key for key in tensors}
    assert kinds.keys() == names
    assert tensors["adamw.exp_avg.embedding.weight"].shape == model.embedding.weight.shape
    assert sum(key.startswith("muon.momentum_buffer.blocks.") for key in tensors) == len(
        hidden_matrices(model)
    )
