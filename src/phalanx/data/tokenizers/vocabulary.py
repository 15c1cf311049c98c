"""The tokens of a tokenizer by their ids: which are special, and what text each one adds."""

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from phalanx.data.tokenizers.byte_level import BYTE_OF
from phalanx.data.tokenizers.kinds import SPACE, WITH_UNKNOWN, Kind
from phalanx.errors import UsageError

END = "<|end|>"
MASK = "<|mask|>"
END_NAMES = (
    "<|endoftext|>",  # GPT-2, NeoX, Qwen; Phi-3 has an END too, which ends a turn there
    "<|end_of_text|>",  # Llama 3
    "</s>",  # Llama 2, RoBERTa
    "<eos>",  # Gemma
    "[SEP]",  # BERT
    END,
)
SPECIAL_NAMES = {
    "begin": ("<|begin_of_text|>", "<s>", "<bos>"),
    "cls": ("[CLS]", "<cls>"),
    "mask": ("[MASK]", "<mask>", MASK),
    "pad": ("[PAD]", "<pad>", "<|pad|>"),
}

_REPLACEMENT = "\ufffd"
_BYTE_TOKEN = re.compile("<0x([0-9A-F]{2})>")


@dataclass(frozen=True)
class Vocabulary:
    """What the ids of a tokenizer stand for.

    Args:
        tokens: the token at each id, as the vocabulary writes it.
        token_bytes: the UTF-8 bytes that each id adds inside a text.
        end_id: separates documents.
        unknown_id: stands for what the vocabulary lacks; None where it lacks nothing.
        special_ids: ids of ``begin``, ``cls``, ``mask`` and ``pad``, of those that there are.
        controls: ids of all special tokens; none of them stands for text.
    """

    tokens: list[str]
    token_bytes: list[bytes]
    end_id: int
    unknown_id: int | None
    special_ids: dict[str, int]
    controls: frozenset[int]

    @classmethod
    def of(cls, spec: dict[str, Any], vocab: dict[str, int], kind: Kind) -> "Vocabulary":
        """Read the tokens of a description.

        Args:
            spec: the tokenizer as the library writes it.
            vocab: all tokens, added ones too, with their ids.
            kind: of the tokenizer.

        Raises:
            UsageError: holes among the ids, no end of a document, or bytes are lacking.
        """
        tokens = _by_id(vocab)
        added: dict[str, bool] = {t["content"]: t["special"] for t in spec["added_tokens"]}
        special = {token for token, is_special in added.items() if is_special}
        ends = [name for name in END_NAMES if name in special]
        if not ends:
            raise UsageError(
                "the tokenizer has no token for the end of a document. Expected a special token "
                f"named {' or '.join(END_NAMES)}. Add one or train a tokenizer with phalanx."
            )
        reader = _Reader(kind, spec["model"], added)
        token_bytes = [reader.read(token) for token in tokens]
        own = [i for i, token in enumerate(tokens) if token not in added]
        if kind not in WITH_UNKNOWN:
            _check_bytes({token_bytes[i] for i in own})
        return cls(
            tokens,
            token_bytes,
            vocab[ends[0]],
            vocab[spec["model"]["unk_token"]] if kind in WITH_UNKNOWN else None,
            {
                role: vocab[name]
                for role, names in SPECIAL_NAMES.items()
                for name in names
                if name in special
            },
            frozenset(vocab[token] for token in special),
        )


@dataclass(frozen=True)
class _Reader:
    """Turns a token as the vocabulary writes it into the bytes that it adds to a text."""

    kind: Kind
    model: dict[str, Any]
    added: dict[str, bool]

    def read(self, token: str) -> bytes:
        if self.kind in WITH_UNKNOWN and token == self.model["unk_token"]:
            return (_REPLACEMENT if self.kind == "characters" else f" {_REPLACEMENT}").encode()
        if token in self.added:
            return b"" if self.added[token] else self._joined(token).encode()
        if self.kind in ("words", "wordpiece"):
            return self._joined(token).encode()
        if self.kind == "characters":
            return token.encode()
        if self.kind == "sentencepiece":
            byte = _BYTE_TOKEN.fullmatch(token)
            return bytes([int(byte[1], 16)]) if byte else token.replace(SPACE, " ").encode()
        return _of_byte_level(token)

    def _joined(self, token: str) -> str:
        """A word brings the space before it; a piece inside a word, of WordPiece, does not."""
        if self.kind == "words":
            return f" {token}"
        if self.kind != "wordpiece":
            return token
        inside = self.model["continuing_subword_prefix"]
        return token[len(inside) :] if token.startswith(inside) else f" {token}"


def _of_byte_level(token: str) -> bytes:
    try:
        return bytes(map(BYTE_OF.__getitem__, token))
    except KeyError:
        raise UsageError(
            f"the token {token[:60]!r} is not written in the alphabet of byte-level BPE. Expected "
            "GPT-2's alphabet of 256 characters. Save the tokenizer again."
        ) from None


def _by_id(vocab: dict[str, int]) -> list[str]:
    tokens = sorted(vocab, key=vocab.__getitem__)
    if [vocab[token] for token in tokens] != list(range(len(tokens))):
        raise UsageError(
            f"the tokenizer numbers its {len(tokens)} tokens with holes or twice. Expected the ids "
            f"0 to {len(tokens) - 1}, each once. Save the tokenizer again."
        )
    return tokens


def _check_bytes(found: Collection[bytes]) -> None:
    missing = {bytes([byte]) for byte in range(256)}.difference(found)
    if missing:
        raise UsageError(
            f"the vocabulary lacks {len(missing)} of the 256 bytes, so it would drop text. "
            "Expected all of them. Train it with the full initial alphabet."
        )
