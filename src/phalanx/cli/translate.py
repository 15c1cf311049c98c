"""``phalanx translate``: let a trained model translate lines of text."""

from pathlib import Path
from typing import TYPE_CHECKING

from phalanx.cli import translate_options as options
from phalanx.cli.common import note, unknown_things
from phalanx.cli.generated import opened
from phalanx.cli.interruption import interruption
from phalanx.cli.lines import opened_lines
from phalanx.cli.translated import Aligned, Counted, put
from phalanx.errors import UsageError

if TYPE_CHECKING:
    from phalanx.inference.translating import Translator
    from phalanx.runs import Run


def translate(
    model: Path,
    /,
    *,
    input: options.Input = None,
    output: options.Output = None,
    beam: options.Beam = 4,
    length_penalty: options.LengthPenalty = 0.6,
    max_new_tokens: options.MaxNewTokens = None,
    batch_size: options.BatchSize = 32,
    n: options.N = 1,
    json: options.Json = False,
    attention: options.Attention = None,
    device: options.Device = "auto",
) -> int:
    """Let a trained model translate lines of text: one line in, one line out, in their order.

    An empty line stays empty. Lines are translated as they come, those that are there at the same
    time together. Ctrl-C and SIGTERM keep what is translated so far; a second one leaves at once.

    Parameters
    ----------
    model
        A run directory of `phalanx train --task translation`, or a model directory in it.

    Raises:
        UsageError: what cannot be done, before anything is written; or a line that is not UTF-8,
            when it comes.
    """
    from phalanx.runs import load

    if batch_size < 1:
        raise UsageError(f"--batch-size {batch_size}: expected 1 or more.")
    aligned = None if attention is None else Aligned.into(attention)
    run = load(model, device)
    translator = translator_of(run, beam, length_penalty, max_new_tokens, n)
    counted = Counted()
    with (
        opened_lines(input) as lines,
        interruption(lines.leave) as interrupted,
        opened(output) as stream,
    ):
        for texts in lines:
            for done in translator.translate(texts, batch_size=batch_size, interrupted=interrupted):
                put(stream, done, counted.add(done), n, json=json)
                if aligned is not None:
                    aligned.add(translator, done)
            if interrupted():
                break
    if aligned is not None:
        aligned.write()
    warn_of(counted, run)
    if interrupted.signal is not None:
        note(f"phalanx: {interrupted.signal.name}: what was translated so far is kept")
    return interrupted.exit_code


def translator_of(
    run: "Run",
    beam: int,
    length_penalty: float,
    max_new_tokens: int | None = None,
    n: int = 1,
) -> "Translator":
    """The run's model with its search.

    Raises:
        UsageError: the model does not translate, or a number is out of its range.
    """
    from phalanx.inference.translating import Translator
    from phalanx.models import EncoderDecoder

    if run.task != "translation" or not isinstance(run.model, EncoderDecoder):
        raise UsageError(
            f"{run.path}: a model trained for {run.task.replace('_', ' ')} does not translate. "
            "Expected one that `phalanx train --task translation` makes from pairs of sentences."
        )
    return Translator(run.model, run.tokenizer, beam, length_penalty, max_new_tokens, n)


def warn_of(counted: Counted, run: "Run") -> None:
    """Say what was not read of the lines."""
    if counted.cut:
        note(
            f"warning: {counted.cut:,} of {counted.lines:,} lines are longer than "
            f"{run.config.context} tokens, the model's context, and were read without their end: "
            f"{counted.named()}"
        )
    if counted.unknown:
        things = unknown_things(run.tokenizer.kind)
        note(f"warning: {things} of the lines that the model does not know: {counted.unknown:,}")
    if counted.open:
        note(
            f"warning: {counted.open:,} translations were not ended by the model, but cut where "
            "they were as long as they may be (--max-new-tokens)"
        )
