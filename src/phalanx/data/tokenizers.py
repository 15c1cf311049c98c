"""Text to token ids and back: bytes, characters, or byte-level byte-pair encoding.

All three are ordinary ``tokenizer.json`` files that the ``tokenizers`` library loads. Bytes and
byte-pair encoding give back any text exactly; characters do unless one is unknown. What a user
writes is text, always: ``<|end|>`` in a text is seven characters and not the end of a document.
"""

import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import tokenizers as library
from numpy.typing import NDArray

from phalanx.errors import UsageError, did_you_mean

Kind = Literal["bytes", "characters", "bpe"]
KINDS: tuple[Kind, ...] = ("bytes", "characters", "bpe")
END = "<|end|>"
UNKNOWN = "<|unknown|>"
DEFAULT_BPE_VOCABULARY = 1024
FILE_NAME = "tokenizer.json"

_END_NAMES = (END, "<|endoftext|>", "</s>")  # ours, GPT-2's, Llama's
_REPLACEMENT = "\ufffd".encode()


class Tokenizer:
    """A vocabulary with its two directions, text to ids and ids to text.

    Args:
        wrapped: a tokenizer of the ``tokenizers`` library: a byte-level BPE, ours or another's
            (GPT-2), or one that ``train_tokenizer`` made.

    Attributes:
        library: the wrapped tokenizer.
        kind: ``bytes``, ``characters`` or ``bpe``.
        vocabulary: number of ids, the end of a document included.
        end_id: separates documents; no text encodes to it.
        unknown_id: stands for a character outside the vocabulary; None where there is none.

    Raises:
        UsageError: the wrapped tokenizer is of another sort, draws at random (BPE dropout), lacks a
            byte or an end, or numbers its tokens with holes.
    """

    def __init__(self, wrapped: library.Tokenizer) -> None:
        self.library = wrapped
        # Without this the library turns "<|end|>" in a user's text into the separator.
        self.library.encode_special_tokens = True
        spec = json.loads(wrapped.to_str())
        self._digest = hashlib.sha256(
            json.dumps(spec, sort_keys=True, ensure_ascii=True).encode()
        ).hexdigest()
        self.kind: Kind = _kind(spec)
        added: dict[str, bool] = {t["content"]: t["special"] for t in spec["added_tokens"]}
        tokens = _tokens_by_id(wrapped.get_vocab(with_added_tokens=True))
        self.vocabulary = len(tokens)
        ids = {token: index for index, token in enumerate(tokens)}
        ends = [name for name in _END_NAMES if added.get(name)]
        if not ends:
            raise UsageError(
                "The tokenizer has no token for the end of a document. Expected a special token "
                f"named {' or '.join(_END_NAMES)}. Add one or train a tokenizer with phalanx."
            )
        self.end_id = ids[ends[0]]
        self.unknown_id = ids[UNKNOWN] if self.kind == "characters" else None
        self._bytes = [_token_bytes(token, self.kind, added.get(token)) for token in tokens]
        self._lengths: NDArray[np.int64] = np.array([len(b) for b in self._bytes], dtype=np.int64)
        if self.kind != "characters":
            _check_bytes(self._bytes)
        self._id_of_character = _character_table(tokens, self.unknown_id)

    @property
    def digest(self) -> str:
        """sha256 of the tokenizer's content: equal digests encode alike."""
        return self._digest

    def encode(self, text: str) -> list[int]:
        """Return the ids of a text; special tokens in it stay text.

        Raises:
            UsageError: the text has a lone surrogate, which UTF-8 cannot hold.
        """
        return cast(list[int], self.encode_array(text).tolist())

    def encode_array(self, text: str) -> NDArray[np.int32]:
        """Return the ids of a text as int32. Bytes and characters take milliseconds per MB.

        The fast paths give what ``library.encode`` gives (a test holds them to it).

        Raises:
            UsageError: the text has a lone surrogate.
        """
        data = _utf8(text)
        if self.kind == "bytes":
            return np.frombuffer(data, dtype=np.uint8).astype(np.int32)
        if self.kind == "characters":
            points = np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32)
            # Characters above the table's last share its last entry, the unknown one.
            last = len(self._id_of_character) - 1
            return self._id_of_character[np.minimum(points, np.uint32(last))]
        encoding = self.library.encode(text, add_special_tokens=False)
        return np.array(encoding.ids, dtype=np.int32)

    def encode_documents(self, texts: Iterable[str]) -> NDArray[np.int32]:
        """Return the ids of texts in a row as int32, with ``end_id`` between any two of them.

        Raises:
            UsageError: a text has a lone surrogate.
        """
        end = np.array([self.end_id], dtype=np.int32)
        parts: list[NDArray[np.int32]] = []
        for ids in self._encode_each(texts):
            parts += [end, ids] if parts else [ids]
        return np.concatenate(parts) if parts else np.empty(0, dtype=np.int32)

    def _encode_each(self, texts: Iterable[str]) -> Iterator[NDArray[np.int32]]:
        if self.kind != "bpe":
            yield from map(self.encode_array, texts)
            return
        texts = list(texts)
        for text in texts:
            _utf8(text)
        # The batch call uses every core, and skips the offsets that we do not need.
        for encoding in self.library.encode_batch_fast(texts, add_special_tokens=False):
            yield np.array(encoding.ids, dtype=np.int32)

    def decode(self, ids: Iterable[int]) -> str:
        """Return the text of ids; special tokens give none, bytes that are not UTF-8 give U+FFFD.

        Raises:
            UsageError: an id is outside the vocabulary.
        """
        return b"".join(map(self.bytes_of, ids)).decode("utf-8", errors="replace")

    def bytes_of(self, token: int) -> bytes:
        """Return the UTF-8 bytes that a token adds to the text: perhaps part of a character.

        A special token adds none. An unknown character adds U+FFFD.

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
        """Return for each id how many bytes of text it adds (int64); for bits per byte."""
        lengths: NDArray[np.int64] = self._lengths[ids]
        return lengths

    def save(self, path: str | Path) -> None:
        """Write ``tokenizer.json``; ``path`` is the file (``*.json``) or the directory for it."""
        path = _file(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
        temporary.write_text(self.library.to_str(pretty=True), encoding="utf-8", newline="\n")
        temporary.replace(path)  # a reader sees the old file or the new one, never a part

    @classmethod
    def load(cls, path: str | Path) -> "Tokenizer":
        """Read a ``tokenizer.json``; ``path`` is the file or the directory that holds it.

        Raises:
            UsageError: the file is missing, is malformed or is of a sort that is not supported.
        """
        path = _file(path)
        try:
            content = path.read_text(encoding="utf-8")
        except FileNotFoundError:
            raise UsageError(
                f"No tokenizer at {path}. Expected the tokenizer.json of a model directory. "
                "Check the path."
            ) from None
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(
                f"Cannot read {path}: {error}. Expected a tokenizer.json in UTF-8. "
                "Check the file and its permissions."
            ) from None
        try:
            _check_json(content)
            return cls(_parse(content))
        except UsageError as error:
            raise UsageError(f"{path}: {error}") from None


def train_tokenizer(kind: str, texts: Iterable[str], vocabulary: int | None = None) -> Tokenizer:
    """Make a tokenizer from training text.

    Args:
        kind: ``bytes`` (256 values and the end; the texts are not looked at), ``characters`` (each
            character of the texts, or the most frequent of them, one for unknown and the end) or
            ``bpe`` (byte-level, pre-split as GPT-2's).
        texts: the training texts, and only those: validation text must not shape the vocabulary.
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


def byte_alphabet() -> str:
    """Return 256 printable characters, the one at b standing for byte b in a byte-level vocabulary.

    Source: GPT-2's ``bytes_to_unicode``: printable Latin-1 stands for itself, the rest follows
    from U+0100 on.
    """
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = (byte for byte in range(256) if byte not in printable)
    shifted = {byte: 0x100 + place for place, byte in enumerate(others)}
    return "".join(chr(shifted.get(byte, byte)) for byte in range(256))


_BYTE_OF = {character: byte for byte, character in enumerate(byte_alphabet())}


def _make_bytes() -> Tokenizer:
    vocab = {character: byte for byte, character in enumerate(byte_alphabet())}
    wrapped = library.Tokenizer(library.models.BPE(vocab=vocab, merges=[]))
    wrapped.pre_tokenizer = library.pre_tokenizers.ByteLevel(
        add_prefix_space=False, use_regex=False
    )
    wrapped.decoder = library.decoders.ByteLevel()
    return _with_end(wrapped)


def _train_characters(texts: Iterable[str], vocabulary: int | None) -> Tokenizer:
    counts: Counter[str] = Counter()
    for text in texts:
        _utf8(text)
        counts.update(text)
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


def _train_bpe(texts: Iterable[str], vocabulary: int) -> Tokenizer:
    if vocabulary < 257:
        raise UsageError(
            f"A bpe tokenizer cannot have a vocabulary of {vocabulary}. Expected at least 257: the "
            "256 bytes and the end."
        )
    texts = list(texts)
    for text in texts:
        _utf8(text)
    if not any(texts):
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
    wrapped.train_from_iterator(texts, trainer)
    return _with_end(wrapped)


def _with_end(wrapped: library.Tokenizer) -> Tokenizer:
    """Add the separator behind the vocabulary, so that its id is the last one for every kind."""
    wrapped.add_special_tokens([library.AddedToken(END, special=True, normalized=False)])
    return Tokenizer(wrapped)


def _file(path: str | Path) -> Path:
    path = Path(path)
    is_file = path.is_file() or (path.suffix == ".json" and not path.is_dir())
    return path if is_file else path / FILE_NAME


def _utf8(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise UsageError(
            f"The text has a lone surrogate, U+{ord(text[error.start]):04X}, at character "
            f"{error.start}: it came from bytes that are not UTF-8. Expected UTF-8 text. "
            "Decode or convert the input first."
        ) from None


def _check_json(content: str) -> None:
    """Refuse what is no tokenizer with words of our own; the library's speak of Rust."""
    try:
        spec = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise UsageError(
            f"this is not JSON ({error}). Expected a tokenizer.json. It may be cut short: "
            "copy it again."
        ) from None
    if not isinstance(spec, dict) or not isinstance(spec.get("model"), dict):
        raise UsageError(
            "this is not a tokenizer: it has no 'model'. Expected a tokenizer.json as the "
            "tokenizers library writes it."
        )


def _parse(content: str) -> library.Tokenizer:
    try:
        return library.Tokenizer.from_str(content)
    except BaseException as error:
        # A panic in Rust is a PanicException, which derives from BaseException and cannot be
        # imported; KeyboardInterrupt and its like must pass.
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        raise UsageError(
            f"the tokenizers library cannot read it ({error}). Expected a tokenizer.json as that "
            "library writes it. Save the tokenizer again."
        ) from None


def _kind(spec: dict[str, Any]) -> Kind:
    model, decoder, splitter = spec["model"], spec["decoder"] or {}, spec["pre_tokenizer"] or {}
    if model["type"] == "BPE" and decoder.get("type") == "ByteLevel":
        if model.get("dropout"):
            raise UsageError(
                f"BPE dropout {model['dropout']} makes encoding random. Expected none. "
                "Set 'dropout' to null in the file."
            )
        vocab = model["vocab"]
        plain = not model["merges"] and not spec["normalizer"] and not splitter.get("use_regex")
        is_bytes = plain and all(vocab.get(c) == byte for c, byte in _BYTE_OF.items())
        return "bytes" if is_bytes and len(vocab) == 256 else "bpe"
    if model["type"] == "WordLevel" and model.get("unk_token") == UNKNOWN:
        one_each = all(len(token) == 1 or token == UNKNOWN for token in model["vocab"])
        if one_each and UNKNOWN in model["vocab"] and splitter.get("type") == "Split":
            return "characters"
    raise UsageError(
        f"a {model['type']} tokenizer with the decoder {decoder.get('type')} is not supported. "
        "Expected byte-level BPE (as GPT-2's), or one that phalanx trained."
    )


def _tokens_by_id(vocab: dict[str, int]) -> list[str]:
    tokens = sorted(vocab, key=vocab.__getitem__)
    if [vocab[token] for token in tokens] != list(range(len(tokens))):
        raise UsageError(
            f"the tokenizer numbers its {len(tokens)} tokens with holes or twice. Expected the ids "
            f"0 to {len(tokens) - 1}, each once. Save the tokenizer again."
        )
    return tokens


def _token_bytes(token: str, kind: Kind, special: bool | None) -> bytes:
    """Return what a token adds to the text; ``special`` is None for one that was not added."""
    if special is not None:
        return b"" if special else token.encode()
    if kind == "characters":
        return _REPLACEMENT if token == UNKNOWN else token.encode()
    if not set(token) <= _BYTE_OF.keys():
        raise UsageError(
            f"the token {token!r} is not written in the alphabet of byte-level BPE. Expected "
            "GPT-2's alphabet of 256 characters. Save the tokenizer again."
        )
    return bytes(_BYTE_OF[character] for character in token)


def _check_bytes(token_bytes: Sequence[bytes]) -> None:
    missing = {bytes([byte]) for byte in range(256)} - set(token_bytes)
    if missing:
        raise UsageError(
            f"the vocabulary lacks {len(missing)} of the 256 bytes, so it would drop text. "
            "Expected a byte-level BPE with all of them. Train it with the full initial alphabet."
        )


def _character_table(tokens: Sequence[str], unknown: int | None) -> NDArray[np.int32]:
    """Return the id at each code point, ending in one entry for all code points above."""
    if unknown is None:
        return np.empty(0, dtype=np.int32)
    points = {ord(token): index for index, token in enumerate(tokens) if len(token) == 1}
    table = np.full(max(points, default=0) + 2, unknown, dtype=np.int32)
    table[list(points)] = list(points.values())
    return table
