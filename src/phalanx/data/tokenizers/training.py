"""Tokenizers made from training text: bytes, characters, or byte-level byte-pair encoding.

Texts are read once, as they come, in memory that does not grow with them.
"""

import re
from collections.abc import Iterable, Iterator

import numpy as np
import tokenizers as library

from phalanx.data.tokenizers.byte_level import byte_alphabet
from phalanx.data.tokenizers.kinds import KINDS, UNKNOWN
from phalanx.data.tokenizers.tokenizer import Tokenizer, utf8
from phalanx.data.tokenizers.vocabulary import END
from phalanx.errors import UsageError, did_you_mean

DEFAULT_BPE_VOCABULARY = 1024

# What byte-pair encoding learns from, at most: of a longer text parts that lie evenly over it.
BPE_BYTES = 2**26
# Bytes of distinct words: the library takes about 110 bytes of memory for each.
BPE_WORD_BYTES = 2**22
_PART_OVERHEAD = 64  # bytes of memory that a part takes beside its text
# A part ends before white space, where the pre-tokenizer would split as well, unless a run of
# 8,192 characters stands in the way: merging within one word takes time quadratic in its length.
_PART = re.compile(r".{1,4096}\s{0,8192}\S{0,8192}", re.DOTALL)
_WORD = re.compile(r"\w+|[^\w\s]+")  # much as GPT-2's pattern
_COUNTED_CHARACTERS = 2**20


def train_tokenizer(kind: str, texts: Iterable[str], vocabulary: int | None = None) -> Tokenizer:
    """Make a tokenizer from training text.

    Args:
        kind: ``bytes`` (256 values and the end; the texts are not looked at), ``characters`` (each
            character of the texts, or the most frequent of them, one for unknown and the end) or
            ``bpe`` (byte-level, pre-split as GPT-2's).
        texts: the training texts, whole or in pieces, and only those: validation text must not
            shape the vocabulary. They are iterated over once; bpe learns from up to ``BPE_BYTES``
            of them, fewer where the words differ so much that memory would run out.
        vocabulary: number of ids wanted. bytes: 257 or None; characters: None for every character;
            bpe: at least 257, None for 1024; a short text may give fewer.

    Raises:
        UsageError: unknown kind, a vocabulary that the kind cannot have, or no text.
    """
    if kind == "bytes":
        if vocabulary not in (None, 257):
            raise UsageError(
                f"A bytes tokenizer cannot have a vocabulary of {vocabulary}: it has 257 ids. "
                "Leave the vocabulary out, or choose the kind bpe."
            )
        return _make_bytes()
    if kind == "characters":
        return _train_characters(texts, vocabulary)
    if kind == "bpe":
        return _train_bpe(texts, DEFAULT_BPE_VOCABULARY if vocabulary is None else vocabulary)
    raise UsageError(f"Unknown tokenizer kind {kind!r}.{did_you_mean(kind, KINDS)}")


def _make_bytes() -> Tokenizer:
    vocab = {character: byte for byte, character in enumerate(byte_alphabet())}
    wrapped = library.Tokenizer(library.models.BPE(vocab=vocab, merges=[]))
    wrapped.pre_tokenizer = library.pre_tokenizers.ByteLevel(
        add_prefix_space=False, use_regex=False
    )
    wrapped.decoder = library.decoders.ByteLevel()
    return _with_end(wrapped)


def _train_characters(texts: Iterable[str], vocabulary: int | None) -> Tokenizer:
    counts = _count_characters(texts)
    if not counts:
        raise UsageError("No text to take characters from. Expected some. Give training text.")
    if vocabulary is not None and vocabulary < 3:
        raise UsageError(
            f"A characters tokenizer cannot have a vocabulary of {vocabulary}. Expected at least "
            "3: a character, the unknown one and the end."
        )
    kept = sorted(counts, key=lambda character: (-counts[character], character))
    if vocabulary is not None:
        kept = kept[: vocabulary - 2]
    vocab = {token: index for index, token in enumerate([*sorted(kept), UNKNOWN])}
    wrapped = library.Tokenizer(library.models.WordLevel(vocab=vocab, unk_token=UNKNOWN))
    # Every character is a word: "." alone would not match a line's end.
    wrapped.pre_tokenizer = library.pre_tokenizers.Split(library.Regex(r"[\s\S]"), "isolated")
    wrapped.decoder = library.decoders.Fuse()
    return _with_end(wrapped)


def _count_characters(texts: Iterable[str]) -> dict[str, int]:
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


def _train_bpe(texts: Iterable[str], vocabulary: int) -> Tokenizer:
    if vocabulary < 257:
        raise UsageError(
            f"A bpe tokenizer cannot have a vocabulary of {vocabulary}. Expected at least 257: the "
            "256 bytes and the end."
        )
    parts = _sample(texts)
    if not parts:
        raise UsageError("No text to train a bpe tokenizer on. Expected some. Give training text.")
    wrapped = library.Tokenizer(library.models.BPE())
    wrapped.pre_tokenizer = library.pre_tokenizers.ByteLevel(add_prefix_space=False)
    wrapped.decoder = library.decoders.ByteLevel()
    trainer = library.trainers.BpeTrainer(
        vocab_size=vocabulary - 1,
        min_frequency=2,
        initial_alphabet=list(byte_alphabet()),
        show_progress=False,
    )
    wrapped.train_from_iterator((part.decode() for part in parts), trainer)
    return _with_end(wrapped)


def _sample(texts: Iterable[str]) -> list[bytes]:
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
        if size > BPE_BYTES:
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
    """Whether the distinct words have more than ``BPE_WORD_BYTES``."""
    if sum(map(len, parts)) <= BPE_WORD_BYTES:
        return False
    words: set[bytes] = set()
    size = 0
    for part in parts:
        new = {word.encode() for word in _WORD.findall(part.decode())} - words
        words |= new
        size += sum(map(len, new)) + len(new)
        if size > BPE_WORD_BYTES:
            return True
    return False


def _with_end(wrapped: library.Tokenizer) -> Tokenizer:
    """Add the separator behind the vocabulary, so that its id is the last one for every kind."""
    wrapped.add_special_tokens([library.AddedToken(END, special=True, normalized=False)])
    return Tokenizer(wrapped)
