"""A masked language model's run: prepared, trained, kept, and what others start from."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from phalanx.config import RunConfig
from phalanx.data.tokenizers import train_tokenizer
from phalanx.errors import UsageError
from phalanx.models import build
from phalanx.tasks import masked_lm
from phalanx.training.estimate import estimate
from phalanx.training.initial import load_initial
from phalanx.training.model_directory import Description, save_model
from phalanx.training.preparing import classification
from phalanx.training.preparing.masked_lm import MaskedLM, prepare
from phalanx.training.run import make_trainer

RHYME = "one two buckle my shoe, three four knock at the door, five six pick up sticks.\n"


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PHALANX_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "rhyme.txt"
    path.write_text(RHYME * 60)
    return path


def config(path: Path, **changes: Any) -> RunConfig:
    train = {"steps": 60, "batch_size": 8, "sequence_length": 16, "precision": "float32"}
    train |= {"evaluate_every": 30, **changes.pop("train", {})}
    data = {"paths": [str(path)], "vocabulary": 300, **changes.pop("data", {})}
    model = {"width": 32, "layers": 1, **changes.pop("model", {})}
    values = {"task": "masked-lm", "data": data, "train": train, "model": model, **changes}
    return RunConfig.model_validate({"device": "cpu", **values})


def trained(prepared: MaskedLM) -> tuple[Any, dict[str, float]]:
    trainer = make_trainer(prepared, say=pytest.fail)
    *_, last = trainer.events()
    return trainer.model, dict(last.scores)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"preset": "gru", "data": {"tokenizer": "words"}},
        {"data": {"tokenizer": "bpe", "documents": "separate", "lowercase": True}},
    ],
    ids=["transformer", "gru", "bpe, separate"],
)
def test_a_run_learns_more_than_frequencies(text: Path, changes: dict[str, Any]) -> None:
    train = {"steps": 120, "batch_size": 16, "mask_fraction": 0.3, "evaluate_every": 120}
    prepared = prepare(config(text, train=train, **changes))
    assert prepared.model_config.kind == "encoder"
    assert (prepared.model_config.head, prepared.model_config.pooling) == ("masked", None)
    assert "mask" in prepared.tokenizer.special_ids
    model, scores = trained(prepared)
    assert scores.keys() == {"loss", "accuracy", "perplexity"}
    assert scores["loss"] == masked_lm.evaluate(model, prepared.validation).loss
    kept = prepared.extras()[masked_lm.FILE_NAME]
    unigram = masked_lm.Unigram.from_json(kept, prepared.tokenizer.vocabulary)
    assert sum(json.loads(kept)["counts"]) > 500
    assert scores["loss"] < unigram.evaluate(prepared.validation).loss - 0.3


def test_what_is_told_and_kept(text: Path, tmp_path: Path) -> None:
    prepared = prepare(config(text))
    [line] = prepared.described()
    assert line.startswith(f"text: {text}, 1 file, 4,740 bytes, split by characters; ")
    assert "(wordpiece, vocabulary " in line
    assert "15% of them hidden" in line
    assert prepared.config.data.tokenizer == "wordpiece"
    assert prepare(prepared.config).model_config == prepared.model_config, "resolved"
    summary = prepared.data_summary()
    assert summary["training_tokens"] == prepared.epoch_tokens == len(prepared.store.train)
    assert prepared.next_command(tmp_path).startswith("phalanx train --task classification --init")


def test_words_outside_the_vocabulary_are_told(tmp_path: Path) -> None:
    path, other = tmp_path / "train.txt", tmp_path / "validation.txt"
    path.write_text(RHYME * 60)
    other.write_text("seven eight lay them straight " + RHYME * 3)
    prepared = prepare(config(path, data={"validation_paths": [str(other)], "tokenizer": "words"}))
    assert "warning: 5 of 53 tokens" in prepared.described()[1]


def test_memory_and_time_are_estimated_by_the_batches_that_come(text: Path) -> None:
    prepared = prepare(config(text))
    shapes = prepared.shapes()
    batch: Any = prepared.batches()(0)
    zeros: Any = shapes.step(8)
    for name in ("inputs_BT", "chosen_BK", "targets_BK"):
        assert getattr(zeros, name).shape == getattr(batch, name).shape
    assert (shapes.tokens, batch.tokens) == (128, 128)
    assert estimate(prepared.model_config, prepared.config.train, shapes).flops_per_step > 0
    assert prepared.validation_seconds(build(prepared.model_config, 0)) > 0


def test_a_tokenizer_without_a_mask_is_refused(text: Path, tmp_path: Path) -> None:
    train_tokenizer("words", [RHYME]).save(tmp_path / "tokenizer")
    with pytest.raises(UsageError, match="no token for a hidden word"):
        prepare(config(text, data={"tokenizer": str(tmp_path / "tokenizer")}))


def test_others_start_from_it_and_it_goes_on(text: Path, tmp_path: Path) -> None:
    prepared = prepare(config(text, train={"steps": 10}))
    model, _ = trained(prepared)
    start = tmp_path / "pretrained"
    description = Description(task="masked_lm", model=prepared.model_config)
    save_model(start, model, prepared.tokenizer, description)

    onward = prepare(config(text, init=str(start), model={}).model_copy(update={"model": {}}))
    assert onward.model_config == prepared.model_config
    assert onward.tokenizer.digest == prepared.tokenizer.digest
    again = build(onward.model_config, 5)
    assert load_initial(again, str(start)).endswith("fresh: none")
    assert torch.equal(again.embedding.weight, model.embedding.weight)

    table = tmp_path / "rows.csv"
    table.write_text(
        "text,label\n" + "".join(f"{n},{'odd' if n % 2 else 'even'}\n" for n in range(60))
    )
    asked = config(table, init=str(start), task="classification")
    labels = classification.prepare(asked.model_copy(update={"model": {}}))
    assert labels.model_config.width == prepared.model_config.width
    assert labels.model_config.layers == prepared.model_config.layers
    classifier = build(labels.model_config, 5)
    said = load_initial(classifier, str(start))
    assert "fresh: output.weight [2, 32]" in said
    assert "blocks" not in said.split("fresh")[1]
