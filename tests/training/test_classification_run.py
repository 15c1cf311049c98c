"""A classifier's run: read, batched, trained, judged, and what is kept of it."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from phalanx.config import RunConfig
from phalanx.errors import UsageError
from phalanx.models import build
from phalanx.tasks.baselines import Baselines
from phalanx.tasks.classification_report import evaluate
from phalanx.training.estimate import choose_micro_batch, estimate
from phalanx.training.preparing.classification import Classification, prepare
from phalanx.training.preparing.masked_lm import prepare as prepare_masked_lm
from phalanx.training.run import make_trainer

NOUNS = ("cat", "dog", "tree", "house", "river", "stone", "cloud", "bird")


def write(path: Path, rows: int = 120, seed: int = 0, pairs: bool = False) -> Path:
    """Rows with their label among their words; one of the labels is rare."""
    draws = np.random.default_rng(seed)
    names = ["text", *(["text_b"] if pairs else []), "label"]
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text_a", *names[1:]] if pairs else names)
        for number in range(rows):
            filler = " ".join(draws.choice(NOUNS, draws.integers(0, 9)))
            label = "rare" if number % 12 == 0 else str(draws.choice(["over", "under"]))
            texts = [label, filler or "none"] if pairs else [f"{label} {filler}, {NOUNS[0]}"]
            writer.writerow([*texts, label])
    return path


def config(path: Path, **changes: Any) -> RunConfig:
    train = {"steps": 30, "batch_size": 16, "sequence_length": 16, "precision": "float32"}
    train |= {"evaluate_every": 10, **changes.pop("train", {})}
    data = {"paths": [str(path)], "vocabulary": 300, **changes.pop("data", {})}
    model = {"width": 16, "layers": 1, **changes.pop("model", {})}
    values = {"task": "classification", "data": data, "train": train, "model": model, **changes}
    return RunConfig.model_validate({"device": "cpu", **values})


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return write(tmp_path / "rows.csv")


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"preset": "lstm", "model": {"pooling": "max"}},
        {"model": {"mixers": ["gru+gru", "attention"], "layers": 2}},
        {"data": {"tokenizer": "bpe"}, "train": {"batch_tokens": 120}},
        {"data": {"tokenizer": "characters"}, "train": {"sequence_length": 40}},
    ],
    ids=["transformer", "lstm", "hybrid", "batches by tokens", "characters"],
)
def test_a_run_learns_what_is_there_to_learn(table: Path, changes: dict[str, Any]) -> None:
    train = {"steps": 40, **changes.pop("train", {})}
    prepared = prepare(config(table, train=train, **changes))
    assert prepared.labels == ("over", "rare", "under")
    trainer = make_trainer(prepared, say=pytest.fail)
    *_, last = trainer.events()
    assert last.scores.keys() == {"loss", "accuracy", "macro_f1"}  # type: ignore[union-attr]
    assert last.scores["accuracy"] > 0.75  # type: ignore[union-attr]


def test_batches_are_a_pure_function_of_the_step(table: Path) -> None:
    first, second = (prepare(config(table, train={"token_dropout": 0.3})) for _ in range(2))
    ahead = [first.batches()(step) for step in range(12)]
    for step in reversed(range(12)):
        batch, again = ahead[step], second.batches()(step)
        for name, tensor in vars(batch).items():
            other = getattr(again, name)
            assert (tensor is None and other is None) or torch.equal(tensor, other), name
    epoch = first.order.count
    seen = torch.cat([first.batches()(step).samples_B for step in range(epoch)])  # type: ignore[misc]
    assert sorted(seen.tolist()) == list(range(len(first.train.labels_N)))


def test_a_batch_holds_the_texts_and_their_labels(table: Path) -> None:
    prepared = prepare(config(table))
    batch: Any = prepared.batches()(3)
    for row, sample in enumerate(batch.samples_B.tolist()):
        ids = prepared.train.inputs.ids[sample].tolist()
        assert batch.inputs_BT[row, : len(ids)].tolist() == ids
        assert batch.labels_B[row] == prepared.train.labels_N[sample]
    assert batch.types_BT is None


def test_tokens_are_hidden_in_training_alone_and_anew_in_each_epoch(table: Path) -> None:
    plain, prepared = (prepare(config(table, train={"token_dropout": p})) for p in (0.0, 0.4))
    mask = prepared.tokenizer.special_ids["mask"]
    shares = []
    for step in range(prepared.order.count):
        batch: Any = prepared.batches()(step)
        given: Any = plain.batches()(step)
        hidden_BT = batch.inputs_BT != given.inputs_BT
        assert (batch.inputs_BT[hidden_BT] == mask).all()
        shares.append(float(hidden_BT.sum()) / batch.tokens)
    assert 0.2 < np.mean(shares) < 0.5
    assert not any((ids == mask).any() for ids in prepared.validation.inputs.ids)
    later = [
        prepared.batches()(step + prepared.order.count) for step in range(prepared.order.count)
    ]
    first = [prepared.batches()(step) for step in range(prepared.order.count)]
    masks = [
        {sample: at for b in part for sample, at in _hidden(b, mask)} for part in (first, later)
    ]
    assert masks[0].keys() == masks[1].keys()
    assert masks[0] != masks[1]


def _hidden(batch: Any, mask: int) -> list[tuple[int, list[int]]]:
    """Each sample of a batch, and the places of its hidden tokens."""
    places = [row.nonzero().flatten().tolist() for row in batch.inputs_BT == mask]
    return list(zip(batch.samples_B.tolist(), places, strict=True))


def test_balanced_weights_reach_the_loss_and_the_criterion(table: Path) -> None:
    prepared = prepare(config(table, train={"class_weights": "balanced"}))
    model = build(prepared.model_config, 0)
    batch: Any = prepared.batches()(0)
    assert prepared.weights_C is not None
    nats_B = torch.nn.functional.cross_entropy(
        model(batch.inputs_BT, None if batch.lengths_B is None else _rows(batch)),
        batch.labels_B,
        reduction="none",
    )
    expected = (nats_B * torch.tensor(prepared.weights_C)[batch.labels_B]).sum()
    torch.testing.assert_close(prepared.total(model, batch, 0.0).nats, expected)
    scores = {"loss": 1.0, "accuracy": 0.7, "macro_f1": 0.6}
    assert prepared.criterion(scores) == -0.6
    assert prepare(config(table)).criterion(scores) == -0.7


def _rows(batch: Any) -> Any:
    from phalanx.rows import Rows

    return Rows.padded(batch.lengths_B, batch.inputs_BT.shape[1])


def test_validation_gives_the_figures_of_an_evaluation(table: Path) -> None:
    from phalanx.data.labelled import load_examples

    prepared = prepare(config(table))
    model = build(prepared.model_config, 0)
    scores = prepared.validate(model)
    examples = load_examples(prepared.config.data).validation
    assert prepared.labels is not None
    kept = Baselines.from_json(prepared.extras()["baseline.json"], prepared.labels, "")
    report = evaluate(model, prepared.tokenizer, prepared.labels, examples, kept)
    assert scores["loss"] == pytest.approx(report.loss, rel=1e-5)
    assert scores["accuracy"] == report.accuracy
    assert scores["macro_f1"] == report.macro_f1
    assert set(report.baselines) == {"majority", "naive_bayes"}


@pytest.mark.parametrize("tokens", [None, 100])
def test_no_batch_is_larger_than_the_shapes_say(table: Path, tokens: int | None) -> None:
    prepared = prepare(config(table, train={"batch_tokens": tokens}))
    shapes = prepared.shapes()
    largest: Any = shapes.step(shapes.rows)
    for step in range(prepared.order.count):
        batch: Any = prepared.batches()(step)
        assert batch.inputs_BT.numel() <= largest.inputs_BT.numel() == shapes.positions
        assert len(batch.labels_B) <= shapes.rows
    found = estimate(prepared.model_config, prepared.config.train, shapes)
    assert found.flops_per_step > 0
    device = torch.device("cpu")
    micro = choose_micro_batch(prepared.model_config, prepared.config.train, device, shapes)
    assert micro == prepared.config.train.most_rows
    assert prepared.validation_seconds(build(prepared.model_config, 0)) > 0


def test_pairs_have_types_and_long_texts_are_said_to_be_cut(tmp_path: Path) -> None:
    path = write(tmp_path / "pairs.csv", pairs=True)
    prepared = prepare(config(path, train={"sequence_length": 9}))
    assert prepared.model_config.token_types == 2
    batch: Any = prepared.batches()(0)
    assert batch.types_BT is not None
    assert set(batch.types_BT.unique().tolist()) == {0, 1}
    assert max(map(len, prepared.train.inputs.ids)) == 9
    assert any("lose their end" in line for line in prepared.described())
    make_trainer(prepared).step()


def test_what_is_said_and_kept(table: Path) -> None:
    prepared = prepare(config(table))
    assert isinstance(prepared, Classification)
    lines = prepared.described()
    assert len(lines) == 2
    assert "labels: 3: " in lines[1]
    summary = json.loads(json.dumps(prepared.data_summary()))
    assert sum(summary["labels"].values()) == summary["training_rows"]
    assert prepared.next_command(Path("runs/x")) == 'phalanx predict runs/x --text "..."'
    resolved = prepared.config
    assert resolved.data.tokenizer == "wordpiece"
    assert resolved.model["outputs"] == 3
    assert resolved.model["pooling"] == "mean"
    again = prepare(resolved)
    assert again.model_config == prepared.model_config
    assert again.tokenizer.digest == prepared.tokenizer.digest


def test_a_file_without_labels_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("text,label\na,x\nb,x\nc,x\n")
    with pytest.raises(UsageError, match="label"):
        prepare(config(path))
    with pytest.raises(UsageError, match="kind: encoder"):
        prepare(config(write(path), model={"kind": "decoder", "pooling": None}))


def test_the_pooling_is_that_of_the_task(table: Path) -> None:
    with pytest.raises(UsageError, match=r"model\.pooling is null, and classification needs first"):
        prepare(config(table, model={"pooling": None}))
    asked = config(table, task="masked_lm", model={"pooling": "mean"})
    with pytest.raises(UsageError, match=r"model\.pooling is mean, and masked lm needs none"):
        prepare_masked_lm(asked)


def test_what_is_cut_is_told_with_the_length_that_was_asked_for(table: Path) -> None:
    asked = config(table, train={"sequence_length": 4}, model={"context": 32})
    [warning] = [line for line in prepare(asked).described() if line.startswith("warning")]
    assert "longer than 4 tokens" in warning
