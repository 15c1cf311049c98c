"""Encoders and classifiers: token types, heads, pooling, and BERT's count of parameters."""

import copy

import pytest
import torch
from torch import Tensor

from phalanx.config import ModelConfig
from phalanx.layers import pooling as pooling_layers
from phalanx.models import Classifier, Encoder, build, count, preset
from phalanx.rows import Rows

POOLINGS = ("first", "mean", "max")


def small(**changes: object) -> Encoder:
    fields = {"width": 16, "layers": 2, "attention": {"heads": 2}, "feed_forward": {"width": 24}}
    model = build(preset("bert-base", 11, 12, **fields | changes), seed=0)
    assert isinstance(model, Encoder)
    with torch.no_grad():
        for parameter in model.double().parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return model


def close(given: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(given, expected, rtol=1e-12, atol=1e-12)


def test_bert_base_has_as_many_parameters_as_bert() -> None:
    transformers = pytest.importorskip("transformers")
    given = transformers.BertConfig()
    with torch.device("meta"):
        masked = transformers.BertForMaskedLM(given).num_parameters()
        bare = transformers.BertModel(given, add_pooling_layer=False).num_parameters()
        whole = transformers.BertModel(given).num_parameters()
        tagger = transformers.BertForTokenClassification(given).num_parameters()
        classifier = transformers.BertForSequenceClassification(given).num_parameters()

    def counted(**changes: object) -> int:
        return count(preset("bert-base", given.vocab_size, 512, **changes))[0]

    outputs = given.num_labels
    assert counted() == masked == 109_514_298
    assert counted(head="linear", output_bias=False) == bare == 108_891_648
    assert counted(outputs=outputs) == tagger
    assert counted(outputs=outputs, pooling="first") == classifier
    assert classifier - outputs * (768 + 1) == whole == 109_482_240


def test_an_embedding_is_the_normed_sum_of_its_tables() -> None:
    model, ids_BT = small(), torch.randint(11, (2, 5))
    types_BT = torch.tensor([[0, 0, 1, 1, 1], [0, 1, 1, 1, 1]])
    found = model._embed(ids_BT, Rows.full(2, 5).positions_BT, types_BT)
    assert model.types is not None
    assert model.positions is not None
    summed = model.embedding.weight[ids_BT] + model.types.weight[types_BT]
    summed = summed + model.positions.weight[:5]
    assert model.embedding_norm is not None
    close(found, model.embedding_norm(summed))


def test_tokens_are_of_type_0_unless_told_otherwise() -> None:
    model, ids_BT = small(), torch.randint(11, (2, 5))
    close(model(ids_BT), model(ids_BT, types_BT=torch.zeros_like(ids_BT)))
    assert not torch.allclose(model(ids_BT), model(ids_BT, None, torch.ones_like(ids_BT)))


def test_the_epsilon_reaches_every_norm() -> None:
    model = small(norm_epsilon=0.25)
    norms = [part for part in model.modules() if isinstance(part, torch.nn.LayerNorm)]
    assert len(norms) == 1 + 2 * 2 + 1  # of the embedding, of two layers, of the head
    assert {norm.eps for norm in norms} == {0.25}


def test_heads_are_what_they_say() -> None:
    y_BD = torch.randn(3, 16, dtype=torch.float64)
    masked, pooled = small(), small(outputs=4, pooling="first")
    dense = masked.transform.dense
    transformed = masked.transform.norm(
        torch.nn.functional.gelu(y_BD @ dense.weight.t() + dense.bias)
    )
    close(masked.head(y_BD), transformed @ masked.embedding.weight.t() + masked.output_bias)
    dense = pooled.transform.dense
    transformed = torch.tanh(y_BD @ dense.weight.t() + dense.bias)
    close(pooled.head(y_BD), transformed @ pooled.output.weight.t() + pooled.output.bias)


@pytest.mark.parametrize("init", ["glorot", "zero", "gpt2"])
@pytest.mark.parametrize("pooling", [None, "first"])
def test_every_weight_is_drawn_from_the_generator(init: str, pooling: str | None) -> None:
    """Also into memory that held something else, as after building on meta."""
    changes = {} if pooling is None else {"outputs": 5, "pooling": pooling}
    config = small(init=init, **changes).config
    first = build(config, seed=3)
    with torch.device("meta"):
        second = build(config).to_empty(device="cpu")
    with torch.no_grad():
        for tensor in [*second.parameters(), *second.buffers()]:
            tensor.fill_(float("nan"))
    second.init_weights(torch.Generator().manual_seed(3))
    assert first.state_dict().keys() == second.state_dict().keys()
    for name, tensor in first.state_dict().items():
        assert torch.equal(tensor, second.state_dict()[name]), name


def classifier(pooling: str, name: str) -> Classifier:
    changes: dict[str, object] = {"width": 16, "layers": 1, "outputs": 3, "pooling": pooling}
    model = build(preset(name, 11, 12, kind="encoder", **changes), seed=0)
    assert isinstance(model, Classifier)
    with torch.no_grad():
        for parameter in model.double().parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return model


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("name", ["transformer", "transformer-2017", "lstm", "mingru"])
def test_a_padded_row_is_classified_as_it_is_alone(pooling: str, name: str) -> None:
    """Its scores, and the gradients that it gives to the weights; also a row of one token."""
    model, lengths = classifier(pooling, name), [7, 4, 1]
    ids_BT, weights_BV = torch.randint(11, (3, 7)), torch.randn(3, 3, dtype=torch.float64)
    rows = Rows.padded(torch.tensor(lengths), 7)
    together = copy.deepcopy(model)
    scores_BV = together(ids_BT, rows)
    (scores_BV * weights_BV).sum().backward()
    for row, length in enumerate(lengths):
        alone_BV = model(ids_BT[row : row + 1, :length])
        close(alone_BV[0], scores_BV[row])
        (alone_BV[0] * weights_BV[row]).sum().backward()
    for one, other in zip(model.parameters(), together.parameters(), strict=True):
        if other.grad is not None:
            close(one.grad, other.grad)
    poisoned_BT = torch.where(rows.keep_BT, ids_BT, (ids_BT + 1) % 11)
    close(together(poisoned_BT, rows), scores_BV)


def test_a_mean_that_counts_padding_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(pooling_layers.POOLINGS, "mean", lambda y_BTD, rows: y_BTD.mean(1))
    with pytest.raises(AssertionError):
        test_a_padded_row_is_classified_as_it_is_alone("mean", "transformer")


@pytest.mark.parametrize("pooling", POOLINGS)
def test_a_row_of_nothing_is_pooled_to_zero(pooling: str) -> None:
    model, ids_BT = classifier(pooling, "transformer"), torch.randint(11, (2, 3))
    pooled_BD = model.pooled(ids_BT, Rows.padded(torch.tensor([3, 0]), 3))
    assert bool(pooled_BD[0].ne(0).any())
    assert not bool(pooled_BD[1].ne(0).any())


def test_poolings_are_what_they_say() -> None:
    ids_BT, lengths_B = torch.randint(11, (2, 5)), torch.tensor([5, 3])
    rows = Rows.padded(lengths_B, 5)
    for pooling in POOLINGS:
        model = classifier(pooling, "transformer")
        y_BTD, _ = model.hidden(ids_BT, rows)
        for row, length in enumerate(lengths_B.tolist()):
            own_TD = y_BTD[row, :length]
            expected = {"first": own_TD[0], "mean": own_TD.mean(0), "max": own_TD.amax(0)}
            close(model.pooled(ids_BT, rows)[row], expected[pooling])


def test_a_classifier_answers_once_a_row() -> None:
    model = classifier("mean", "gru")
    assert model(torch.zeros(2, 4, dtype=torch.int64)).shape == (2, 3)


def test_a_configuration_of_before_says_the_same() -> None:
    """Fields that came later have the values by which a model is what it was."""
    config = preset("transformer", 11, 12, width=16)
    later = ("norm_epsilon", "embedding_norm", "token_types", "pooling", "head")
    before = {k: v for k, v in config.model_dump().items() if k not in later}
    assert ModelConfig.model_validate(before) == config
