"""A corpus as tokens on disk: encoded once, in bounded memory, and mapped from then on.

A store is kept in the cache under the hash of what decides its content: the text, the split and
the tokenizer. It is published whole or not at all (``durable.publish``), so a builder may be killed
at any moment; of two builders the second waits for the first, and takes what it made.
"""

import hashlib
import json
import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tokenizers as library
from numpy.typing import NDArray

from phalanx import durable
from phalanx.data.cache import VARIABLE, cache_directory
from phalanx.data.documents import Piece
from phalanx.data.documents import pieces as cut
from phalanx.data.sources import Corpus
from phalanx.data.tokenizers import Tokenizer, load_tokenizer, train_tokenizer

FORMAT = 1
FACTS = "store.json"
TOKENIZER = "tokenizer.json"

_SMALL, _LARGE = np.dtype("<u2"), np.dtype("<i4")
_BATCH = 2**20  # characters encoded at once
_UNIT = 2**17  # characters that one core encodes at once
_PIECE_OVERHEAD = 256  # characters' worth of memory that a piece takes beside its text
_LONG = 2**26  # bytes of text whose encoding takes long enough to say so


@dataclass(frozen=True)
class Stream:
    """What is known of one side's stream of tokens.

    Args:
        tokens: their number, ``end_id`` between documents included.
        documents: their number.
        bytes: length of the text in UTF-8.
        unknown: tokens that stand for a character outside the vocabulary.
    """

    tokens: int
    documents: int
    bytes: int
    unknown: int


@dataclass(frozen=True)
class TokenStore:
    """The tokens of a corpus, mapped from disk.

    Args:
        path: the directory.
        tokenizer: what made them.
        train, validation: the streams, read-only, uint16 for up to 65,536 ids and int32 above:
            the tokens of each document, with ``tokenizer.end_id`` between documents.
        train_facts, validation_facts: what is known of them.
    """

    path: Path
    tokenizer: Tokenizer
    train: NDArray[np.integer[Any]]
    validation: NDArray[np.integer[Any]]
    train_facts: Stream
    validation_facts: Stream


def open_store(
    corpus: Corpus,
    tokenizer: Tokenizer | str,
    vocabulary: int | None = None,
    *,
    lowercase: bool = False,
    mask: bool = False,
) -> TokenStore:
    """Open the tokens of a corpus; they are made where the cache does not hold them, sound.

    A store is checked against its SHA-256 each time, however large: the text itself was read and
    hashed a moment ago to know which store it is, which took longer.

    Args:
        corpus: the text.
        tokenizer: one that exists, or the kind to train on the training side.
        vocabulary, lowercase, mask: of a tokenizer that is trained; see ``train_tokenizer``.

    Raises:
        UsageError: see ``train_tokenizer``.
        PhalanxError: the text changed meanwhile, or the cache cannot be written.
    """
    wanted: Tokenizer | _ToTrain = (
        tokenizer
        if isinstance(tokenizer, Tokenizer)
        else _ToTrain(tokenizer, vocabulary, lowercase, mask)
    )
    place = cache_directory() / "tokens" / _key(corpus, wanted)
    path = place / "store"
    try:
        return _read(path)
    except durable.DamagedError:
        pass  # or not there at all: looked at again when nobody else can be making it
    try:
        _make_directory(place)
        with durable.Lock(place / "lock", f"The token store {place}", _say_waiting):
            durable.sweep(place)
            if path.exists():
                try:
                    return _read(path)
                except durable.DamagedError as damage:
                    _say(f"the token store is damaged and is made again. {damage}")
                    durable.remove(path)
            if corpus.bytes >= _LONG:
                _say(f"making tokens of {corpus.bytes:,} bytes of text, once; kept in {place}")
            durable.publish(path, lambda new: _build(new, corpus, wanted))
            return _map(path)
    except durable.StorageError as error:
        raise durable.StorageError(
            f"{error} The tokens of a text are kept in a cache: set {VARIABLE} to a directory "
            f"that can be written and has room for about {2 * corpus.bytes / 1e6:,.0f} MB."
        ) from error


def encode(pieces: Iterable[Piece], tokenizer: Tokenizer) -> Iterator[NDArray[np.int32]]:
    """Yield a stream of tokens part by part: what ``encode_documents`` makes of the documents."""
    end = np.array([tokenizer.end_id], dtype=np.int32)
    started = False
    for batch in _batches(pieces):
        parts: list[NDArray[np.int32]] = []
        encoded = tokenizer.encode_each([piece.text for piece in batch])
        for piece, ids in zip(batch, encoded, strict=True):
            if piece.begins and started:
                parts.append(end)
            parts.append(ids)
            started = True
        yield np.concatenate(parts)


def _batches(pieces: Iterable[Piece]) -> Iterator[list[Piece]]:
    """Pieces enough to keep every core busy, few enough to hold."""
    batch: list[Piece] = []
    size = 0
    for piece in pieces:
        for unit in cut([piece.text], _UNIT):
            batch.append(Piece(unit.text, piece.begins and unit.begins))
            size += len(unit.text) + _PIECE_OVERHEAD
            if size >= _BATCH:
                yield batch
                batch, size = [], 0
    if batch:
        yield batch


@dataclass(frozen=True)
class _ToTrain:
    """A tokenizer that is not there yet: the arguments of ``train_tokenizer``."""

    kind: str
    vocabulary: int | None
    lowercase: bool
    mask: bool


def _key(corpus: Corpus, tokenizer: Tokenizer | _ToTrain) -> str:
    if isinstance(tokenizer, Tokenizer):
        spec: dict[str, Any] = {"digest": tokenizer.digest}
    else:
        spec = asdict(tokenizer)
    decisive = {
        "format": FORMAT,
        "text": corpus.digest,
        "tokenizer": spec,
        "library": library.__version__,
    }
    return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()


def _build(directory: Path, corpus: Corpus, tokenizer: Tokenizer | _ToTrain) -> None:
    if isinstance(tokenizer, _ToTrain):
        texts = (piece.text for piece in corpus.train)
        tokenizer = train_tokenizer(texts=texts, **asdict(tokenizer))
    tokenizer.save(directory / TOKENIZER)
    dtype = _SMALL if tokenizer.vocabulary <= 2**16 else _LARGE
    facts: dict[str, Any] = {"format": FORMAT, "dtype": dtype.str}
    for name, side in (("train", corpus.train), ("validation", corpus.validation)):
        facts[name] = asdict(_write_stream(directory / f"{name}.bin", side, tokenizer, dtype))
    durable.write(directory / FACTS, json.dumps(facts, indent=1).encode() + b"\n")


def _write_stream(
    path: Path, pieces: Iterable[Piece], tokenizer: Tokenizer, dtype: np.dtype[Any]
) -> Stream:
    documents = size = tokens = unknown = 0

    def counted() -> Iterator[Piece]:
        nonlocal documents, size
        for piece in pieces:
            documents += piece.begins
            size += len(piece.text.encode())
            yield piece

    with path.open("xb") as file:
        for ids in encode(counted(), tokenizer):
            tokens += len(ids)
            if tokenizer.unknown_id is not None:
                unknown += int((ids == tokenizer.unknown_id).sum())
            file.write(ids.astype(dtype).data)
    return Stream(tokens, documents, size, unknown)


def _read(path: Path) -> TokenStore:
    durable.verify(path)
    return _map(path)


def _map(path: Path) -> TokenStore:
    facts = json.loads((path / FACTS).read_bytes())
    streams = {name: Stream(**facts[name]) for name in ("train", "validation")}
    mapped = {
        name: np.memmap(path / f"{name}.bin", np.dtype(facts["dtype"]), "r", shape=(stream.tokens,))
        for name, stream in streams.items()
    }
    return TokenStore(
        path=path,
        tokenizer=load_tokenizer(path / TOKENIZER),
        train=mapped["train"],
        validation=mapped["validation"],
        train_facts=streams["train"],
        validation_facts=streams["validation"],
    )


def _make_directory(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise durable.storage_error(path, error) from error


def _say_waiting() -> None:
    _say("another process is making the tokens of this text; waiting for it")


def _say(what: str) -> None:
    print(f"phalanx: {what}", file=sys.stderr, flush=True)
