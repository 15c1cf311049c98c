"""Generation: one loop for every causal model, whatever it carries from token to token.

The prompts are read in one parallel pass. After that each token needs the one before it, so the
model takes one step a token; this is the part that no architecture here escapes.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

import torch

from phalanx.errors import PhalanxError, UsageError
from phalanx.inference.decoding import Decoding, context_limit, kept_from
from phalanx.inference.memory import check_memory
from phalanx.inference.passes import evaluating
from phalanx.inference.sampling import BROKEN, Chooser
from phalanx.models import Decoder

DEFAULT_NEW_TOKENS = 256

WhenFull = Literal["error", "stop", "slide"]
"""What happens where the context ends: nothing is generated at all, the row ends there, or the
oldest half of the context is dropped and the rest read again."""

Ended = Literal["end", "stop", "length", "interrupted"]
"""Why a row ended: by a token that ends it, by what was written, with its room or its number of new
tokens, or because somebody interrupted."""


@dataclass
class Continuation:
    """What a row was given behind its prompt.

    Args:
        tokens: the new ones, the one that ended the row among them.
        ended: why there are no more.
    """

    tokens: list[int] = field(default_factory=list)
    ended: Ended = "length"


def new_tokens(
    model: Decoder,
    prompt: Sequence[int],
    max_new_tokens: int | None = None,
    when_full: WhenFull = "error",
) -> int:
    """How many tokens may be written behind a prompt, at most; refuse what cannot be generated.

    Args:
        model: the decoder.
        prompt: its token ids.
        max_new_tokens: how many are wanted; None: 256, or what the context leaves.
        when_full: what happens where the context ends.

    Raises:
        UsageError: the model is no decoder; ``when_full`` is not known; the prompt is empty, has a
            token outside the vocabulary, or leaves too little of the context for what is wanted.
    """
    config = model.config
    if config.kind != "decoder":
        raise UsageError(
            f"a model of kind {config.kind!r} does not generate. Expected a decoder, such as one "
            "that `phalanx train` makes from text."
        )
    if when_full not in get_args(WhenFull):
        raise UsageError(f"when_full {when_full!r}: expected {', '.join(get_args(WhenFull))}.")
    if max_new_tokens is not None and max_new_tokens < 0:
        raise UsageError(f"max_new_tokens {max_new_tokens}: expected 0 or more.")
    if not prompt:
        raise UsageError(
            "A prompt has no tokens. Expected at least one. Start an empty text with the "
            "token that ends a document (tokenizer.end_id)."
        )
    if min(prompt) < 0 or max(prompt) >= config.vocabulary:
        raise UsageError(
            f"A prompt has a token outside the vocabulary. Expected ids from 0 to "
            f"{config.vocabulary - 1}. Encode it with the model's own tokenizer."
        )
    wanted = DEFAULT_NEW_TOKENS if max_new_tokens is None else max_new_tokens
    limit = context_limit(config)
    if limit is None or when_full == "slide":
        return wanted
    # The last token is chosen and never read, so it needs no place.
    room = limit - len(prompt) + 1
    if room >= 1 and (max_new_tokens is None or when_full == "stop"):
        return min(wanted, room)
    needed = len(prompt) + max(wanted - 1, 0)
    if needed <= limit:
        return wanted
    if room < 1:
        raise UsageError(
            f"A prompt has {len(prompt)} tokens. Expected at most {limit}, the context that the "
            "model was trained with. Shorten the prompt, let the context slide (when_full: "
            "slide), or train a model with a larger context."
        )
    raise UsageError(
        f"A prompt of {len(prompt)} tokens and {wanted} new ones need {needed} positions. "
        f"Expected at most {limit}, the context that the model was trained with. Ask for at most "
        f"{room} new tokens, say what to do where it is full (when_full: stop or slide), or train "
        "a model with a larger context."
    )


def continue_rows(
    model: Decoder,
    prompts: Sequence[Sequence[int]],
    limits: Sequence[int],
    *,
    chooser: Chooser | None = None,
    seed: int = 0,
    samples: Sequence[int] | None = None,
    stop: Collection[int] = (),
    on_token: Callable[[int, int], object] | None = None,
    interrupted: Callable[[], bool] | None = None,
) -> list[Continuation]:
    """Continue prompts that ``new_tokens`` accepts, each as if it were alone.

    Where a row needs more positions than the model's context, the context slides (``kept_from``).

    Args:
        model: the decoder; put into evaluation mode meanwhile.
        prompts: one list of token ids a row; their lengths may differ.
        limits: new tokens of each row, at most.
        chooser: how a token is chosen; None: greedily.
        seed: fixes what is drawn, whatever shares the batch.
        samples: number of the sample that each row is (None: 0 for all): rows of one prompt with
            different numbers are independent draws.
        stop: token ids that end a row; the one that did is the row's last.
        on_token: called with (row, token id) as each token comes; True ends the row.
        interrupted: asked after each call of the model; True ends all rows.

    Raises:
        UsageError: not as many ``samples`` as prompts, or what the rows carry does not fit into
            this machine.
        PhalanxError: the model's scores are not numbers.
    """
    if samples is not None and len(samples) != len(prompts):
        raise UsageError(
            f"{len(samples)} sample numbers for {len(prompts)} prompts: expected one each."
        )
    rows = [Continuation() for _ in prompts]
    active = [limit > 0 for limit in limits]
    if not any(active):
        return rows
    texts = [list(prompt) for prompt in prompts]
    capacity = max(len(text) + limit - 1 for text, limit in zip(texts, limits, strict=True))
    context = context_limit(model.config)
    capacity = capacity if context is None else min(capacity, context)
    check_memory(model, len(prompts), capacity)

    def write(row: int, token: int) -> None:
        if token == BROKEN:
            raise PhalanxError(
                f"The model's scores are not numbers (NaN) after {len(rows[row].tokens)} new "
                f"tokens of row {row}. Its weights have probably diverged: train again "
                "with a lower learning rate."
            )
        rows[row].tokens.append(token)
        texts[row].append(token)
        told = on_token(row, token) if on_token is not None else None
        if token in stop or told is True:
            rows[row].ended = "end" if token in stop else "stop"
        active[row] = not (token in stop or told is True or len(rows[row].tokens) >= limits[row])

    with torch.inference_mode(), evaluating(model):
        decoding = Decoding(model, prompts, capacity, chooser=chooser, seed=seed, samples=samples)
        tokens_B, active_B = decoding.prefill(), None
        stepping = [True] * len(prompts)
        while True:
            for row, token in enumerate(tokens_B.tolist()):
                if active[row]:
                    write(row, token)
            going = [row for row, on in enumerate(active) if on]
            if interrupted is not None and interrupted():
                for row in going:
                    rows[row].ended = "interrupted"
                return rows
            if not going:
                return rows
            full = [row for row in going if _slides(len(texts[row]), capacity)]
            before, stepping = stepping, [on and row not in full for row, on in enumerate(active)]
            if stepping != before:
                active_B = torch.tensor(stepping, device=tokens_B.device)
            tokens_B = decoding.step(tokens_B, active_B)
            if full:
                tokens_B = decoding.reread(tokens_B, full, [texts[row] for row in full])


def _slides(count: int, size: int) -> bool:
    """Whether the token that makes a text ``count`` long has no room behind those before it."""
    return kept_from(count, size) > kept_from(count - 1, size)


def generate(
    model: Decoder,
    prompts: Sequence[Sequence[int]],
    *,
    max_new_tokens: int = 100,
    sampler: Chooser | None = None,
    seed: int = 0,
    samples: Sequence[int] | None = None,
    stop: Collection[int] = (),
    when_full: WhenFull = "error",
    on_token: Callable[[int, int], object] | None = None,
) -> list[list[int]]:
    """Continue prompts, each as if it were alone; returns the new tokens of each row.

    Args:
        model, prompts, max_new_tokens, when_full: see ``new_tokens``.
        sampler: how a token is chosen; None: greedily.
        seed, samples, stop, on_token: see ``continue_rows``.

    Raises:
        UsageError: see ``new_tokens`` and ``continue_rows``.
        PhalanxError: the model's scores are not numbers.
    """
    rows = continue_rows(
        model,
        prompts,
        [new_tokens(model, prompt, max_new_tokens, when_full) for prompt in prompts],
        chooser=sampler,
        seed=seed,
        samples=samples,
        stop=stop,
        on_token=on_token,
    )
    return [row.tokens for row in rows]
