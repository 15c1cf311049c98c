"""Starting from a trained model: all below the head is taken, and the head where it fits."""

from pathlib import Path

import pytest
import torch

from phalanx.config import ModelConfig, RunConfig
from phalanx.data.tokenizers import Tokenizer, train_tokenizer
from phalanx.errors import UsageError
from phalanx.models import Model, build, preset
from phalanx.training.initial import initial_config, initial_tokenizer, load_initial
from phalanx.training.model_directory import Description, save_model
from phalanx.training.run import prepare

LENGTH = 12


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return train_tokenizer("words", ["a few words to begin with"], mask=True)


@pytest.fixture
def pretrained(tmp_path: Path, tokenizer: Tokenizer) -> Path:
    """A masked language model on disk."""
    return saved(tmp_path / "pretrained", encoder(tokenizer, tied=True, head="masked"), tokenizer)


def encoder(tokenizer: Tokenizer, **changes: object) -> ModelConfig:
    positions: dict[str, object] = {"positions": "learned", "output_bias": True}
    return preset(
        "transformer",
        tokenizer.vocabulary,
        LENGTH,
        kind="encoder",
        **{"width": 16, "layers": 2, **positions, **changes},  # type: ignore[arg-type]
    )


def saved(path: Path, config: ModelConfig, tokenizer: Tokenizer) -> Path:
    model = build(config, seed=1)
    with torch.no_grad():  # as if trained: no bias is zero and no norm is one
        for parameter in model.parameters():
            parameter += 0.1
    save_model(path, model, tokenizer, Description(task="masked_lm", model=config))
    return path


def equal(one: Model, other: Model, *names: str) -> bool:
    ours, theirs = one.state_dict(), other.state_dict()
    return all(torch.equal(ours[name], theirs[name]) for name in names)


def test_a_classifier_begins_with_the_encoder_and_a_fresh_head(
    pretrained: Path, tokenizer: Tokenizer
) -> None:
    config = initial_config(pretrained, "encoder")
    assert config == encoder(tokenizer, tied=True, head="masked")
    assert initial_tokenizer(pretrained).digest == tokenizer.digest
    values = {**config.model_dump(), "outputs": 3, "tied": False, "head": "linear"}
    model = build(ModelConfig(**{**values, "pooling": "mean"}), seed=5)
    fresh = build(model.config, seed=5)
    said = load_initial(model, str(pretrained))
    start = build(config, seed=1)
    body = [name for name in model.state_dict() if not name.startswith("output")]
    assert len(body) > 15
    for name in body:
        assert torch.equal(model.state_dict()[name], start.state_dict()[name] + 0.1), name
    assert equal(model, fresh, "output.weight", "output.bias")
    parameters = sum(model.state_dict()[name].numel() for name in body)
    assert said == (
        f"init {pretrained}: {len(body)} tensors taken ({parameters:,} parameters); "
        "fresh: output.weight [3, 16], output.bias [3]"
    )


def test_a_masked_model_goes_on_with_its_head(pretrained: Path, tokenizer: Tokenizer) -> None:
    model = build(initial_config(pretrained), seed=5)
    assert load_initial(model, str(pretrained)).endswith("fresh: none")
    start = build(model.config, seed=1).state_dict()
    assert all(torch.equal(t, start[name] + 0.1) for name, t in model.state_dict().items())


def test_a_poolers_transform_is_taken_and_that_for_masks_is_not(
    tmp_path: Path, pretrained: Path, tokenizer: Tokenizer
) -> None:
    pooled = {"pooling": "first", "head": "pooler", "tied": False}
    path = saved(tmp_path / "pooled", encoder(tokenizer, outputs=4, **pooled), tokenizer)
    model = build(encoder(tokenizer, outputs=4, **pooled), seed=5)
    said = load_initial(model, str(path))
    assert said.endswith("fresh: output.weight [4, 16], output.bias [4]"), "labels of its own"
    said = load_initial(build(model.config, seed=5), str(pretrained))
    assert "fresh: transform.dense.weight [16, 16]" in said


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"layers": 3}, "blocks.2.*lacking there and"),
        ({"layers": 1}, "there and lacking here"),
        ({"width": 32}, r"there and \[32"),
        ({"token_types": 2}, "types.*lacking there"),
    ],
)
def test_another_architecture_is_refused(
    pretrained: Path, tokenizer: Tokenizer, changes: dict[str, object], said: str
) -> None:
    model = build(encoder(tokenizer, outputs=3, **changes), seed=5)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with pytest.raises(UsageError, match=f"the model here is another: .*{said}"):
        load_initial(model, str(pretrained))
    assert all(torch.equal(t, before[name]) for name, t in model.state_dict().items())


def test_a_model_of_another_kind_is_refused(tmp_path: Path, tokenizer: Tokenizer) -> None:
    config = preset("transformer", tokenizer.vocabulary, LENGTH, width=16, layers=1)
    path = saved(tmp_path / "decoder", config, tokenizer)
    assert initial_config(path).kind == "decoder"
    with pytest.raises(UsageError, match="it is a decoder, and this task needs an encoder"):
        initial_config(path, "encoder")
    with pytest.raises(UsageError, match="Expected a run directory or a model directory"):
        initial_config(tmp_path / "nowhere")


def test_a_hugging_face_directory_brings_its_encoder(tmp_path: Path) -> None:
    from transformers import BertConfig, BertForMaskedLM

    words = train_tokenizer("wordpiece", ["a few words to begin with"], 40)
    torch.manual_seed(0)
    theirs = BertForMaskedLM(
        BertConfig(
            vocab_size=words.vocabulary,
            hidden_size=16,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=24,
            max_position_embeddings=20,
        )
    ).eval()
    theirs.save_pretrained(tmp_path)
    words.save(tmp_path)
    config = initial_config(tmp_path, "encoder")
    assert initial_tokenizer(tmp_path).digest == words.digest
    changes = {"outputs": 3, "tied": False, "head": "linear", "pooling": "mean"}
    model = build(ModelConfig(**{**config.model_dump(), **changes}), seed=5).eval()
    assert "fresh: output.weight [3, 16]" in load_initial(model, str(tmp_path))
    ids_BT = torch.randint(0, config.vocabulary, (2, 7))
    with torch.no_grad():
        expected = theirs.bert(ids_BT).last_hidden_state
        found, _ = model.hidden(ids_BT)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_a_run_keeps_within_the_context_that_it_starts_from(
    pretrained: Path, tmp_path: Path
) -> None:
    rows = "".join(f"a few words {n},{'even' if n % 2 == 0 else 'odd'}\n" for n in range(40))
    (tmp_path / "rows.csv").write_text(f"text,label\n{rows}")
    values = {
        "task": "classification",
        "init": str(pretrained),
        "data": {"paths": [str(tmp_path / "rows.csv")]},
        "device": "cpu",
    }
    prepared = prepare(RunConfig.model_validate(values))
    assert prepared.config.train.sequence_length == LENGTH
    longer = RunConfig.model_validate({**values, "train": {"sequence_length": LENGTH + 1}})
    with pytest.raises(UsageError, match="sequence_length"):
        prepare(longer)
