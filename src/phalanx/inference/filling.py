"""Guesses for the hidden words of a text: all of them in one pass."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from phalanx.data.length_batches import in_order, padded
from phalanx.data.masking import is_text, mask_id
from phalanx.data.tokenizers import Tokenizer
from phalanx.data.wrapping import wrapped
from phalanx.errors import UsageError
from phalanx.inference.passes import PASS_POSITIONS, check_scores
from phalanx.models import Encoder
from phalanx.rows import Rows

MARKS = ("[MASK]", "<mask>", "<|mask|>")
_MARK = re.compile("|".join(map(re.escape, MARKS)))
# Kinds whose tokens bring the space before a word along: a hidden word brings its own.
_WITH_SPACE = ("bpe", "sentencepiece")


@dataclass(frozen=True)
class Guess:
    """A token that may stand in a hidden place.

    Args:
        text: what it adds to the text, without the space before it.
        probability: of it, among all tokens of text.
    """

    text: str
    probability: float


@dataclass(frozen=True)
class Filled:
    """A text with guesses for its hidden places.

    Args:
        text: as it was given.
        masks: for each hidden place the likeliest guesses, the best one first.
    """

    text: str
    masks: tuple[tuple[Guess, ...], ...]

    @property
    def best(self) -> str:
        """The text with the best guess in each hidden place, each chosen by itself."""
        guesses = iter(self.masks)
        return _MARK.sub(lambda _: next(guesses)[0].text, self.text)


@torch.inference_mode()
def fill(
    model: Encoder, tokenizer: Tokenizer, texts: Sequence[str], *, top: int = 5
) -> list[Filled]:
    """Guess what stands at each ``[MASK]`` (or ``<mask>``, ``<|mask|>``) of texts.

    Args:
        model: of masked language modelling, in evaluation mode.
        tokenizer: its own.
        texts: each with at least one hidden place.
        top: guesses for each.

    Raises:
        UsageError: a text has no hidden place or is too long, or the tokenizer has no mask.
        PhalanxError: the model's scores are not numbers.
    """
    rows = [np.array(_encode(tokenizer, text, model.config.context)) for text in texts]
    mask, can_be = mask_id(tokenizer), torch.from_numpy(np.flatnonzero(is_text(tokenizer)))
    device = model.embedding.weight.device
    found: dict[int, Filled] = {}
    for places in in_order(np.array([len(row) for row in rows], dtype=np.int64), PASS_POSITIONS):
        ids_BT, lengths_B = padded([rows[place] for place in places])
        ids_BT, lengths_B = ids_BT.to(device), lengths_B.to(device)
        y_BTD, _ = model.hidden(ids_BT, Rows.padded(lengths_B, ids_BT.shape[1]))
        for row, place in enumerate(places.tolist()):
            hidden_T = ids_BT[row, : lengths_B[row]] == mask
            scores_MV = model.head(y_BTD[row, : lengths_B[row]][hidden_T]).float()
            shares_MV = scores_MV[:, can_be.to(device)].softmax(-1).cpu()
            check_scores(shares_MV)
            best = shares_MV.topk(min(top, len(can_be)))
            pairs = zip(best.values.tolist(), can_be[best.indices].tolist(), strict=True)
            found[place] = Filled(
                texts[place],
                tuple(
                    tuple(
                        Guess(_text(tokenizer, token), share)
                        for share, token in zip(shares, tokens, strict=True)
                    )
                    for shares, tokens in pairs
                ),
            )
    return [found[place] for place in range(len(texts))]


def _encode(tokenizer: Tokenizer, text: str, context: int) -> list[int]:
    parts = _MARK.split(text)
    if len(parts) == 1:
        raise UsageError(
            f"The text {text[:60]!r} hides nothing. Expected one of {', '.join(MARKS)} where a "
            "word is to be guessed."
        )
    mask = mask_id(tokenizer)
    ids: list[int] = []
    for part in parts[:-1]:
        if tokenizer.kind in _WITH_SPACE:
            part = part.removesuffix(" ")
        ids += [*tokenizer.encode(part), mask]
    ids += tokenizer.encode(parts[-1])
    ids, _ = wrapped(tokenizer, ids)
    if len(ids) > context:
        raise UsageError(
            f"The text {text[:60]!r} has {len(ids)} tokens, and the model reads {context}. "
            "Expected at most that. Give a shorter text."
        )
    return ids


def _text(tokenizer: Tokenizer, token: int) -> str:
    text = tokenizer.bytes_of(token).decode("utf-8", errors="replace")
    spaced = tokenizer.leading_space or tokenizer.kind in _WITH_SPACE
    return text.removeprefix(" ") if spaced and text != " " else text
