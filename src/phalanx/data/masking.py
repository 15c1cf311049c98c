"""Tokens hidden from a model: some of them to be guessed, or only so that it learns without them.

What is hidden is decided by a keyed hash of (seed, epoch, sample, position): never by the batch
that a sample comes in, nor by what was drawn before. Special tokens, padding and unknown tokens are
never hidden.
"""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from phalanx.data.batches import IGNORED
from phalanx.data.order import mix, random_bits
from phalanx.data.tokenizers import Tokenizer
from phalanx.errors import UsageError
from phalanx.shapes import Ids, PerRow

# Of the tokens to be guessed so many show the mask, and so many another token; the rest stand.
SHOWN_MASK, SHOWN_OTHER = 0.8, 0.1

_CHOICE, _SHOWN, _OTHER, _DROP = range(4)  # what is drawn: a stream of its own for each
_GOLDEN = 0x9E3779B97F4A7C15


class Masked(NamedTuple):
    """Rows of which some tokens are to be guessed.

    Args:
        inputs_BT: int64, as the model sees them.
        chosen_BK: int64, where the tokens to be guessed stand; 0 behind the last of a row.
        targets_BK: int64, which tokens they are; ``IGNORED`` behind the last of a row.
    """

    inputs_BT: Ids
    chosen_BK: Ids
    targets_BK: Ids


def mask_id(tokenizer: Tokenizer) -> int:
    """The token that stands for a hidden one.

    Raises:
        UsageError: there is none.
    """
    if "mask" not in tokenizer.special_ids:
        raise UsageError(
            "The tokenizer has no token for a hidden word. Expected a special token named [MASK], "
            "<mask> or <|mask|>. Take BERT's tokenizer, or let phalanx train one: --tokenizer "
            "wordpiece."
        )
    return tokenizer.special_ids["mask"]


def chosen_at_most(length: int, fraction: float) -> int:
    """Tokens to be guessed in a row of ``length`` positions, none of them special."""
    return max(1, int(fraction * length + 0.5))


def mask_tokens(
    ids_BT: Ids,
    lengths_B: PerRow | None,
    tokenizer: Tokenizer,
    fraction: float,
    *,
    seed: int,
    epoch: int | NDArray[np.int64],
    samples_B: PerRow,
) -> Masked:
    """Choose tokens to be guessed, and hide most of them.

    Of each row the nearest whole number to ``fraction`` of its tokens is chosen, at least one; of
    these four fifths are shown as the mask, a tenth as any other token, and a tenth stand.

    Source: Devlin et al. 2019, section 3.1.

    Args:
        ids_BT: int64 tokens.
        lengths_B: real positions of each row; None: every row is full.
        tokenizer: of the tokens.
        fraction: of the tokens to be guessed.
        seed: of what is drawn.
        epoch: of the samples; one for all rows or one each.
        samples_B: int64, by which number each row's sample is known.

    Raises:
        UsageError: the tokenizer has no mask.
    """
    mask = mask_id(tokenizer)
    ids = ids_BT.numpy()
    length = ids.shape[1]
    free_BT = _free(ids, lengths_B, tokenizer)
    key_B = _keys(seed, epoch, samples_B)
    lots_BT = np.where(free_BT, _draw(key_B, _CHOICE, length), np.iinfo(np.uint64).max)
    frees_B = free_BT.sum(1)
    counts_B = np.minimum(np.maximum(1, (fraction * frees_B + 0.5).astype(np.int64)), frees_B)
    is_chosen_BT = np.zeros_like(free_BT)
    by_lot_BT = np.argsort(lots_BT, axis=1, kind="stable")
    np.put_along_axis(is_chosen_BT, by_lot_BT, np.arange(length) < counts_B[:, None], 1)
    places_BT = np.sort(np.where(is_chosen_BT, np.arange(length), length), axis=1)
    places_BK = places_BT[:, : chosen_at_most(length, fraction)]
    chosen_BK = np.where(places_BK < length, places_BK, 0)
    targets_BK = np.where(places_BK < length, np.take_along_axis(ids, chosen_BK, 1), IGNORED)

    shown_BT, drawn_BT = (_shares(_draw(key_B, what, length)) for what in (_SHOWN, _OTHER))
    others = np.flatnonzero(is_text(tokenizer))
    other_BT = others[(drawn_BT * len(others)).astype(np.int64)]
    hidden_BT = np.where(shown_BT < SHOWN_MASK + SHOWN_OTHER, other_BT, ids)
    hidden_BT = np.where(shown_BT < SHOWN_MASK, mask, hidden_BT)
    return Masked(
        torch.from_numpy(np.where(is_chosen_BT, hidden_BT, ids)),
        torch.from_numpy(chosen_BK),
        torch.from_numpy(targets_BK),
    )


def drop_tokens(
    ids_BT: Ids,
    lengths_B: PerRow | None,
    tokenizer: Tokenizer,
    share: float,
    *,
    seed: int,
    epoch: int | NDArray[np.int64],
    samples_B: PerRow,
) -> Ids:
    """Hide each token with a probability, so that a model learns not to lean on single words.

    What it becomes is ``hiding_id``.

    Source: Iyyer et al. 2015 (word dropout), section 3.2.

    Args:
        ids_BT: int64 tokens.
        lengths_B: real positions of each row; None: every row is full.
        tokenizer: of the tokens.
        share: the probability, from 0 to below 1.
        seed: of what is drawn.
        epoch: of the samples; one for all rows or one each.
        samples_B: int64, by which number each row's sample is known.
    """
    ids = ids_BT.numpy()
    drawn_BT = _shares(_draw(_keys(seed, epoch, samples_B), _DROP, ids.shape[1]))
    dropped_BT = (drawn_BT < share) & _free(ids, lengths_B, tokenizer)
    return torch.from_numpy(np.where(dropped_BT, hiding_id(tokenizer), ids))


def hiding_id(tokenizer: Tokenizer) -> int:
    """What stands for a hidden token: the mask; the unknown one where there is none; or the end."""
    unknown = tokenizer.end_id if tokenizer.unknown_id is None else tokenizer.unknown_id
    return tokenizer.special_ids.get("mask", unknown)


def is_text(tokenizer: Tokenizer) -> NDArray[np.bool_]:
    """For each id whether it stands for text that is known: the ids that may be hidden."""
    text_V = np.ones(tokenizer.vocabulary, dtype=np.bool_)
    text_V[list(tokenizer.controls)] = False
    if tokenizer.unknown_id is not None:
        text_V[tokenizer.unknown_id] = False
    return text_V


def _free(
    ids_BT: NDArray[np.int64], lengths_B: PerRow | None, tokenizer: Tokenizer
) -> NDArray[np.bool_]:
    """Which positions may be hidden."""
    free_BT: NDArray[np.bool_] = is_text(tokenizer)[ids_BT]
    if lengths_B is not None:
        free_BT &= np.arange(ids_BT.shape[1]) < lengths_B.numpy()[:, None]
    return free_BT


def _keys(seed: int, epoch: int | NDArray[np.int64], samples_B: PerRow) -> NDArray[np.uint64]:
    """A key for each row, which what is drawn at its positions follows from."""
    samples = samples_B.numpy()
    epochs_B = np.broadcast_to(np.asarray(epoch, dtype=np.int64), samples.shape)
    keys_B = np.empty(len(samples), dtype=np.uint64)
    for one in np.unique(epochs_B):
        rows = epochs_B == one
        keys_B[rows] = random_bits(seed, int(one), samples[rows])
    return keys_B


def _draw(keys_B: NDArray[np.uint64], what: int, length: int) -> NDArray[np.uint64]:
    """64 random bits at each position of each row: (B, T)."""
    places_T = np.arange(length, dtype=np.uint64) * np.uint64(4) + np.uint64(what + 1)
    return mix(mix(keys_B[:, None] + places_T * np.uint64(_GOLDEN)))


def _shares(bits: NDArray[np.uint64]) -> NDArray[np.float64]:
    """Numbers in [0, 1) of the upper 53 bits."""
    return (bits >> np.uint64(11)).astype(np.float64) * 2.0**-53
