"""A real tagging task with free labels: what Python's own tokenizer says each character is.

The labels mean the same on every Python that phalanx runs on:

- An f-string is a string from its prefix to its last quote, with the expressions inside. (3.12
  began to take f-strings apart; before, the tokenizer saw one string. Likewise t-strings, 3.14.)
- Soft keywords (``match``, ``case``, ``type``, ``_``) are names: the tokenizer cannot tell, only
  the parser can. Keywords are the 35 reserved words, ``True``, ``False`` and ``None`` among them.
- White space, line ends and a backslash that joins lines are ``other``.
- A file that the tokenizer refuses, or that holds what is no Python (``$``, a lone ``\\r``), is
  skipped and counted.
"""

import io
import keyword
import token as kinds
import tokenize
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from phalanx.data.batches import IGNORED
from phalanx.data.documents import Document
from phalanx.data.order import sample_at
from phalanx.data.tokenizers import Tokenizer
from phalanx.errors import UsageError

LABELS = ("keyword", "name", "number", "string", "operator", "comment", "other")
KEYWORD, NAME, NUMBER, STRING, OPERATOR, COMMENT, OTHER = range(len(LABELS))

_KEYWORDS = frozenset(keyword.kwlist)
_LABEL_OF_KIND = {
    kinds.NAME: NAME,
    kinds.NUMBER: NUMBER,
    kinds.STRING: STRING,
    kinds.OP: OPERATOR,
    kinds.COMMENT: COMMENT,
}
# "!" is an operator inside f-strings alone, and from 3.12 on.
_OPERATORS = frozenset(kinds.EXACT_TOKEN_TYPES) - {"!"}
# Absent before 3.12 (f-strings) and 3.14 (t-strings).
_STARTS = {getattr(kinds, name, -1) for name in ("FSTRING_START", "TSTRING_START")} - {-1}
_ENDS = {getattr(kinds, name, -1) for name in ("FSTRING_END", "TSTRING_END")} - {-1}


def character_labels(text: str) -> NDArray[np.int64] | None:
    """Return the label of each character of Python source, int64 indices into ``LABELS``.

    None where the text is not tokens of Python.
    """
    if "\r" in text:  # the versions disagree whether it ends a line
        return None
    labels = np.full(len(text), OTHER, dtype=np.int64)
    lines = text.split("\n")
    line_starts = np.cumsum([0] + [len(line) + 1 for line in lines])
    depth, string_start = 0, 0
    try:
        for piece in tokenize.generate_tokens(io.StringIO(text).readline):
            if depth == 0 and _is_wrong(piece):
                return None
            start = int(line_starts[piece.start[0] - 1]) + piece.start[1]
            end = int(line_starts[piece.end[0] - 1]) + piece.end[1]
            if piece.type in _STARTS:
                string_start = start if depth == 0 else string_start
                depth += 1
            elif piece.type in _ENDS:
                depth -= 1
                if depth == 0:
                    labels[string_start:end] = STRING
            elif depth == 0 and piece.type in _LABEL_OF_KIND:
                if text[start:end] != piece.string:
                    return None
                is_keyword = piece.type == kinds.NAME and piece.string in _KEYWORDS
                labels[start:end] = KEYWORD if is_keyword else _LABEL_OF_KIND[piece.type]
    except (tokenize.TokenError, SyntaxError, IndexError):
        return None
    return labels


def _is_wrong(piece: tokenize.TokenInfo) -> bool:
    """Whether no version of Python would run this token; which ones pass differs by version."""
    if piece.type == kinds.NAME:
        return not piece.string.isidentifier()
    if piece.type == kinds.OP:
        return piece.string not in _OPERATORS
    return piece.type == kinds.ERRORTOKEN


def token_labels(
    text: str, labels: NDArray[np.int64], ids: NDArray[np.int32], tokenizer: Tokenizer
) -> NDArray[np.int64]:
    """Return the label of each of our tokens: that of the last character it holds a byte of.

    The last, because a token of byte-pair encoding often starts with a space. For bytes and
    characters this is the label of the one character.

    Args:
        text: the text.
        labels: one for each of its characters.
        ids: the text's tokens.
        tokenizer: that which made them.
    """
    if tokenizer.kind == "characters":  # an unknown character has no bytes of its own
        return labels
    points = np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32)
    bytes_each = 1 + (points >= 0x80) + (points >= 0x800) + (points >= 0x10000)
    ends = np.cumsum(tokenizer.byte_lengths(ids))
    byte_labels: NDArray[np.int64] = np.repeat(labels, bytes_each)
    if len(ids) and ends[-1] != len(byte_labels):
        raise UsageError(
            "The tokenizer changes the text before it splits it (a normalizer), so labels cannot "
            "follow. Expected one that gives the text back. Train one with phalanx."
        )
    return byte_labels[ends - 1]


@dataclass(frozen=True)
class TaggedWindows:
    """Token windows with a label for each token.

    Attributes:
        inputs_NT: int64 token ids; 0 on padding.
        labels_NT: int64 indices into ``LABELS``; ``IGNORED`` on padding and between documents.
        lengths_N: int64, positions of each window that are not padding; all but the last are T.
        documents: number of documents labelled.
        skipped: number of documents left out because they are not tokens of Python.
    """

    inputs_NT: Tensor
    labels_NT: Tensor
    lengths_N: Tensor
    documents: int
    skipped: int

    def batch(self, step: int, batch_size: int, seed: int) -> tuple[Tensor, Tensor, Tensor]:
        """Return inputs_BT, labels_BT and lengths_B of a step: a pure function of its arguments."""
        first = step * batch_size
        positions = np.arange(first, first + batch_size, dtype=np.int64)
        rows = torch.from_numpy(sample_at(seed, positions, len(self.inputs_NT)))
        return self.inputs_NT[rows], self.labels_NT[rows], self.lengths_N[rows]

    def label_counts(self) -> dict[str, int]:
        """Return how many tokens have each label; the greatest share is what guessing scores."""
        counted = self.labels_NT[self.labels_NT != IGNORED]
        counts = torch.bincount(counted, minlength=len(LABELS)).tolist()
        return dict(zip(LABELS, counts, strict=True))


def tagged_windows(
    documents: Iterable[Document], tokenizer: Tokenizer, length: int
) -> TaggedWindows:
    """Label Python source and cut it into all its windows of ``length`` tokens, not overlapping.

    Documents follow one another with ``end_id`` between them, which has no label. Labelling takes
    one to two seconds per MB.

    Raises:
        UsageError: the length is below 1, or no document is Python.
    """
    if length < 1:
        raise UsageError(f"A window of {length} tokens holds no text. Give at least 1.")
    all_ids: list[NDArray[np.int32]] = []
    all_labels: list[NDArray[np.int64]] = []
    tagged = skipped = 0
    for document in documents:
        labels = character_labels(document.text)
        if labels is None:
            skipped += 1
            continue
        if tagged:
            all_ids.append(np.array([tokenizer.end_id], dtype=np.int32))
            all_labels.append(np.array([IGNORED], dtype=np.int64))
        ids = tokenizer.encode_array(document.text)
        all_ids.append(ids)
        all_labels.append(token_labels(document.text, labels, ids, tokenizer))
        tagged += 1
    total = sum(len(ids) for ids in all_ids)
    if total == 0:
        raise UsageError(
            f"None of {skipped + tagged} documents is Python source. Expected some that Python's "
            "own tokenizer reads. Give 'stdlib' or Python files."
        )
    count = -(-total // length)
    inputs = np.zeros(count * length, dtype=np.int64)
    targets = np.full(count * length, IGNORED, dtype=np.int64)
    inputs[:total] = np.concatenate(all_ids)
    targets[:total] = np.concatenate(all_labels)
    lengths = np.full(count, length, dtype=np.int64)
    lengths[-1] = total - (count - 1) * length
    return TaggedWindows(
        inputs_NT=torch.from_numpy(inputs.reshape(count, length)),
        labels_NT=torch.from_numpy(targets.reshape(count, length)),
        lengths_N=torch.from_numpy(lengths),
        documents=tagged,
        skipped=skipped,
    )
