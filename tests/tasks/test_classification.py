"""Classification: the loss and its weights, and the figures of a report against scikit-learn's."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F  # noqa: N812  # torch's own customary name

from phalanx.data.samples import Example
from phalanx.data.tokenizers import train_tokenizer
from phalanx.errors import PhalanxError, UsageError
from phalanx.models import build, preset
from phalanx.tasks.baselines import Baselines
from phalanx.tasks.classification import Batch, balanced, loss, total
from phalanx.tasks.classification_report import agreement, by_label, evaluate

metrics = pytest.importorskip("sklearn.metrics", reason="the figures are scikit-learn's")

LABELS = ("c", "a", "b")  # not sorted: nothing may rely on it


def classifier(name: str = "transformer", **changes: Any) -> Any:
    changes = {"width": 16, "layers": 2, "pooling": "mean", "tied": False, **changes}
    model = build(preset(name, 60, 24, kind="encoder", outputs=3, **changes))
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.3, generator=generator)
    return model


def batch(rows: int = 5) -> Batch:
    generator = torch.Generator().manual_seed(2)
    ids_BT = torch.randint(60, (rows, 7), generator=generator)
    lengths_B = torch.randint(1, 8, (rows,), generator=generator)
    return Batch(ids_BT, torch.arange(rows) % 3, lengths_B, samples_B=torch.arange(rows))


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_rows_count_by_the_weights_of_their_labels(smoothing: float) -> None:
    model, whole = classifier().double(), batch()
    weights_C = (0.5, 2.0, 1.0)
    found = total(model, whole, smoothing, weights_C)
    alone = []
    for row in range(5):
        ids_BT = whole.inputs_BT[row : row + 1, : int(whole.lengths_B[row])]  # type: ignore[index]
        log_C = model(ids_BT)[0].log_softmax(-1)
        label = row % 3
        nats = -(1 - smoothing) * log_C[label] - smoothing * log_C.mean()
        alone.append(weights_C[label] * nats)
    torch.testing.assert_close(found.nats, torch.stack(alone).sum())
    assert int(found.answers) == whole.answers == 5
    assert whole.tokens == int(whole.lengths_B.sum())  # type: ignore[union-attr]


def test_micro_batches_add_up_to_the_batch() -> None:
    model, whole = classifier().double(), batch()
    weights_C = balanced([3, 9, 1])
    expected = total(model, whole, 0.1, weights_C)
    parts = [total(model, part, 0.1, weights_C) for part in whole.split(2)]
    torch.testing.assert_close(sum(part.nats for part in parts), expected.nats)
    assert sum(int(part.answers) for part in parts) == 5


def test_without_weights_the_loss_is_torchs_cross_entropy() -> None:
    model, whole = classifier("lstm", layers=1).double(), batch()
    rows = [model(whole.inputs_BT[i : i + 1, : int(n)]) for i, n in enumerate(whole.lengths_B)]  # type: ignore[arg-type]
    expected = F.cross_entropy(torch.cat(rows), whole.labels_B)
    torch.testing.assert_close(loss(model, whole), expected)


def test_balanced_labels_count_alike_and_rows_one_on_average() -> None:
    counts = [3, 9, 0, 1]
    weights_C = balanced(counts)
    by_label_C = np.array(weights_C) * counts
    assert by_label_C[[0, 1, 3]].tolist() == pytest.approx([13 / 3] * 3)
    assert weights_C[2] == 0
    assert float(by_label_C.sum() / 13) == pytest.approx(1.0)


@pytest.mark.parametrize("kinds", [2, 7])
def test_figures_are_those_of_scikit_learn(kinds: int) -> None:
    draws = np.random.default_rng(kinds)
    right_N = draws.integers(kinds, size=60)
    given_N = np.where(draws.random(60) < 0.6, right_N, draws.integers(kinds, size=60))
    if kinds == 7:  # one label that is never right, one never given, one that does not occur
        right_N[right_N == 3] = 2
        given_N[given_N == 4] = 2
        right_N[right_N == 5], given_N[given_N == 5] = 0, 0
    found = agreement(right_N, given_N)
    assert found.accuracy == pytest.approx(metrics.accuracy_score(right_N, given_N))
    expected = metrics.f1_score(right_N, given_N, average="macro", zero_division=0)
    assert found.macro_f1 == pytest.approx(expected)
    occurring = sorted({*right_N.tolist(), *given_N.tolist()})
    each = metrics.precision_recall_fscore_support(
        right_N, given_N, labels=occurring, zero_division=0
    )
    figures = by_label(right_N, given_N, [f"label {n}" for n in range(kinds)])
    assert [one.label for one in figures] == [f"label {n}" for n in occurring]
    for name, values in zip(("precision", "recall", "f1", "support"), each, strict=True):
        assert [getattr(one, name) for one in figures] == pytest.approx(values.tolist()), name


def examples() -> list[Example]:
    rows = [("so good", "a"), ("too bad", "b"), ("good", "a"), ("bad bad", "c"), ("", "b")]
    return [Example(text, label, None, f"x.csv:{n + 2}") for n, (text, label) in enumerate(rows)]


def test_a_report_counts_what_the_model_says() -> None:
    rows = examples()
    tokenizer = train_tokenizer("characters", [row.text for row in rows])
    model = classifier().double().eval()
    report = evaluate(model, tokenizer, LABELS, rows, Baselines.fit(rows))
    alone = []
    for row in rows:
        ids = tokenizer.encode(row.text) or [tokenizer.end_id]
        with torch.no_grad():
            alone.append(model(torch.tensor([ids]))[0].float().log_softmax(-1))
    right = [LABELS.index(row.label) for row in rows]
    given = [int(log_C.argmax()) for log_C in alone]
    nats = [-float(log_C[label]) for log_C, label in zip(alone, right, strict=True)]
    assert report.rows == 5
    assert report.loss == pytest.approx(sum(nats) / 5, rel=1e-5)
    assert report.accuracy == sum(r == g for r, g in zip(right, given, strict=True)) / 5
    assert sum(report.confusion.values()) == 5
    for r, g in zip(right, given, strict=True):
        assert report.confusion[LABELS[r], LABELS[g]] >= 1
    wrong = [n for n in range(5) if right[n] != given[n]]
    assert wrong, "the model should make mistakes"
    expected = sorted(wrong, key=lambda n: -nats[n])
    assert [mistake.place for mistake in report.mistakes] == [rows[n].place for n in expected]
    worst = report.mistakes[0]
    assert worst.given == LABELS[given[expected[0]]]
    assert worst.probability == pytest.approx(math.exp(alone[expected[0]].max()), rel=1e-5)
    assert worst.loss == pytest.approx(nats[expected[0]], rel=1e-5)
    assert sum(count for _, _, count in report.confused()) == len(wrong)
    values = report.as_dict(1)
    assert len(values["mistakes"]) == 1
    assert values["baselines"]["majority"]["accuracy"] == 2 / 5
    assert sum(one["support"] for one in values["labels"]) == 5


def test_a_label_that_was_never_trained_is_named_with_its_place() -> None:
    rows = [*examples(), Example("x", "aa", None, "x.csv:9")]
    tokenizer = train_tokenizer("bytes", [])
    with pytest.raises(UsageError, match=r"x.csv:9: the label 'aa' is none .* 1 of 6 rows"):
        evaluate(classifier(), tokenizer, LABELS, rows)
    with pytest.raises(UsageError, match="no rows"):
        evaluate(classifier(), tokenizer, LABELS, [])


def test_scores_that_are_no_numbers_are_an_error() -> None:
    model = classifier()
    with torch.no_grad():
        next(model.parameters()).fill_(math.nan)
    tokenizer = train_tokenizer("characters", [row.text for row in examples()])
    with pytest.raises(PhalanxError, match="not numbers"):
        evaluate(model, tokenizer, LABELS, examples())
