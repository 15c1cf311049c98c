"""Text to token ids and back: bytes, characters, words, and parts of words of three sorts.

Every tokenizer is an ordinary ``tokenizer.json`` of the ``tokenizers`` library. Bytes and
byte-level byte-pair encoding give back any text exactly; characters do unless one is unknown. What
a user writes is text, always: ``<|end|>`` in a text is seven characters and not the end of a
document.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import tokenizers as library
from numpy.typing import NDArray

from phalanx import durable
from phalanx.data.tokenizers.kinds import recognise, steps
from phalanx.data.tokenizers.library import explained
from phalanx.data.tokenizers.vocabulary import Vocabulary
from phalanx.errors import UsageError

FILE_NAME = "tokenizer.json"


class Tokenizer:
    """A vocabulary with its two directions, text to ids and ids to text.

    Args:
        wrapped: a tokenizer of the ``tokenizers`` library, of a kind named below.

    Attributes:
        library: the wrapped tokenizer.
        kind: ``bytes``, ``characters``, ``words`` (what stands between white space), ``bpe``
            (byte-level, as GPT-2's), ``wordpiece`` (BERT's) or ``sentencepiece`` (byte-pair
            encoding of characters with byte fallback, Llama 2's).
        exact: whether every text comes back from its ids. Characters, words and WordPiece lose what
            they do not know, words and WordPiece white space too, SentencePiece U+2581, and a
            normalizer what it changes, such as case.
        normalizes: whether the text is changed before it is split, as where it is lower-cased.
        vocabulary: number of ids, the end of a document included.
        end_id: separates documents; no text encodes to it.
        unknown_id: stands for a character (characters) or a word (words, wordpiece) outside the
            vocabulary; None where there is none.
        special_ids: ids of ``begin``, ``cls``, ``mask`` and ``pad``, of those that there are; no
            text encodes to them.
        controls: ids of all special tokens.

    Raises:
        UsageError: the wrapped tokenizer is of another sort, draws at random (BPE dropout), lacks a
            byte or an end, numbers its tokens with holes, or reads special tokens out of text.
    """

    def __init__(self, wrapped: library.Tokenizer) -> None:
        self.library = wrapped
        # Without this the library turns "<|end|>" in a user's text into the separator.
        self.library.encode_special_tokens = True
        spec = json.loads(wrapped.to_str())
        self._digest = hashlib.sha256(
            json.dumps(spec, sort_keys=True, ensure_ascii=True).encode()
        ).hexdigest()
        form = recognise(spec)
        self.kind, self.exact, self.leading_space = form.kind, form.exact, form.leading_space
        self.normalizes = any(step["type"] != "ByteLevel" for step in steps(spec, "normalizer"))
        self._is_table = form.kind == "characters" and not self.normalizes
        known = Vocabulary.of(spec, wrapped.get_vocab(with_added_tokens=True), form.kind)
        self.vocabulary = len(known.tokens)
        self.end_id, self.unknown_id = known.end_id, known.unknown_id
        self.special_ids, self.controls = known.special_ids, known.controls
        self._bytes = known.token_bytes
        self._lengths: NDArray[np.int64] = np.array([len(b) for b in self._bytes], dtype=np.int64)
        self._id_of_character = (
            _character_table(known.tokens, cast(int, self.unknown_id))
            if self._is_table
            else np.empty(0, dtype=np.int32)
        )
        self._check_text_stays_text(known)

    @property
    def digest(self) -> str:
        """sha256 of the tokenizer's content: equal digests encode alike."""
        return self._digest

    def encode(self, text: str) -> list[int]:
        """Return the ids of a text; special tokens in it stay text.

        Raises:
            UsageError: the text has a lone surrogate, which UTF-8 cannot hold, or the tokenizer's
                own patterns fail on it.
        """
        return cast(list[int], self.encode_array(text).tolist())

    def encode_array(self, text: str) -> NDArray[np.int32]:
        """Return the ids of a text as int32. Bytes and characters take milliseconds per MB.

        The fast paths give what ``library.encode`` gives (a test holds them to it).

        Raises:
            UsageError: see ``encode``.
        """
        data = utf8(text)
        if self.kind == "bytes":
            return np.frombuffer(data, dtype=np.uint8).astype(np.int32)
        if self._is_table:
            points = np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32)
            # Characters above the table's last share its last entry, the unknown one.
            last = len(self._id_of_character) - 1
            return self._id_of_character[np.minimum(points, np.uint32(last))]
        [ids] = self._encode_batch([text])
        return ids

    def encode_documents(self, texts: Iterable[str]) -> NDArray[np.int32]:
        """Return the ids of texts in a row as int32, with ``end_id`` between any two of them.

        Raises:
            UsageError: see ``encode``.
        """
        end = np.array([self.end_id], dtype=np.int32)
        parts: list[NDArray[np.int32]] = []
        for ids in self.encode_each(list(texts)):
            parts += [end, ids] if parts else [ids]
        return np.concatenate(parts) if parts else np.empty(0, dtype=np.int32)

    def encode_each(self, texts: Sequence[str]) -> Iterator[NDArray[np.int32]]:
        """Yield the ids of each text as int32; faster than one after another: on every core.

        Raises:
            UsageError: see ``encode``.
        """
        if self.kind == "bytes" or self._is_table:
            yield from map(self.encode_array, texts)
            return
        for text in texts:
            utf8(text)
        yield from self._encode_batch(texts)

    def _encode_batch(self, texts: Sequence[str]) -> Iterator[NDArray[np.int32]]:
        """The library's own path: uses every core, and skips the offsets that we do not need."""
        with explained(
            "the tokenizer fails on this text",
            "Expected patterns that match in reasonable time. Use another tokenizer.",
        ):
            encodings = self.library.encode_batch_fast(texts, add_special_tokens=False)
        for encoding in encodings:
            yield np.array(encoding.ids, dtype=np.int32)

    def decode(self, ids: Iterable[int]) -> str:
        """Return the text of ids; special tokens give none, bytes that are not UTF-8 give U+FFFD.

        Raises:
            UsageError: an id is outside the vocabulary.
        """
        data = b"".join(map(self.bytes_of, ids))
        if self.leading_space:
            data = data.removeprefix(b" ")
        return data.decode("utf-8", errors="replace")

    def bytes_of(self, token: int) -> bytes:
        """Return the UTF-8 bytes that a token adds inside a text: perhaps part of a character.

        A special token adds none. An unknown character adds U+FFFD. Where words bring the space
        before them (``leading_space``), so does this; a text begins without it.

        Raises:
            UsageError: the id is outside the vocabulary.
        """
        if not 0 <= token < self.vocabulary:
            raise UsageError(
                f"Token id {token} is outside the vocabulary. Expected 0 to {self.vocabulary - 1}. "
                "Check that the ids come from this tokenizer."
            )
        return self._bytes[token]

    def byte_lengths(self, ids: NDArray[np.integer[Any]]) -> NDArray[np.int64]:
        """Return for each id how many bytes of text it adds (int64); for bits per byte.

        Their sum is the length of the text where the tokenizer is ``exact``, else of what is left
        of it.
        """
        lengths: NDArray[np.int64] = self._lengths[ids]
        return lengths

    def save(self, path: str | Path) -> None:
        """Write ``tokenizer.json``; ``path`` is the file (``*.json``) or the directory for it.

        Raises:
            StorageError: it cannot be written.
        """
        path = Path(path)
        file = path if path.suffix == ".json" and not path.is_dir() else path / FILE_NAME
        file.parent.mkdir(parents=True, exist_ok=True)
        durable.replace(file, self.library.to_str(pretty=True).encode())

    def _check_text_stays_text(self, known: Vocabulary) -> None:
        """A vocabulary may hold a special token as a piece that ordinary text can reach."""
        names = [known.tokens[i] for i in sorted(known.controls)]
        texts = [*names, "".join(names), " ".join(names)]
        for text, ids in zip(texts, self.encode_each(texts), strict=True):
            found = known.controls.intersection(ids.tolist()) - {self.unknown_id}
            if found:
                raise UsageError(
                    f"the tokenizer reads {text[:60]!r} in a text as the special token "
                    f"{known.tokens[min(found)]!r}. Expected text to stay text. Take that token "
                    "out of the merges, or use another tokenizer."
                )


def utf8(text: str) -> bytes:
    """Return the UTF-8 bytes of a text.

    Raises:
        UsageError: it has a lone surrogate, which UTF-8 cannot hold.
    """
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise UsageError(
            f"The text has a lone surrogate, U+{ord(text[error.start]):04X}, at character "
            f"{error.start}: it came from bytes that are not UTF-8. Expected UTF-8 text. "
            "Decode or convert the input first."
        ) from None


def _character_table(tokens: Sequence[str], unknown: int) -> NDArray[np.int32]:
    """Return the id at each code point, ending in one entry for all code points above."""
    points = {ord(token): index for index, token in enumerate(tokens) if len(token) == 1}
    table = np.full(max(points, default=0) + 2, unknown, dtype=np.int32)
    table[list(points)] = list(points.values())
    return table
