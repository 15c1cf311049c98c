"""A tagger's run: read, batched, trained, judged, and what is kept of it."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from phalanx.config import RunConfig
from phalanx.data.batches import IGNORED
from phalanx.errors import UsageError
from phalanx.models import build
from phalanx.tasks.tagging_baselines import PER_WORD, Baselines
from phalanx.tasks.tagging_report import evaluate
from phalanx.training.preparing.tagging import TaggingRun, prepare
from phalanx.training.run import make_trainer

NAMES = ("Ann", "Bob", "Cleo", "Dan")
VERBS = ("sees", "likes", "calls")


def write(path: Path, sentences: int = 60, scheme: str = "bio", seed: int = 0) -> Path:
    """Who does what to whom: a person stands before ``here``, a dog of the same name does not."""
    draws = np.random.default_rng(seed)
    begin, inside = {"bio": ("B-person", "I-person"), "iob1": ("I-person", "I-person")}[scheme]
    lines = []
    for _ in range(sentences):
        words = [f"{draws.choice(NAMES)}\t{begin}", f"Smith\t{inside}", "here\tO"]
        other = [f"{draws.choice(VERBS)}\tO", f"{draws.choice(NAMES)}\tO", "there\tO"]
        lines += [*(words + other if draws.random() < 0.5 else other + words), ""]
    path.write_text("\n".join(lines))
    return path


def config(path: Path, **changes: Any) -> RunConfig:
    train = {"steps": 40, "batch_size": 8, "sequence_length": 40, "precision": "float32"}
    train |= {"evaluate_every": 20, **changes.pop("train", {})}
    data = {"paths": [str(path)], "vocabulary": 300, **changes.pop("data", {})}
    model = {"width": 32, **changes.pop("model", {})}
    values = {"task": "tagging", "data": data, "train": train, "model": model, **changes}
    return RunConfig.model_validate({"device": "cpu", "preset": "lstm", **values})


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return write(tmp_path / "train.conll")


@pytest.mark.parametrize(
    "changes",
    [
        {"train": {"token_dropout": 0.05, "steps": 50}},
        {"preset": "transformer", "model": {"layers": 1}},
        {"preset": "transformer", "model": {"mixers": ["gru+gru", "attention"], "layers": 2}},
        {"data": {"tokenizer": "characters"}, "train": {"batch_tokens": 200, "steps": 60}},
        {"train": {"class_weights": "balanced"}},
    ],
)
def test_it_learns_where_names_stand(table: Path, changes: dict[str, Any]) -> None:
    prepared = prepare(config(table, **changes))
    trainer = make_trainer(prepared)
    for _ in trainer.events():
        pass
    scores = prepared.validate(trainer.model)
    assert prepared.labels is not None
    report = evaluate(
        trainer.model,
        prepared.tokenizer,
        prepared.labels,
        "bio",
        prepared.validation.sentences,
        prepared.baselines,
    )
    assert report.baselines[PER_WORD].entities.f1 < 0.9
    assert report.model.entities.f1 > 0.95
    for name, value in (("f1", report.model.entities.f1), ("accuracy", report.model.accuracy)):
        assert scores[name] == pytest.approx(value)
    assert scores["loss"] == pytest.approx(report.loss)
    assert prepared.criterion(scores) == -scores["f1"]


def test_what_is_found_and_kept(table: Path) -> None:
    prepared = prepare(config(table))
    assert (prepared.scheme, prepared.labels) == ("bio", ("B-person", "I-person", "O"))
    text = "\n".join(prepared.described())
    assert "scheme bio, 3: O " in text
    kept = prepared.extras()["baseline.json"]
    assert Baselines.from_json(kept, "kept") == prepared.baselines
    json.dumps(prepared.data_summary())
    assert "predict" in prepared.next_command(Path("runs/x"))
    shapes = prepared.shapes()
    assert shapes.step(3).split(1)[0].tokens <= 40
    assert prepared.epoch_tokens == int(prepared.lengths.sum())


def test_iob1_stays_iob1(tmp_path: Path) -> None:
    prepared = prepare(config(write(tmp_path / "a.iob", scheme="iob1")))
    assert (prepared.scheme, prepared.labels) == ("iob1", ("I-person", "O"))


def test_parts_of_speech_are_judged_by_accuracy(tmp_path: Path) -> None:
    path = tmp_path / "pos.conll"
    path.write_text("\n".join(f"dogs\tNOUN\nbark\tVERB\nno{n}\tADV\n" for n in range(30)))
    prepared = prepare(config(path))
    assert prepared.scheme == "none"
    scores = prepared.validate(build(prepared.model_config, 0))
    assert "f1" not in scores
    assert prepared.criterion(scores) == -scores["accuracy"]


def test_hidden_words_keep_their_answers_and_differ_by_epoch(table: Path) -> None:
    prepared = prepare(config(table, train={"token_dropout": 0.3}))
    samples_B = np.arange(8)
    first, again, later = (prepared.batch(samples_B, epoch) for epoch in (0, 0, 1))
    whole = prepared.train.batch(samples_B)
    assert torch.equal(first.inputs_BT, again.inputs_BT)
    assert not torch.equal(first.inputs_BT, later.inputs_BT)
    assert torch.equal(first.targets_BT, whole.targets_BT)
    changed = first.inputs_BT != whole.inputs_BT
    assert set(first.inputs_BT[changed].tolist()) == {prepared.tokenizer.special_ids["mask"]}
    assert 0.1 < float(changed.float().mean()) < 0.5


def test_a_whole_epoch_has_each_word_once(table: Path) -> None:
    prepared: TaggingRun = prepare(config(table))
    batches = [prepared.batches()(step) for step in range(prepared.order.count)]
    answers = sum(int((batch.targets_BT != IGNORED).sum()) for batch in batches)  # type: ignore[attr-defined]
    assert answers == sum(len(sentence.words) for sentence in prepared.train.sentences)


def test_mixed_schemes_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "bad.conll"
    path.write_text("a\tB-x\n\nb\tI-x\n\nc\tB-x\n\nd\tI-x\n\n")
    with pytest.raises(UsageError, match="BIO and IOB1 are mixed"):
        prepare(config(path))


def test_tags_against_the_rules_are_told_of(tmp_path: Path) -> None:
    path = write(tmp_path / "a.conll")
    path.write_text(path.read_text() + "\n\nhere\tO\nSmith\tI-person\n")
    prepared = prepare(config(path))
    assert any("I-person may not follow O in bio" in note for note in prepared.facts.notes)
