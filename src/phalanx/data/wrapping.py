"""A text's ids as an encoder reads them: between [CLS] and [SEP] where a tokenizer has those."""

from collections.abc import Sequence
from typing import NamedTuple

from phalanx.data.tokenizers import Tokenizer
from phalanx.errors import UsageError


class Wrapped(NamedTuple):
    """The ids of an input, and for each the text that it belongs to: 0, or 1 for a pair's second.

    ``[CLS] A [SEP] B [SEP]`` has the types ``0 0 0 1 1`` (Devlin et al. 2019, figure 2).
    """

    ids: list[int]
    types: list[int]


def wrapped(
    tokenizer: Tokenizer,
    ids: Sequence[int],
    pair_ids: Sequence[int] | None = None,
    *,
    limit: int | None = None,
) -> Wrapped:
    """The input made of a text's ids, or of those of a pair of texts.

    A tokenizer with a ``cls`` id has its texts between that and its ``end_id``, which is [SEP] in
    BERT's. Any other gives the ids as they are, with ``end_id`` between a pair.

    Args:
        tokenizer: whose ids they are.
        ids: of the text.
        pair_ids: of the second text.
        limit: ids that the input may have at most: the longer text loses its last ids first.
            None: as many as there are.

    Raises:
        UsageError: the limit is less than what stands around a text.
    """
    has_cls = "cls" in tokenizer.special_ids
    first, second = list(ids), None if pair_ids is None else list(pair_ids)
    if limit is not None:
        own = 2 * has_cls + (second is not None)
        if limit < own:
            raise UsageError(
                f"The model reads {limit} tokens at a time, and {own} stand around a text. "
                f"Expected room for them. Set train.sequence_length to at least {own + 1}."
            )
        first, second = _cut(first, second, limit - own)
    begin = [tokenizer.special_ids["cls"]] if has_cls else []
    end = [tokenizer.end_id]
    if second is None:
        one = begin + first + (end if has_cls else [])
        return Wrapped(one, [0] * len(one))
    one, two = begin + first + end, second + (end if has_cls else [])
    return Wrapped(one + two, [0] * len(one) + [1] * len(two))


def first_position(tokenizer: Tokenizer) -> int:
    """Where a wrapped text's own ids begin: after [CLS] where there is one."""
    return 1 if "cls" in tokenizer.special_ids else 0


def _cut(
    first: list[int], second: list[int] | None, room: int
) -> tuple[list[int], list[int] | None]:
    if second is None:
        return first[:room], None
    # The shorter text keeps its length as long as it is no more than half of the room.
    shorter = min(len(first), len(second), room // 2)
    if len(first) <= len(second):
        keep = min(len(first), max(shorter, room - len(second)))
        return first[:keep], second[: room - keep]
    keep = min(len(second), max(shorter, room - len(first)))
    return first[: room - keep], second[:keep]
