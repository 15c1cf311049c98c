"""Labels of Python source: the same on every Python version, token by token."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from phalanx.data.batches import IGNORED
from phalanx.data.documents import Document
from phalanx.data.python_tags import LABELS, character_labels, tagged_windows, token_labels
from phalanx.data.stdlib import stdlib_documents
from phalanx.data.tokenizers import train_tokenizer
from phalanx.errors import UsageError

LETTERS = dict(zip("knds#o.", (0, 1, 2, 3, 5, 4, 6), strict=True))  # one letter for each label


def shown(text: str) -> str:
    """The labels of a text, one letter a character: k n d(igit) s # o(perator) . (other)."""
    labels = character_labels(text)
    assert labels is not None
    names = {label: letter for letter, label in LETTERS.items()}
    return "".join(names[int(label)] for label in labels)


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("def f(x):\n    return x + 0x1F  # sum\n", "kkk.nonoo.....kkkkkk.n.o.dddd..#####."),
        ("True is None", "kkkk.kk.kkkk"),
        ("match x:\n case _: type", "nnnnn.no..nnnn.no.nnnn"),  # soft keywords are names
        ("f'a{b!r:>{w}}c' + x", "sssssssssssssss.o.n"),
        ("rf'''{\n  x  # no\n}''' if y", "s" * len("rf'''{\n  x  # no\n}'''") + ".kk.n"),
        ("x = f\"{f'{y}'}\" 'z'", "n.o." + "s" * 11 + ".sss"),
        ("'''a\nb''' ; 名 = 'é🌊'", "sssssssss.o.n.o.ssss"),
        ("a = \\\n  1.5e3j", "n.o.....dddddd"),
        ("x: int = b'1' @ y", "no.nnn.o.ssss.o.n"),
        ("", ""),
        ("\n\n", ".."),
    ],
)
def test_labels(text: str, labels: str) -> None:
    assert shown(text) == labels


@pytest.mark.parametrize(
    "text",
    [
        "x = 'unclosed",
        "x = (",
        "if x:\n    y\n  z\n",
        "a $ b",
        "'''",
        "x = ?",
        "a!b",
        "€",
        "a\rb",
        "a\0b",
    ],
)
def test_what_is_not_python_is_refused(text: str) -> None:
    assert character_labels(text) is None


@given(st.text(st.sampled_from("ab1 \n\t\r\f'\"#()[]{}f\\:=é🌊!"), max_size=40))
def test_any_text_is_labelled_or_refused(text: str) -> None:
    labels = character_labels(text)
    assert labels is None or len(labels) == len(text)


@pytest.mark.parametrize("kind", ["bytes", "characters", "bpe"])
def test_each_token_has_the_label_of_its_last_character(kind: str) -> None:
    """The reference: walk over tokens and characters byte by byte."""
    text = "def gré(x):\n    return '🌊' + x  # 三\n" * 3
    tokenizer = train_tokenizer(kind, [text * 5], 300 if kind == "bpe" else None)
    labels = character_labels(text)
    assert labels is not None
    ids = tokenizer.encode_array(text)
    owners = [place for place, char in enumerate(text) for _ in char.encode()]
    position, expected = 0, []
    for token in ids:
        position += len(tokenizer.bytes_of(token))
        expected.append(int(labels[owners[position - 1]]))
    assert token_labels(text, labels, ids, tokenizer).tolist() == expected


def test_windows_cover_each_token_once() -> None:
    tokenizer = train_tokenizer("characters", ["x = 1\n"])
    documents = [
        Document("a.py", "x = 1\n"),
        Document("broken.py", "x = '"),
        Document("b.py", "unknown"),
    ]
    windows = tagged_windows(documents, tokenizer, 4)
    assert (windows.documents, windows.skipped) == (2, 1)
    assert windows.lengths_N.tolist() == [4, 4, 4, 2]
    kept = torch.arange(4)[None] < windows.lengths_N[:, None]
    end = tokenizer.end_id
    both = [*tokenizer.encode("x = 1\n"), end, *tokenizer.encode("unknown")]
    assert windows.inputs_NT[kept].tolist() == both
    letters = [LETTERS[letter] for letter in "n.o.d."]
    assert windows.labels_NT[kept].tolist() == [*letters, IGNORED, *[LETTERS["n"]] * 7]
    assert (windows.labels_NT[~kept] == IGNORED).all()
    counts = windows.label_counts()
    assert sum(counts.values()) == 13
    assert counts["name"] == 8
    inputs, labels, lengths = windows.batch(3, 3, seed=1)
    again = tagged_windows(documents, tokenizer, 4).batch(3, 3, seed=1)
    assert inputs.shape == labels.shape == (3, 4)
    assert torch.equal(inputs, again[0])
    assert torch.equal(labels, again[1])
    assert torch.equal(lengths, again[2])


def test_nothing_to_label_is_explained() -> None:
    tokenizer = train_tokenizer("bytes", [])
    with pytest.raises(UsageError, match="None of 1 documents is Python"):
        tagged_windows([Document("x", "Dear Sir, it's")], tokenizer, 8)
    with pytest.raises(UsageError, match="Give at least 1"):
        tagged_windows([Document("x", "y")], tokenizer, 0)


def test_the_standard_library_is_all_python() -> None:
    documents = stdlib_documents()[::12]
    windows = tagged_windows(documents, train_tokenizer("bytes", []), 256)
    assert windows.skipped == 0
    counts = windows.label_counts()
    assert all(counts[label] > 0 for label in LABELS)
    assert max(counts.values()) / sum(counts.values()) < 0.6, "guessing one label does not do"
    for document in documents:
        labels = character_labels(document.text)
        assert labels is not None
        spaces = np.array([c.isspace() for c in document.text])
        assert (labels[~spaces] != LABELS.index("other")).sum() > 0.99 * (~spaces).sum()
