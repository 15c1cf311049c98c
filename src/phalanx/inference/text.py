"""Text in, text out: generation with a tokenizer on both sides."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from phalanx.data.stream import StreamDecoder
from phalanx.data.tokenizers import Tokenizer
from phalanx.inference.generate import Ended, WhenFull, continue_rows, new_tokens
from phalanx.inference.sampling import Chooser, Greedy, Without
from phalanx.inference.stopping import Stopper, check_stops
from phalanx.models import Decoder

BATCH_SIZE = 16


def prompt_ids(tokenizer: Tokenizer, text: str) -> list[int]:
    """The tokens of a prompt; an empty one is the end of the document before it.

    Raises:
        UsageError: the text has a lone surrogate, which UTF-8 cannot hold.
    """
    return tokenizer.encode(text) or [tokenizer.end_id]


def text_chooser(
    tokenizer: Tokenizer, chooser: Chooser | None = None, vocabulary: int = 0
) -> Chooser:
    """``chooser`` (None: greedy) kept from tokens that are no text.

    They are the one that stands for unknown characters, which as text would be a character that
    nobody wrote, and those by which a model's ``vocabulary`` is larger than its tokenizer's.
    """
    chooser = chooser or Greedy()
    barred = tuple(range(tokenizer.vocabulary, vocabulary))
    if tokenizer.unknown_id is not None:
        barred = (tokenizer.unknown_id, *barred)
    return Without(chooser, barred) if barred else chooser


@dataclass(frozen=True)
class Written:
    """What was written behind one prompt.

    Args:
        prompt: the place of its prompt among those given.
        sample: the number of the sample, from 0.
        text: the new text, cut before a stop string.
        tokens: all new tokens, those of the stop string or of the document's end among them.
        ended: ``end`` (of the document), ``stop`` (a stop string), ``length`` or ``interrupted``.
    """

    prompt: int
    sample: int
    text: str
    tokens: tuple[int, ...]
    ended: Ended


@dataclass(frozen=True)
class Writer:
    """A model that continues texts, with everything that decides what it writes.

    A text ends where the model ends the document, before a stop string, or at its length. What is
    written for a prompt and a sample number depends on nothing else that is asked for.

    Args:
        model: the decoder.
        tokenizer: the one that it was trained with.
        chooser: how a token is chosen; None: greedily.
        seed: fixes what is drawn.
        max_new_tokens: new tokens of each text, at most; None: 256, or what the context leaves.
        stop: stop strings; only new text is searched for them.
        when_full: what happens where the model's context ends (``generate.WhenFull``).
        begin_ids: tokens that the model was trained to have before every text.
        end_ids: tokens with which it ends a text, besides that of the tokenizer.

    Raises:
        UsageError: a stop string that means nothing (``stopping.check_stops``).
    """

    model: Decoder
    tokenizer: Tokenizer
    chooser: Chooser | None = None
    seed: int = 0
    max_new_tokens: int | None = None
    stop: tuple[str, ...] = ()
    when_full: WhenFull = "error"
    begin_ids: tuple[int, ...] = ()
    end_ids: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        check_stops(self.stop)

    def check(self, prompt: str) -> None:
        """Refuse a prompt that cannot be continued.

        Raises:
            UsageError: see ``prompt_ids`` and ``generate.new_tokens``.
        """
        self._limit(self.ids(prompt))

    def write(
        self,
        prompts: Sequence[str],
        n: int = 1,
        *,
        batch_size: int = BATCH_SIZE,
        on_text: Callable[[int, int, str], object] | None = None,
        interrupted: Callable[[], bool] | None = None,
    ) -> Iterator[Written]:
        """Continue each prompt ``n`` times; yields the texts in their order, batch by batch.

        Args:
            prompts: the texts to continue; an empty one begins a document.
            n: samples of each, numbered from 0.
            batch_size: how many texts are written at once; the texts do not depend on it (but
                for single precision: rounding may decide between tokens that are nearly equal).
            on_text: called with (prompt, sample, text) as text comes: never part of a character,
                nor of a stop string.
            interrupted: asked after each call of the model; once it is True, the texts under
                way are yielded as they are, and no more are begun.

        Raises:
            UsageError: see ``check``; before anything is written.
            PhalanxError: the model's scores are not numbers.
        """
        for prompt in prompts:
            self.check(prompt)
        asked = ((place, sample) for place in range(len(prompts)) for sample in range(n))
        while batch := list(islice(asked, batch_size)):
            if interrupted is not None and interrupted():
                return
            yield from self._batch(prompts, batch, on_text, interrupted)

    def ids(self, prompt: str) -> list[int]:
        """The tokens that the model reads of a prompt (see ``prompt_ids``), its beginning first."""
        if not self.begin_ids:
            return prompt_ids(self.tokenizer, prompt)
        return [*self.begin_ids, *self.tokenizer.encode(prompt)]

    def chooser_of_text(self) -> Chooser:
        """How a token is chosen, among those that are text (see ``text_chooser``)."""
        return text_chooser(self.tokenizer, self.chooser, self.model.config.vocabulary)

    def _limit(self, ids: list[int]) -> int:
        return new_tokens(self.model, ids, self.max_new_tokens, self.when_full)

    def _batch(
        self,
        prompts: Sequence[str],
        batch: list[tuple[int, int]],
        on_text: Callable[[int, int, str], object] | None,
        interrupted: Callable[[], bool] | None,
    ) -> list[Written]:
        ids = [self.ids(prompts[place]) for place, _ in batch]
        decoders = [StreamDecoder(self.tokenizer, inside=bool(prompts[at])) for at, _ in batch]
        stoppers = [Stopper(self.stop) for _ in batch]
        texts = ["" for _ in batch]

        def add(row: int, text: str) -> None:
            texts[row] += text
            if text and on_text is not None:
                on_text(*batch[row], text)

        def take(row: int, token: int) -> bool:
            add(row, stoppers[row].feed(decoders[row].feed(token)))
            return stoppers[row].found

        rows = continue_rows(
            self.model,
            ids,
            [self._limit(row) for row in ids],
            chooser=self.chooser_of_text(),
            seed=self.seed,
            samples=[sample for _, sample in batch],
            stop=(self.tokenizer.end_id, *self.end_ids),
            on_token=take,
            interrupted=interrupted,
        )
        for row, (decoder, stopper) in enumerate(zip(decoders, stoppers, strict=True)):
            add(row, stopper.feed(decoder.flush()) + stopper.flush())
        return [
            Written(*asked, text, tuple(row.tokens), "stop" if stopper.found else row.ended)
            for asked, text, row, stopper in zip(batch, texts, rows, stoppers, strict=True)
        ]


def generate_text(
    model: Decoder,
    tokenizer: Tokenizer,
    prompts: Sequence[str],
    *,
    max_new_tokens: int | None = None,
    sampler: Chooser | None = None,
    seed: int = 0,
    stop: Sequence[str] = (),
    when_full: WhenFull = "error",
) -> list[str]:
    """Continue texts, one each, all at once; returns the new text of each (see ``Writer``).

    Raises:
        UsageError: see ``Writer``.
        PhalanxError: the model's scores are not numbers.
    """
    writer = Writer(model, tokenizer, sampler, seed, max_new_tokens, tuple(stop), when_full)
    return [written.text for written in writer.write(prompts, batch_size=max(len(prompts), 1))]
