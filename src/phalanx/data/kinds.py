"""What each task reads: how its files become samples, and what training on them refuses."""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from phalanx.config import DataConfig
from phalanx.data import bitext, tag_schemes
from phalanx.data.examples import examples
from phalanx.data.files import ROW_SUFFIXES
from phalanx.data.opening import Source
from phalanx.data.reading import Findings
from phalanx.data.samples import Example, Pair, Sentence
from phalanx.data.sentences import sentences
from phalanx.errors import UsageError

T = TypeVar("T", Example, Sentence, Pair)
Book = Callable[[str], Findings]  # a page for each file, by its name
Unit = Sequence[Source]  # the files that are read together: one, or two of bitext


@dataclass(frozen=True)
class Kind(Generic[T]):
    """What a task reads.

    Args:
        what: many of its samples, in words.
        suffixes: the files that a directory contributes.
        units: the files behind each path, those together that are read together.
        read: yields the samples of a unit of files; labels are there, or need not be.
        key: what equal samples share, labels aside.
        labels: what has to be learnt before it can be judged.
        texts: all that counts as text.
        refused: why training on (train, validation) is refused, for each reason a sentence or two.
        split: how samples are divided where no files to validate on are given, in words.
    """

    what: str
    suffixes: Collection[str]
    units: Callable[[Sequence[Sequence[Source]], bool], list[Unit]]
    read: Callable[[Unit, DataConfig, Book, bool], Iterator[T]]
    key: Callable[[T], str]
    labels: Callable[[T], Iterable[str]]
    texts: Callable[[T], Iterable[str]]
    refused: Callable[[Sequence[T], Sequence[T], DataConfig], Iterator[str]]
    split: str


def type_of(tag: str) -> str:
    """The type of a tag that marks entities, ``location`` of ``B-location``; else the tag."""
    return tag[2:] if tag[1:2] == "-" and len(tag) > 2 else tag


def _unseen(
    train: Sequence[T], validation: Sequence[T], labels: Callable[[T], Iterable[str]], what: str
) -> Iterator[str]:
    known = {label for sample in train for label in labels(sample)}
    named: set[str] = set()
    for sample in validation:
        for label in labels(sample):
            if label not in known and label not in named:
                named.add(label)
                yield (
                    f"{sample.place} has the {what} {label!r}, which nothing to learn from has. "
                    f"Expected each {what} there too. Add samples of it to learn from, or take "
                    "these out."
                )


def _refused_examples(
    train: Sequence[Example], validation: Sequence[Example], data: DataConfig
) -> Iterator[str]:
    labels = {sample.label for sample in train}
    if len(labels) < 2:
        yield (
            f"All {len(train):,} texts to learn from have the label {labels.pop()!r}. Expected two "
            "labels at least. Is the right column named (--label-column)?"
        )
    pairs = [sample.pair is not None for sample in (*train, *validation)]
    if len(set(pairs)) > 1:
        odd = next(s for s in (*train, *validation) if (s.pair is not None) != pairs[0])
        yield (
            f"{odd.place} has {'a pair of texts' if odd.pair is not None else 'one text'}, unlike "
            "the rows before it. Expected the same of all. Name the columns: --text-column, "
            "--pair-column."
        )
    yield from _unseen(train, validation, lambda sample: [sample.label], "label")


def _refused_sentences(
    train: Sequence[Sentence], validation: Sequence[Sentence], data: DataConfig
) -> Iterator[str]:
    every = (*train, *validation)
    tags = {tag for sentence in train for tag in sentence.tags}
    if len(tags) < 2:
        yield (
            f"All words to learn from have the tag {tags.pop()!r}. Expected two tags at least. Is "
            "the right column named (--tag-column)?"
        )
        return
    if data.scheme == "auto":
        try:
            tag_schemes.detect([s.tags for s in every], [s.place for s in every])
        except UsageError as error:
            yield str(error)
            return
    yield from _unseen(train, validation, lambda s: map(type_of, s.tags), "type of tag")


def _each_alone(groups: Sequence[Sequence[Source]], labelled: bool) -> list[Unit]:
    return [[source] for group in groups for source in group]


EXAMPLES = Kind[Example](
    what="labelled texts",
    suffixes=ROW_SUFFIXES,
    units=_each_alone,
    read=lambda unit, data, book, labelled: examples(unit[0], data, book(unit[0].shown), labelled),
    key=lambda sample: sample.text if sample.pair is None else f"{sample.text}\0{sample.pair}",
    labels=lambda sample: [sample.label],
    texts=lambda sample: [sample.text, sample.pair or "", sample.label],
    refused=_refused_examples,
    split="by a hash of each text",
)
SENTENCES = Kind[Sentence](
    what="tagged sentences",
    suffixes=(*ROW_SUFFIXES, ".conll", ".conllu", ".iob", ".bio", ".txt"),
    units=_each_alone,
    read=lambda unit, data, book, labelled: sentences(unit[0], data, book(unit[0].shown), labelled),
    key=lambda sample: "\0".join(sample.words),
    labels=lambda sample: sample.tags,
    texts=lambda sample: [*sample.words, *sample.tags],
    refused=_refused_sentences,
    split="by a hash of each sentence",
)
PAIRS = Kind[Pair](
    what="pairs of sentences",
    suffixes=(*ROW_SUFFIXES, ".txt"),
    units=bitext.units,
    read=bitext.pairs,
    key=lambda sample: sample.source,
    labels=lambda sample: [],
    texts=lambda sample: [sample.source, sample.target],
    refused=lambda train, validation, data: iter(()),
    split="by a hash of each source",
)
