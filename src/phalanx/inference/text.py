"""Text in, text out: generation with a tokenizer on both sides."""

from collections.abc import Callable, Sequence

from phalanx.data.stream import StreamDecoder
from phalanx.data.tokenizers import Tokenizer
from phalanx.inference.generate import context_limit, generate
from phalanx.inference.sampling import Chooser, Greedy, Without
from phalanx.models import Decoder

DEFAULT_NEW_TOKENS = 256


def prompt_ids(tokenizer: Tokenizer, text: str) -> list[int]:
    """The tokens of a prompt; an empty one is the end of the document before it.

    Raises:
        UsageError: the text has a lone surrogate, which UTF-8 cannot hold.
    """
    return tokenizer.encode(text) or [tokenizer.end_id]


def text_chooser(tokenizer: Tokenizer, chooser: Chooser | None = None) -> Chooser:
    """``chooser`` (None: greedy) kept from the token that stands for unknown characters.

    That token marks what the vocabulary lacks; as text it would be a character that nobody wrote.
    """
    chooser = chooser or Greedy()
    return chooser if tokenizer.unknown_id is None else Without(chooser, (tokenizer.unknown_id,))


def room(model: Decoder, prompt: Sequence[int]) -> int:
    """New tokens that fit behind a prompt: 256, or fewer where the model's context ends."""
    limit = context_limit(model.config)
    if limit is None:
        return DEFAULT_NEW_TOKENS
    return max(min(DEFAULT_NEW_TOKENS, limit - len(prompt) + 1), 1)


def generate_text(
    model: Decoder,
    tokenizer: Tokenizer,
    prompts: Sequence[str],
    *,
    max_new_tokens: int | None = None,
    sampler: Chooser | None = None,
    seed: int = 0,
    samples: Sequence[int] | None = None,
    on_text: Callable[[int, str], object] | None = None,
) -> list[str]:
    """Continue texts; a text ends where the model ends the document.

    Args:
        model: the decoder.
        tokenizer: the one that it was trained with.
        prompts: one text a row; an empty one begins a document.
        max_new_tokens: new tokens a row, at most; None: 256, or what the context leaves.
        sampler: how a token is chosen; None: greedily.
        seed: fixes what is drawn, whatever shares the batch.
        samples: see ``generate``.
        on_text: called with (row, text) as text comes; never splits a character.

    Returns:
        The new text of each row, without its prompt.

    Raises:
        UsageError: see ``generate`` and ``prompt_ids``.
        PhalanxError: the model's scores are not numbers.
    """
    rows = [prompt_ids(tokenizer, text) for text in prompts]
    if max_new_tokens is None:
        max_new_tokens = min((room(model, row) for row in rows), default=0)
    decoders = [StreamDecoder(tokenizer) for _ in rows]
    texts = ["" for _ in rows]

    def add(row: int, text: str) -> None:
        if text:
            texts[row] += text
            if on_text is not None:
                on_text(row, text)

    generate(
        model,
        rows,
        max_new_tokens=max_new_tokens,
        sampler=text_chooser(tokenizer, sampler),
        seed=seed,
        samples=samples,
        stop=(tokenizer.end_id,),
        on_token=lambda row, token: add(row, decoders[row].feed(token)),
    )
    for row, decoder in enumerate(decoders):
        add(row, decoder.flush())
    return texts
