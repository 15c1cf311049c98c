"""What a tokenizer learns from: a bounded sample of the texts, which depends on the texts alone."""

import re
from collections.abc import Iterable, Iterator

import numpy as np

from phalanx.data.tokenizers.tokenizer import utf8

# What is learned from, at most: of a longer text parts that lie evenly over it.
LEARNED_BYTES = 2**26
# Bytes of distinct words: the library takes about 110 bytes of memory for each.
LEARNED_WORD_BYTES = 2**22
_PART_OVERHEAD = 64  # bytes of memory that a part takes beside its text
# A part ends before white space, where the pre-tokenizer would split as well, unless a run of
# 8,192 characters stands in the way: merging within one word takes time quadratic in its length.
_PART = re.compile(r".{1,4096}\s{0,8192}\S{0,8192}", re.DOTALL)
_WORD = re.compile(r"\w+|[^\w\s]+")  # much as GPT-2's pattern
_COUNTED_CHARACTERS = 2**20


def sample(texts: Iterable[str]) -> list[bytes]:
    """Parts of the texts in UTF-8: every one, or every second, fourth ... where that is too much.

    Which ones depends on the texts alone.
    """
    parts: list[bytes] = []
    size, every = 0, 1
    for place, part in enumerate(_parts(texts)):
        if place % every:
            continue
        data = utf8(part)
        parts.append(data)
        size += len(data) + _PART_OVERHEAD
        if size > LEARNED_BYTES:
            parts, every = parts[::2], 2 * every
            size = sum(map(len, parts)) + _PART_OVERHEAD * len(parts)
    while len(parts) > 1 and _words_exceed(parts):
        parts = parts[::2]
    return parts


def _parts(texts: Iterable[str]) -> Iterator[str]:
    for text in texts:
        utf8(text)
        for match in _PART.finditer(text):
            yield match.group()


def _words_exceed(parts: list[bytes]) -> bool:
    """Whether the distinct words have more than ``LEARNED_WORD_BYTES``."""
    if sum(map(len, parts)) <= LEARNED_WORD_BYTES:
        return False
    words: set[bytes] = set()
    size = 0
    for part in parts:
        new = {word.encode() for word in _WORD.findall(part.decode())} - words
        words |= new
        size += sum(map(len, new)) + len(new)
        if size > LEARNED_WORD_BYTES:
            return True
    return False


def count_characters(texts: Iterable[str]) -> dict[str, int]:
    """How often each character occurs."""
    counts = np.zeros(0x110000, dtype=np.int64)
    for block in _blocks(texts):
        points = np.frombuffer(block.encode("utf-32-le"), dtype=np.uint32)
        found = np.bincount(points)
        counts[: len(found)] += found
    return {chr(point): int(counts[point]) for point in np.flatnonzero(counts)}


def _blocks(texts: Iterable[str]) -> Iterator[str]:
    """The texts joined to blocks that are worth a call."""
    block: list[str] = []
    size = 0
    for text in texts:
        utf8(text)
        block.append(text)
        size += len(text)
        if size >= _COUNTED_CHARACTERS:
            yield "".join(block)
            block, size = [], 0
    yield "".join(block)
