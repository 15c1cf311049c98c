"""How well a model labels texts: by label, in pairs that it confuses, and its worst mistakes."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F  # noqa: N812  # torch's own customary name

from phalanx.data.labelled import Example
from phalanx.data.tokenizers import Tokenizer
from phalanx.errors import UsageError, did_you_mean
from phalanx.inference.classifying import classifications, encode, scores
from phalanx.tasks.baselines import Baselines

Numbers = NDArray[np.int64]
_SHOWN = 3  # unknown labels that an error names


@dataclass(frozen=True)
class Agreement:
    """How far given labels agree with the right ones.

    Args:
        accuracy: share of rows whose label was given.
        macro_f1: mean F1 of the labels that occur among the right or the given ones.
    """

    accuracy: float
    macro_f1: float


@dataclass(frozen=True)
class LabelFigures:
    """How well one label is given; 0 where a share is of nothing.

    Args:
        label: its name.
        precision: share of the rows given it that it belongs to.
        recall: share of the rows that it belongs to that were given it.
        f1: their harmonic mean.
        support: rows that it belongs to.
    """

    label: str
    precision: float
    recall: float
    f1: float
    support: int


@dataclass(frozen=True)
class Mistake:
    """A row that was given another label than its own.

    Args:
        place: file and line.
        text: the text.
        pair: the second text, where there is one.
        label: the right one.
        given: the model's.
        probability: that the model gave to ``given``.
        loss: nats; minus the logarithm of the probability that it gave to ``label``.
    """

    place: str
    text: str
    pair: str | None
    label: str
    given: str
    probability: float
    loss: float


@dataclass(frozen=True)
class Report:
    """An evaluation of a classifier.

    Args:
        rows: texts judged.
        cut: of those, texts longer than the model reads.
        loss: nats a row.
        accuracy, macro_f1: see Agreement.
        labels: figures of every label that occurs, in the order of their names.
        confusion: rows of each pair of right and given label.
        mistakes: all of them, the highest loss first.
        baselines: what simpler things reach on the same rows, by name; empty where none were kept.
    """

    rows: int
    cut: int
    loss: float
    accuracy: float
    macro_f1: float
    labels: tuple[LabelFigures, ...]
    confusion: Mapping[tuple[str, str], int]
    mistakes: tuple[Mistake, ...]
    baselines: Mapping[str, Agreement]

    def as_dict(self, mistakes: int | None = None) -> dict[str, Any]:
        """The report as JSON values; the worst ``mistakes`` of them, or all (None)."""
        nested: dict[str, dict[str, int]] = {}
        for (right, given), count in sorted(self.confusion.items()):
            nested.setdefault(right, {})[given] = count
        return {
            "rows": self.rows,
            "cut": self.cut,
            "loss": self.loss,
            "accuracy": self.accuracy,
            "macro_f1": self.macro_f1,
            "baselines": {name: asdict(found) for name, found in self.baselines.items()},
            "labels": [asdict(figures) for figures in self.labels],
            "confusion": nested,
            "mistakes": [asdict(mistake) for mistake in self.mistakes[:mistakes]],
        }

    def confused(self) -> list[tuple[str, str, int]]:
        """(right, given, rows) of the labels that were taken for others, the most rows first."""
        wrong = [(*pair, count) for pair, count in self.confusion.items() if pair[0] != pair[1]]
        return sorted(wrong, key=lambda found: (-found[2], found))


def evaluate(
    model: Any,
    tokenizer: Tokenizer,
    labels: Sequence[str],
    examples: Sequence[Example],
    baselines: Baselines | None = None,
) -> Report:
    """Judge a classifier on labelled rows.

    Args:
        model: the classifier.
        tokenizer: of its inputs.
        labels: of its outputs.
        examples: rows, every label of which the model knows.
        baselines: what to set beside it; None: nothing.

    Raises:
        UsageError: no rows, or a label that the model does not know; names the place.
        PhalanxError: the model's scores are not numbers.
    """
    right_N = numbers(examples, labels)
    texts = [(e.text if e.pair is None else (e.text, e.pair)) for e in examples]
    inputs = encode(tokenizer, texts, model.config.context)
    scores_NC = scores(model, inputs)
    found = classifications(labels, scores_NC)
    nats_N = F.cross_entropy(scores_NC, torch.from_numpy(right_N), reduction="none").tolist()
    given_N = scores_NC.argmax(-1).numpy()
    wrong = sorted(np.flatnonzero(given_N != right_N).tolist(), key=lambda row: (-nats_N[row], row))
    pairs = Counter(zip(right_N.tolist(), given_N.tolist(), strict=True))
    overall = agreement(right_N, given_N)
    beside = {} if baselines is None else baselines.give(examples, labels)
    return Report(
        rows=len(examples),
        cut=inputs.cut,
        loss=float(np.mean(nats_N)),
        accuracy=overall.accuracy,
        macro_f1=overall.macro_f1,
        labels=tuple(by_label(right_N, given_N, labels)),
        confusion={(labels[a], labels[b]): count for (a, b), count in pairs.items()},
        mistakes=tuple(
            Mistake(
                examples[row].place,
                examples[row].text,
                examples[row].pair,
                examples[row].label,
                found[row].label,
                found[row].probability,
                nats_N[row],
            )
            for row in wrong
        ),
        baselines={name: agreement(right_N, guesses_N) for name, guesses_N in beside.items()},
    )


def validation_scores(scores_NC: Tensor, right_N: Numbers) -> dict[str, float]:
    """Loss (nats a row), accuracy and macro F1 of scores before the softmax."""
    overall = agreement(right_N, scores_NC.argmax(-1).numpy())
    loss = F.cross_entropy(scores_NC, torch.from_numpy(right_N))
    return {"loss": float(loss), "accuracy": overall.accuracy, "macro_f1": overall.macro_f1}


def numbers(examples: Sequence[Example], labels: Sequence[str]) -> Numbers:
    """The number of each row's label among ``labels``.

    Raises:
        UsageError: no rows, or a label that is not among them: places and how many.
    """
    if not examples:
        raise UsageError("There are no rows to judge. Expected one or more. Check the file.")
    of = {label: number for number, label in enumerate(labels)}
    strange = [example for example in examples if example.label not in of]
    if strange:
        first = strange[0]
        others = list(dict.fromkeys(e.label for e in strange))[1 : 1 + _SHOWN]
        more = f" (also {', '.join(map(repr, others))})" if others else ""
        raise UsageError(
            f"{first.place}: the label {first.label!r} is none that the model was trained on, in "
            f"{len(strange):,} of {len(examples):,} rows{more}. Expected one that it knows."
            f"{did_you_mean(first.label, labels)} Correct the label, or train with rows that "
            "have it."
        )
    return np.array([of[example.label] for example in examples], dtype=np.int64)


def agreement(right_N: Numbers, given_N: Numbers) -> Agreement:
    """Accuracy and macro F1 of given labels."""
    _, _, f1_C, occurs_C = _shares(right_N, given_N)
    return Agreement(float((right_N == given_N).mean()), float(f1_C[occurs_C].mean()))


def by_label(right_N: Numbers, given_N: Numbers, labels: Sequence[str]) -> list[LabelFigures]:
    """Figures of every label that occurs among the right or the given ones."""
    precision_C, recall_C, f1_C, occurs_C = _shares(right_N, given_N)
    support_C = np.bincount(right_N, minlength=len(occurs_C))
    return [
        LabelFigures(
            labels[c], float(precision_C[c]), float(recall_C[c]), float(f1_C[c]), int(support_C[c])
        )
        for c in np.flatnonzero(occurs_C).tolist()
    ]


def _shares(right_N: Numbers, given_N: Numbers) -> tuple[NDArray[Any], ...]:
    """Precision, recall, F1 and whether it occurs, of each label."""
    count = int(max(right_N.max(), given_N.max())) + 1
    both_C = np.bincount(right_N[right_N == given_N], minlength=count)
    support_C = np.bincount(right_N, minlength=count)
    given_C = np.bincount(given_N, minlength=count)
    occurs_C = support_C + given_C > 0
    f1_C = 2 * both_C / np.maximum(support_C + given_C, 1)
    return both_C / np.maximum(given_C, 1), both_C / np.maximum(support_C, 1), f1_C, occurs_C
