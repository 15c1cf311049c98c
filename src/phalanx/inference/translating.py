"""Texts in, texts out: an encoder-decoder, a tokenizer on both sides, and a beam search between."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from phalanx.config import ModelConfig
from phalanx.data.tokenizers import Tokenizer
from phalanx.errors import UsageError
from phalanx.inference.beam import BEAM, LENGTH_PENALTY, Hypothesis, beam_search, check_search
from phalanx.models import EncoderDecoder
from phalanx.rows import Rows
from phalanx.shapes import SourceIds

BATCH_SIZE = 32
_WINDOW = 8  # batches whose texts are sorted by length together


@dataclass(frozen=True)
class Candidate:
    """One translation of a text.

    Args:
        text: the translation.
        score: its log-probability divided by the length penalty (see ``beam``).
        log_probability: of its tokens, in nats.
        tokens: their ids, the end among them.
        ended: the model ended it; otherwise it is cut where it was as long as it may be.
    """

    text: str
    score: float
    log_probability: float
    tokens: tuple[int, ...]
    ended: bool


@dataclass(frozen=True)
class Translation:
    """What was made of one text.

    Args:
        source: the text.
        candidates: its translations, best first; none where the text is empty.
        cut: tokens at the end of the text that the model did not read, for it was too long.
        unknown: tokens of the text that stand for what the tokenizer does not know.
    """

    source: str
    candidates: tuple[Candidate, ...] = ()
    cut: int = 0
    unknown: int = 0

    @property
    def text(self) -> str:
        """The best translation; empty where the text is."""
        return self.candidates[0].text if self.candidates else ""


@dataclass(frozen=True)
class Translator:
    """A model that translates, with everything that decides what it writes.

    A text without anything but white space has the empty translation. What a text becomes does not
    depend on those beside it, except where rounding decides between scores that are nearly equal.

    Args:
        model: the encoder-decoder, in evaluation mode.
        tokenizer: the one that it was trained with, of both sides.
        beam: hypotheses kept for each text; 1 takes the likeliest token each time.
        length_penalty: see ``beam``.
        max_new_tokens: tokens of a translation, at most; None: see ``longest_answer``.
        n: translations wanted of each text, at most ``beam``.

    Raises:
        UsageError: a number out of its range.
    """

    model: EncoderDecoder
    tokenizer: Tokenizer
    beam: int = BEAM
    length_penalty: float = LENGTH_PENALTY
    max_new_tokens: int | None = None
    n: int = 1

    def __post_init__(self) -> None:
        check_search(self.beam, self.length_penalty, self.n)
        if self.max_new_tokens is not None and self.max_new_tokens < 1:
            raise UsageError(f"max_new_tokens {self.max_new_tokens}: expected 1 or more.")

    def translate(
        self,
        texts: Sequence[str],
        *,
        batch_size: int = BATCH_SIZE,
        interrupted: Callable[[], bool] | None = None,
    ) -> Iterator[Translation]:
        """Translate texts, those of about one length together; yields them in their own order.

        Args:
            texts: what to translate.
            batch_size: how many at once.
            interrupted: asked before each batch; once it is True, nothing more is begun.

        Raises:
            UsageError: a text with a lone surrogate, more than this machine can carry, or a
                ``batch_size`` below 1.
            PhalanxError: the model's scores are not numbers.
        """
        if batch_size < 1:
            raise UsageError(f"batch_size {batch_size}: expected 1 or more.")
        step = batch_size * _WINDOW
        for start in range(0, len(texts), step):
            yield from self._window(texts[start : start + step], batch_size, interrupted)
            if interrupted is not None and interrupted():
                return

    def _window(
        self, texts: Sequence[str], batch_size: int, interrupted: Callable[[], bool] | None
    ) -> Iterator[Translation]:
        unknown_id = self.tokenizer.unknown_id
        sources = [self._tokens(text) if text.strip() else [] for text in texts]
        waiting = {at: Translation(text) for at, text in enumerate(texts) if not sources[at]}
        order = sorted(
            (at for at, ids in enumerate(sources) if ids), key=lambda at: len(sources[at])
        )
        first = 0
        for start in range(0, len(order) + 1, batch_size):
            while first in waiting:  # what comes first is shown first, as soon as it is there
                yield waiting.pop(first)
                first += 1
            batch = order[start : start + batch_size]
            if not batch or (interrupted is not None and interrupted()):
                return
            found = self._batch([sources[at] for at in batch])
            for at, (candidates, cut) in zip(batch, found, strict=True):
                unknown = sources[at].count(-1 if unknown_id is None else unknown_id)
                waiting[at] = Translation(texts[at], candidates, cut, unknown)
        while first in waiting:
            yield waiting.pop(first)
            first += 1

    def _batch(self, sources: list[list[int]]) -> list[tuple[tuple[Candidate, ...], int]]:
        config = self.model.config
        kept = [self._cut(ids) for ids in sources]
        source_BS, rows = source_rows(kept, self.model.embedding.weight.device)
        found = beam_search(
            self.model,
            source_BS,
            rows,
            [longest_answer(config, len(ids), self.max_new_tokens) for ids in kept],
            end_id=self.tokenizer.end_id,
            beam=self.beam,
            length_penalty=self.length_penalty,
            n=self.n,
            barred=_barred(self.tokenizer),
        )
        return [
            (tuple(map(self._candidate, hypotheses)), len(ids) - len(read))
            for hypotheses, ids, read in zip(found, sources, kept, strict=True)
        ]

    def read(self, text: str) -> list[int]:
        """What the model reads of a text: its tokens, cut to the model's context, and the end.

        Raises:
            UsageError: the text has a lone surrogate.
        """
        return self._cut(self._tokens(text))

    def _tokens(self, text: str) -> list[int]:
        return [*self.tokenizer.encode(text), self.tokenizer.end_id]

    def _cut(self, ids: list[int]) -> list[int]:
        context = self.model.config.context
        return ids if len(ids) <= context else [*ids[: context - 1], ids[-1]]

    def _candidate(self, found: Hypothesis) -> Candidate:
        ids = found.tokens[:-1] if found.ended else found.tokens
        text = self.tokenizer.decode(ids)
        return Candidate(text, found.score, found.log_probability, found.tokens, found.ended)


def longest_answer(config: ModelConfig, source: int, wanted: int | None = None) -> int:
    """Tokens that a translation may have, its end among them.

    Args:
        config: the model's; what it was trained on bounds everything.
        source: tokens of the text.
        wanted: at most so many; None: 30 and five for each token of the text, which is far more
            than languages differ by, and ends a model that repeats itself.
    """
    return min(config.context, 5 * source + 30 if wanted is None else wanted)


def source_rows(
    sources: Sequence[Sequence[int]], device: torch.device
) -> tuple[SourceIds, Rows | None]:
    """Texts side by side as a model takes them, and which positions are real (None: all)."""
    lengths = [len(ids) for ids in sources]
    longest = max(lengths)
    ids_BS = _tensor([[*ids, *[0] * (longest - len(ids))] for ids in sources], device)
    if min(lengths) == longest:
        return ids_BS, None
    return ids_BS, Rows.padded(_tensor(lengths, device), longest)


def translate(
    model: EncoderDecoder,
    tokenizer: Tokenizer,
    texts: Sequence[str],
    *,
    beam: int = BEAM,
    length_penalty: float = LENGTH_PENALTY,
    max_new_tokens: int | None = None,
    n: int = 1,
    batch_size: int = BATCH_SIZE,
) -> list[Translation]:
    """Translate texts; results in their order (see ``Translator``).

    Raises:
        UsageError, PhalanxError: see ``Translator``.
    """
    translator = Translator(model, tokenizer, beam, length_penalty, max_new_tokens, n)
    return list(translator.translate(texts, batch_size=batch_size))


def _barred(tokenizer: Tokenizer) -> tuple[int, ...]:
    """Tokens that are no text: what the vocabulary lacks, and special ones but the end."""
    barred = set(tokenizer.special_ids.values()) | {tokenizer.unknown_id}
    return tuple(sorted(token for token in barred - {tokenizer.end_id} if token is not None))


def _tensor(numbers: Sequence[object], device: torch.device) -> Tensor:
    return torch.tensor(numbers, device=device)
