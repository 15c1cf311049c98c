"""Tagging the words of sentences: the answer for a word is wanted at its first token, in one pass.

What a model says is judged by its entities, read strictly: one counts where type, begin and end are
those of the annotation.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F  # noqa: N812  # torch's own customary name

from phalanx.data.batches import IGNORED
from phalanx.data.length_batches import padded
from phalanx.data.order import random_bits
from phalanx.data.samples import Sentence
from phalanx.data.tag_schemes import OUTSIDE, Span, convert, detect, spans
from phalanx.errors import UsageError
from phalanx.inference.tagging import Inputs, Scores, decoded, log_probabilities
from phalanx.tasks import positions
from phalanx.tasks.classification import Weights
from phalanx.tasks.positions import Batch, Total, loss

__all__ = [
    "Batch",
    "Figures",
    "Side",
    "Total",
    "accuracy",
    "by_type",
    "entities",
    "in_scheme",
    "loss",
    "micro",
    "nats",
    "total",
    "validation_scores",
]

_STREAM = 0x5461676765  # a stream of draws of its own
_MOST_WORDS = 2**20  # of a piece: no two pieces share a draw


@dataclass(frozen=True)
class Side:
    """Tagged sentences as the model reads them.

    Args:
        inputs: the sentences in pieces.
        targets: for each piece the label wanted at each token, int64: ``IGNORED`` everywhere but at
            the first token of a word whose tag is among the labels.
        sentences: as they were given.
    """

    inputs: Inputs
    targets: tuple[NDArray[np.int64], ...]
    sentences: tuple[Sentence, ...]

    @classmethod
    def of(cls, inputs: Inputs, sentences: Sequence[Sentence], labels: Sequence[str]) -> "Side":
        """Sentences that are encoded, with the numbers of their tags."""
        number = {label: at for at, label in enumerate(labels)}
        used: Counter[int] = Counter()
        targets = []
        pieces = zip(inputs.ids, inputs.firsts, inputs.sentences_N.tolist(), strict=True)
        for ids, firsts, owner in pieces:
            tags = sentences[owner].tags[used[owner] : used[owner] + len(firsts)]
            used[owner] += len(firsts)
            wanted = np.full(len(ids), IGNORED, dtype=np.int64)
            wanted[firsts] = [number.get(tag, IGNORED) for tag in tags]
            targets.append(wanted)
        return cls(inputs, tuple(targets), tuple(sentences))

    def batch(self, pieces_B: NDArray[np.int64]) -> Batch:
        """The pieces of these numbers, padded."""
        inputs_BT, lengths_B = padded([self.inputs.ids[piece] for piece in pieces_B])
        targets_BT, _ = padded([self.targets[piece] for piece in pieces_B], IGNORED)
        full = int(lengths_B.min()) == inputs_BT.shape[1]
        samples_B = torch.from_numpy(pieces_B)
        return Batch(inputs_BT, targets_BT, None if full else lengths_B, None, samples_B)

    def hidden(
        self, pieces_B: NDArray[np.int64], share: float, *, seed: int, epoch: int
    ) -> NDArray[np.bool_]:
        """Which tokens of the pieces are hidden, (B, T): all of a word, with a probability.

        A word that is hidden in part is still known by the rest. What is drawn depends on the seed,
        the epoch, the piece and the word alone.

        Args:
            pieces_B: numbers of the pieces.
            share: the probability.
            seed: of what is drawn.
            epoch: of the pieces.
        """
        rows = []
        for piece in pieces_B:
            words = self.inputs.words[piece]
            places = piece * _MOST_WORDS + np.arange(len(self.inputs.firsts[piece]))
            chosen_W = random_bits(seed ^ _STREAM, epoch, places) < share * 2.0**64
            rows.append((chosen_W[words] & (words >= 0)).astype(np.int64))
        return padded(rows)[0].numpy().astype(np.bool_)


def total(
    model: Any, batch: Batch, label_smoothing: float = 0.0, weights_L: Weights | None = None
) -> Total:
    """The summed cross entropy of a batch's words, in nats, and their number.

    Args:
        model: an encoder that answers at every position.
        batch: on the model's device.
        label_smoothing: share of each answer that is spread evenly over all labels; for training.
        weights_L: by which a word of each label counts; None: all alike. The mean is taken over
            words, not over weights, so that micro-batches add up.
    """
    if weights_L is None:
        return positions.total(model, batch, label_smoothing)
    y_BTD, _ = model.hidden(batch.inputs_BT, batch.rows)
    scores_BTL = model.head(y_BTD)
    scores_BTL = scores_BTL.to(torch.promote_types(scores_BTL.dtype, torch.float32))
    targets_N = batch.targets_BT.flatten()
    nats_N = F.cross_entropy(
        scores_BTL.flatten(0, 1),
        targets_N,
        ignore_index=IGNORED,
        reduction="none",
        label_smoothing=label_smoothing,
    )
    weights_N = nats_N.new_tensor(weights_L)[targets_N.clamp(min=0)]
    return Total((nats_N * weights_N).sum(), (targets_N != IGNORED).sum())


@dataclass(frozen=True)
class Figures:
    """How entities that were found agree with those that are there.

    Args:
        right: entities found where they are, with their type.
        found: entities found.
        support: entities that are there.
    """

    right: int
    found: int
    support: int

    @property
    def precision(self) -> float:
        """The share of those found that are right; 0 where none was found."""
        return self.right / max(1, self.found)

    @property
    def recall(self) -> float:
        """The share of those there that were found; 0 where there are none."""
        return self.right / max(1, self.support)

    @property
    def f1(self) -> float:
        """The harmonic mean of both."""
        return 2 * self.right / max(1, self.found + self.support)

    def as_dict(self) -> dict[str, float]:
        """The figures under the names that logs and JSON use."""
        return {
            "precision": self.precision,
            "recall": self.recall,
            "f1": self.f1,
            "found": self.found,
            "support": self.support,
        }


def by_type(right: Iterable[Sequence[Span]], given: Iterable[Sequence[Span]]) -> dict[str, Figures]:
    """Figures of each type of entity, of sentences whose entities are known and were found."""
    counts: dict[str, list[int]] = {}
    for there, found in zip(right, given, strict=True):
        for place, entities in enumerate((set(there) & set(found), set(found), set(there))):
            for entity in entities:
                counts.setdefault(entity.type, [0, 0, 0])[place] += 1
    return {kind: Figures(*counts[kind]) for kind in sorted(counts)}


def micro(types: Mapping[str, Figures]) -> Figures:
    """Figures of all entities together, whatever their type."""
    return Figures(
        sum(each.right for each in types.values()),
        sum(each.found for each in types.values()),
        sum(each.support for each in types.values()),
    )


def nats(scores: Sequence[Scores], tags: Sequence[Sequence[str]], labels: Sequence[str]) -> float:
    """Mean of -log p(tag) over the words whose tag is among the labels; NaN where there is none."""
    number = {label: at for at, label in enumerate(labels)}
    total_nats, count = 0.0, 0
    for scores_WL, sentence in zip(scores, tags, strict=True):
        for scores_L, tag in zip(scores_WL, sentence, strict=True):
            if tag in number:
                total_nats -= float(scores_L[number[tag]])
                count += 1
    return total_nats / count if count else float("nan")


def accuracy(right: Sequence[Sequence[str]], given: Sequence[Sequence[str]]) -> float:
    """The share of words that got their tag."""
    pairs = [
        one == two
        for tags, others in zip(right, given, strict=True)
        for one, two in zip(tags, others, strict=True)
    ]
    return sum(pairs) / max(1, len(pairs))


def validation_scores(
    model: Any, side: Side, labels: Sequence[str], scheme: str
) -> dict[str, float]:
    """Loss (nats a word) and accuracy; strict precision, recall and F1 where tags mark entities."""
    words = [sentence.words for sentence in side.sentences]
    tags = [sentence.tags for sentence in side.sentences]
    scores = log_probabilities(model, side.inputs)
    given = [tagged.tags for tagged in decoded(labels, scheme, words, scores)]
    found = {"loss": nats(scores, tags, labels), "accuracy": accuracy(tags, given)}
    if scheme == "none":
        return found
    figures = micro(by_type(entities(tags, scheme), entities(given, scheme)))
    shares = {"f1": figures.f1, "precision": figures.precision, "recall": figures.recall}
    return {**found, **shares}


def entities(tags: Iterable[Sequence[str]], scheme: str) -> list[list[Span]]:
    """The entities of each sentence."""
    return [spans(sentence, scheme) for sentence in tags]


def in_scheme(sentences: Sequence[Sentence], scheme: str) -> list[Sentence]:
    """Sentences with their tags in a model's scheme, whatever that of their file.

    Where the file's is another, what is ill-formed in it comes out as ``O``.

    Raises:
        UsageError: tags are of mixed schemes, or mark no entities and the model's do.
    """
    if scheme == "none":
        return list(sentences)
    tags = [sentence.tags for sentence in sentences]
    found = detect(tags, [sentence.place for sentence in sentences])
    if found == scheme:
        return list(sentences)
    if found == "none":
        for sentence in sentences:
            if odd := set(sentence.tags) - {OUTSIDE}:
                raise UsageError(
                    f"{sentence.place}: the tag {min(odd)!r} marks no entity, and the model was "
                    f"trained on tags that do (scheme {scheme}). Expected such as B-person. Check "
                    "that the column is the one of the tags: --tag-column."
                )
        return list(sentences)
    return [
        Sentence(each.words, tuple(convert(each.tags, found, scheme)), each.place)
        for each in sentences
    ]
