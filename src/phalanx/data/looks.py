"""What is worth knowing of each task's samples before training: figures, and places of oddities."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic

from phalanx.config import DataConfig
from phalanx.data import tag_schemes
from phalanx.data.kinds import EXAMPLES, PAIRS, SENTENCES, T
from phalanx.data.label_statistics import Balance, Found, Lengths, contradictory, repeated
from phalanx.data.samples import Example, Pair, Sentence
from phalanx.errors import UsageError

_FURTHER = 4  # times: a ratio of lengths that is so far from the middle one is named
_SHORT = 10  # characters: the lengths of shorter sentences say nothing


@dataclass(frozen=True)
class Sides(Generic[T]):
    """All samples in the order of the files, and those of each side."""

    every: Sequence[T]
    train: Sequence[T]
    validation: Sequence[T]

    @property
    def both(self) -> tuple[Sequence[T], Sequence[T]]:
        """Both sides."""
        return self.train, self.validation


@dataclass(frozen=True)
class Look:
    """What is worth knowing; see ``LabelledReport``."""

    lengths: Sequence[Lengths]
    balances: Sequence[Balance] = ()
    found: Sequence[Found] = ()
    remarks: Sequence[str] = ()
    scheme: str | None = None


def look_at_examples(sides: Sides[Example], data: DataConfig) -> Look:
    """Lengths, labels, duplicates and contradictions."""
    every = sides.every
    balance = Balance.count("label", *([s.label for s in side] for side in sides.both))
    groups = contradictory(every, EXAMPLES.key, lambda sample: sample.label)
    disagreeing = [
        "; ".join(f"{sample.place} {sample.label}" for sample in group) for group in groups
    ]
    remarks = [f"labels that are almost alike: {labels}" for labels in balance.alike()]
    return Look(
        lengths=_lengths("text", every, lambda sample: sample.text),
        balances=[balance],
        found=[
            Found.of(
                "rows exactly as one before",
                repeated(every, lambda s: (s.text, s.pair, s.label)),
            ),
            Found.of("texts with different labels", disagreeing),
        ],
        remarks=remarks,
    )


def look_at_sentences(sides: Sides[Sentence], data: DataConfig) -> Look:
    """Lengths, the scheme, entities and tags, ill-formed places, duplicates."""
    every = sides.every
    places = [sentence.place for sentence in every]
    words = [len(sentence.words) for sentence in every]
    characters = [len(word) for sentence in every for word in sentence.words]
    owners = [sentence.place for sentence in every for _ in sentence.words]
    lengths = [
        Lengths.of("words of a sentence", words, places),
        Lengths.of("characters of a word", characters, owners),
    ]
    found = [
        Found.of("sentences exactly as one before", repeated(every, lambda s: (s.words, s.tags))),
        Found.of(
            "sentences with different tags",
            [
                "; ".join(sentence.place for sentence in group)
                for group in contradictory(every, SENTENCES.key, lambda s: s.tags)
            ],
        ),
    ]
    tags = Balance.count("tag", *([t for s in side for t in s.tags] for side in sides.both))
    scheme = _scheme(every, data)
    if scheme in (None, "none"):
        return Look(lengths, [tags], found, scheme=scheme)
    ill = [
        f"{sentence.place}, word {at + 1} ({sentence.words[at]}): {what}"
        for sentence in every
        for at, what in tag_schemes.problems(sentence.tags, str(scheme))
    ]
    entities = Balance.count(
        "entity",
        *(
            [span.type for s in side for span in tag_schemes.spans(s.tags, str(scheme))]
            for side in sides.both
        ),
    )
    found.append(Found.of(f"ill-formed places, which mark no entity in {scheme}", ill))
    return Look(lengths, [entities, tags], found, scheme=scheme)


def _scheme(every: Sequence[Sentence], data: DataConfig) -> str | None:
    if data.scheme != "auto":
        return data.scheme
    try:
        return tag_schemes.detect([s.tags for s in every], [s.place for s in every])
    except UsageError:
        return None  # it is among the faults


def look_at_pairs(sides: Sides[Pair], data: DataConfig) -> Look:
    """Lengths and their ratio, duplicates, sources left as they are."""
    every = sides.every
    lengths = [
        *_lengths("source", every, lambda pair: pair.source),
        *_lengths("target", every, lambda pair: pair.target),
    ]
    ratios = [len(pair.target) / len(pair.source) for pair in every]
    middle = sorted(ratios)[len(ratios) // 2]
    odd = [
        f"{pair.place} ({len(pair.source):,} and {len(pair.target):,} characters)"
        for pair, ratio in zip(every, ratios, strict=True)
        if max(len(pair.source), len(pair.target)) > _SHORT
        and not middle / _FURTHER <= ratio <= middle * _FURTHER
    ]
    several = contradictory(every, PAIRS.key, lambda pair: pair.target)
    return Look(
        lengths,
        found=[
            Found.of(
                "pairs exactly as one before", repeated(every, lambda p: (p.source, p.target))
            ),
            Found.of("sources with several targets", [group[0].place for group in several]),
            Found.of(
                "targets that equal their source",
                [pair.place for pair in every if pair.source == pair.target],
            ),
            Found.of(f"pairs whose lengths are {_FURTHER} times further apart than usual", odd),
        ],
        remarks=[f"a target has {middle:.2f} characters for each of its source, usually"],
    )


def _lengths(what: str, every: Sequence[T], text: Callable[[T], str]) -> list[Lengths]:
    places = [sample.place for sample in every]
    return [
        Lengths.of(f"characters of a {what}", [len(text(s)) for s in every], places),
        Lengths.of(f"words of a {what}", [len(text(s).split()) for s in every], places),
    ]
