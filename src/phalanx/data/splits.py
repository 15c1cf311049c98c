"""Which text trains and which validates: rules that give each document a cut.

The characters of a document before its cut train, those from it on validate; a document that is
not divided has its cut at the end or at the beginning. R: documents of a file.
"""

import hashlib
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from phalanx.data.documents import Document
from phalanx.data.order import random_bits


def position(name: str) -> float:
    """Return where a name stands between 0 and 1; below the fraction it validates."""
    return _key(name) / 2**64


def by_file(name: str, lengths_R: NDArray[np.int64], fraction: float) -> NDArray[np.int64]:
    """Return the cuts of a file that goes to one side whole; its name alone decides which."""
    return np.zeros_like(lengths_R) if position(name) < fraction else lengths_R


def by_row(name: str, lengths_R: NDArray[np.int64], fraction: float) -> NDArray[np.int64]:
    """Return the cuts of rows that go to one side each; name and number decide which.

    So a row stays where it is when others are appended, and a larger fraction keeps what it had.
    """
    rows = np.arange(len(lengths_R), dtype=np.int64)
    validates_R = random_bits(_key(name), 0, rows) < np.uint64(fraction * 2**64)
    return np.where(validates_R, 0, lengths_R)


def by_characters(lengths_R: NDArray[np.int64], fraction: float) -> NDArray[np.int64]:
    """Return the cuts that let the first ``1 - fraction`` of each document train, rounded down.

    1,115,394 characters at 0.1 give 1,003,854 and 111,540.
    """
    # The small term undoes binary rounding: 0.7 * 10 is 7, not 6.999...
    return (lengths_R * (1.0 - fraction) + 1e-9).astype(np.int64)


def split_by_file(
    documents: Iterable[Document], fraction: float
) -> tuple[list[Document], list[Document]]:
    """Return (train, validation); a document's side is a function of its own name alone."""
    train: list[Document] = []
    validation: list[Document] = []
    for document in documents:
        (validation if position(document.name) < fraction else train).append(document)
    return train, validation


def _key(name: str) -> int:
    head = hashlib.sha256(name.encode("utf-8", "surrogateescape")).digest()[:8]
    return int.from_bytes(head, "big")
