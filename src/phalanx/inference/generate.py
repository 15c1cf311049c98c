"""Generation: one loop for every causal model, whatever it carries from token to token.

The prompts are read in one parallel pass. After that each token needs the one before it, so the
model takes one step a token; this is the part that no architecture here escapes.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager

import torch

from phalanx.config import ModelConfig
from phalanx.errors import PhalanxError, UsageError
from phalanx.inference.noise import request_keys
from phalanx.inference.sampling import BROKEN, Chooser, Greedy
from phalanx.models import Decoder
from phalanx.rows import Rows
from phalanx.shapes import PerRow


def context_limit(config: ModelConfig) -> int | None:
    """Positions that a model can stand on, or None where there is no limit.

    A recurrent state has no length. Attention beyond the distances that it was trained on, and
    positions beyond a table, are limited by ``context``; attention within a window that fits into
    it never looks further.
    """
    window = config.attention.window
    far = "attention" in config.mixer_names and (window is None or window > config.context)
    table = config.positions in ("learned", "sinusoidal")
    return config.context if far or table else None


def check_request(model: Decoder, prompts: Sequence[Sequence[int]], max_new_tokens: int) -> None:
    """Refuse what cannot be generated.

    Raises:
        UsageError: the model is no decoder, a prompt is empty, has a token outside the vocabulary,
            or leaves too little of the context for ``max_new_tokens``.
    """
    config = model.config
    if config.kind != "decoder":
        raise UsageError(
            f"a model of kind {config.kind!r} does not generate. Expected a decoder, such as one "
            "that `phalanx train` makes from text."
        )
    if max_new_tokens < 0:
        raise UsageError(f"max_new_tokens {max_new_tokens}: expected 0 or more.")
    limit = context_limit(config)
    for prompt in prompts:
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
        # The last token is chosen and never read, so it needs no place.
        needed = len(prompt) + max(max_new_tokens - 1, 0)
        if limit is not None and needed > limit:
            room = limit - len(prompt) + 1
            remedy = f"Ask for at most {room} new tokens" if room > 0 else "Shorten the prompt"
            raise UsageError(
                f"A prompt of {len(prompt)} tokens and {max_new_tokens} new ones need {needed} "
                f"positions. Expected at most {limit}, the context that the model was trained "
                f"with. {remedy}, or train a model with a larger context."
            )


class Decoding:
    """Generation under way: what the model carries, and the two kinds of calls that advance it.

    ``prefill`` once, then ``step`` with the tokens that the call before it returned. Tokens stay
    on the model's device; neither call waits for the host. Put both under
    ``torch.inference_mode`` so that the state is written in place.

    Args:
        model: the decoder.
        prompts: one list of token ids a row, none of them empty.
        capacity: positions that a row may take, its prompt included.
        chooser: how a token is chosen.
        seed: fixes what is drawn, whatever shares the batch.
        samples: the number of the sample that each row is (0 for all where None): rows of the
            same prompt, seed and number give the same tokens.
    """

    def __init__(
        self,
        model: Decoder,
        prompts: Sequence[Sequence[int]],
        capacity: int,
        *,
        chooser: Chooser | None = None,
        seed: int = 0,
        samples: Sequence[int] | None = None,
    ) -> None:
        self._model = model
        self._chooser = chooser or Greedy()
        device = model.embedding.weight.device
        lengths = [len(prompt) for prompt in prompts]
        padded = [[*prompt, *[0] * (max(lengths) - len(prompt))] for prompt in prompts]
        self._ids_BT = torch.tensor(padded, device=device)
        self._lengths_B = torch.tensor(lengths, device=device)
        self._ragged = len(set(lengths)) > 1
        numbers = list(samples) if samples is not None else [0] * len(prompts)
        self._keys_B = request_keys(seed, torch.tensor(numbers, device=device))
        self._state = model.empty_state(len(prompts), capacity)

    def prefill(self) -> PerRow:
        """Read all prompts in one parallel pass; return the first new token of each row."""
        batch, length = self._ids_BT.shape
        rows = (
            Rows.padded(self._lengths_B, length)
            if self._ragged
            else Rows.full(batch, length, self._ids_BT.device)
        )
        y_BTD, state = self._model.hidden(self._ids_BT, rows, self._state)
        assert state is not None
        self._state = state
        # Only the last position of each row is asked for its scores.
        last_B11 = (self._lengths_B - 1)[:, None, None]
        y_BD = y_BTD.gather(1, last_B11.expand(-1, 1, y_BTD.shape[2]))[:, 0]
        return self._choose(self._model.head(y_BD))

    def step(self, tokens_B: PerRow, active_B: PerRow | None = None) -> PerRow:
        """Read one token a row; return the next. Rows that are not active stand still."""
        logits_BV, self._state = self._model.step(tokens_B, self._state, active_B)
        return self._choose(logits_BV)

    def _choose(self, logits_BV: torch.Tensor) -> PerRow:
        return self._chooser.choose(logits_BV, self._keys_B, self._state.length_B)


def generate(
    model: Decoder,
    prompts: Sequence[Sequence[int]],
    *,
    max_new_tokens: int = 100,
    sampler: Chooser | None = None,
    seed: int = 0,
    samples: Sequence[int] | None = None,
    stop: Collection[int] = (),
    on_token: Callable[[int, int], object] | None = None,
) -> list[list[int]]:
    """Continue prompts, each as if it were alone.

    Args:
        model: the decoder; put into evaluation mode meanwhile.
        prompts: one list of token ids a row; their lengths may differ.
        max_new_tokens: new tokens a row, at most.
        sampler: how a token is chosen; None: greedily.
        seed: fixes what is drawn, whatever shares the batch.
        samples: number of the sample that each row is (None: 0 for all): rows of one prompt with
            different numbers are independent draws.
        stop: token ids that end a row; the one that did is the row's last.
        on_token: called with (row, token id) as each token comes.

    Returns:
        The new tokens of each row, without its prompt.

    Raises:
        UsageError: see ``check_request``; or ``samples`` are not as many as the prompts.
        PhalanxError: the model's scores are not numbers.
    """
    check_request(model, prompts, max_new_tokens)
    if samples is not None and len(samples) != len(prompts):
        raise UsageError(
            f"{len(samples)} sample numbers for {len(prompts)} prompts: expected one each."
        )
    written: list[list[int]] = [[] for _ in prompts]
    if not prompts or not max_new_tokens:
        return written
    capacity = max(map(len, prompts)) + max_new_tokens - 1
    with torch.inference_mode(), _evaluating(model):
        decoding = Decoding(model, prompts, capacity, chooser=sampler, seed=seed, samples=samples)
        tokens_B, active_B = decoding.prefill(), None
        active = [True] * len(prompts)
        while True:
            before = list(active)
            for row, token in enumerate(tokens_B.tolist()):
                if not active[row]:
                    continue
                if token == BROKEN:
                    raise PhalanxError(
                        f"The model's scores are not numbers (NaN) after {len(written[row])} new "
                        f"tokens of row {row}. Its weights have probably diverged: train again "
                        "with a lower learning rate."
                    )
                written[row].append(token)
                active[row] = token not in stop and len(written[row]) < max_new_tokens
                if on_token is not None:
                    on_token(row, token)
            if not any(active):
                return written
            if active != before:
                active_B = torch.tensor(active, device=tokens_B.device)
            tokens_B = decoding.step(tokens_B, active_B)


@contextmanager
def _evaluating(model: torch.nn.Module) -> Iterator[None]:
    was_training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(was_training)
