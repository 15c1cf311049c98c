"""Tags are read as seqeval reads them, and what the rules allow is what reads back whole."""

import itertools
import random
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from seqeval import scheme as seqeval

from phalanx.data.tag_schemes import (
    Span,
    allowed,
    convert,
    detect,
    problems,
    scheme_of,
    spans,
    tags_of,
)
from phalanx.errors import UsageError

SCHEMES = {
    "bio": ("BI", seqeval.IOB2),
    "iob1": ("BI", seqeval.IOB1),
    "iobes": ("BIES", seqeval.IOBES),
    "bilou": ("BILU", seqeval.BILOU),
}


def tags(scheme: str) -> list[str]:
    return ["O", *(f"{letter}-{kind}" for letter in SCHEMES[scheme][0] for kind in ("X", "Y-Z"))]


def theirs(sentence: list[str], scheme: str) -> list[Span]:
    found = seqeval.Tokens(sentence, SCHEMES[scheme][1]).entities
    return [Span(each.tag, each.start, each.end) for each in found]


def sentences(scheme: str) -> Iterator[list[str]]:
    labels = tags(scheme)
    for length in range(4):
        yield from map(list, itertools.product(labels, repeat=length))
    draw = random.Random(0)
    for _ in range(3000):
        yield draw.choices(labels, k=draw.randint(4, 12))


@pytest.mark.parametrize("scheme", SCHEMES)
def test_entities_are_those_of_seqeval_whatever_the_tags(scheme: str) -> None:
    for sentence in sentences(scheme):
        assert spans(sentence, scheme) == theirs(sentence, scheme), sentence


@pytest.mark.parametrize("scheme", SCHEMES)
def test_well_formed_is_what_comes_back_from_its_entities(scheme: str) -> None:
    for sentence in sentences(scheme):
        whole = tags_of(theirs(sentence, scheme), len(sentence), scheme) == sentence
        assert (problems(sentence, scheme) == []) == whole, sentence


@pytest.mark.parametrize("scheme", SCHEMES)
def test_what_is_allowed_is_what_has_no_problems(scheme: str) -> None:
    labels = tags(scheme)
    steps_LL, starts_L, ends_L = allowed(labels, scheme)
    index = {label: at for at, label in enumerate(labels)}
    for sentence in sentences(scheme):
        if not sentence:
            continue
        path = [index[tag] for tag in sentence]
        legal = starts_L[path[0]] and ends_L[path[-1]] and steps_LL[path[:-1], path[1:]].all()
        assert legal == (problems(sentence, scheme) == []), sentence


@st.composite
def entities(draw: st.DrawFn) -> tuple[list[Span], int]:
    lengths = draw(st.lists(st.integers(1, 4), max_size=8))
    found, at = [], 0
    for length in lengths:
        kind = draw(st.sampled_from([None, "X", "Y"]))
        if kind is not None:
            found.append(Span(kind, at, at + length))
        at += length
    return found, at


@given(entities(), st.sampled_from(["bio", "iob1", "iobes", "bmes", "bilou"]))
def test_every_scheme_says_any_entities(given_: tuple[list[Span], int], scheme: str) -> None:
    found, length = given_
    written = tags_of(found, length, scheme)
    assert spans(written, scheme) == found
    assert problems(written, scheme) == []
    for other in ("bio", "iob1", "iobes", "bmes", "bilou"):
        assert convert(convert(written, scheme, other), other, scheme) == written


def test_bmes_is_iobes_in_other_letters() -> None:
    assert spans(["B-X", "M-X", "E-X", "S-Y", "B-X", "O"], "bmes") == [
        Span("X", 0, 3),
        Span("Y", 3, 4),
    ]
    assert spans(["B", "M", "E", "S"], "bmes") == [Span("_", 0, 3), Span("_", 3, 4)]


@pytest.mark.parametrize(
    ("sentence", "scheme"),
    [
        ("B-X I-X O B-Y B-Y", "bio"),
        ("B-X B-Y", "bio"),
        ("I-X I-X O I-Y B-Y", "iob1"),
        ("I-X O", "iob1"),
        ("B-X E-X S-Y O", "iobes"),
        ("S-Y O", "iobes"),
        ("B-X M-X E-X", "bmes"),
        ("B M E S S", "bmes"),
        ("B I O", "bio"),
        ("B-X L-X U-Y", "bilou"),
        ("NN VB -LRB- X-Y", "none"),
        ("O O", "none"),
        ("M NN P", "none"),
        ("", "none"),
    ],
)
def test_a_scheme_is_seen(sentence: str, scheme: str) -> None:
    assert detect([sentence.split()]) == scheme
    if scheme != "iob1":
        assert scheme_of(sentence.split()) == scheme


def test_a_mistake_in_a_hundred_is_a_problem_and_no_other_scheme() -> None:
    file = [["B-X", "I-X"]] * 99 + [["O", "I-X"]]
    assert detect(file) == "bio"
    assert problems(file[-1], "bio") == [(1, "I-X may not follow O in bio")]
    assert detect([["I-X", "B-X"]] * 99 + [["O", "B-X"]]) == "iob1"
    assert detect([["B-X", "E-X"]] * 99 + [["B-X", "O"]]) == "iobes"


@pytest.mark.parametrize(
    ("file", "says"),
    [
        (["B-X I-X", "O I-X", "I-Y"], r"1 entities begin with B \(f:1: B-X\) and 2 with I"),
        (["B-X M-X I-X E-X"], "letters of several schemes"),
        (["B-X O", "NN VB"], "f:2: some tags mark entities"),
        (["S-X B-Y E-Y", "B-X I-X O B-Y"], r"f:2: O may not follow I-X in iobes, and so 2 of 6"),
    ],
)
def test_mixtures_are_refused(file: list[str], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        detect([line.split() for line in file], [f"f:{n + 1}" for n in range(len(file))])


def test_tags_that_mark_nothing_stand_anywhere() -> None:
    steps_LL, starts_L, ends_L = allowed(["NN", "VB"], "none")
    assert steps_LL.all()
    assert starts_L.all()
    assert ends_L.all()
    assert spans(["NN", "B-X"], "none") == []
    assert np.array_equal(allowed([], "bio").steps_LL, np.zeros((0, 0), dtype=bool))
