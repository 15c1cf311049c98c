"""``phalanx generate``: let a trained model continue a text."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from phalanx.cli import generate_options as options
from phalanx.cli.common import note, unknown_things
from phalanx.cli.generated import show_json, show_lines, show_samples, show_stream
from phalanx.cli.interruption import interruption
from phalanx.cli.prompts import Prompt, prompt_from_stdin, read_prompts
from phalanx.cli.trace_output import check_count, print_trace
from phalanx.errors import UsageError

if TYPE_CHECKING:
    from phalanx.inference import Writer


def generate(
    model: Path,
    /,
    *,
    prompt: options.Prompt = "",
    prompts: options.Prompts = None,
    max_new_tokens: options.MaxNewTokens = None,
    stop: options.Stop = (),
    when_full: options.WhenFull = "error",
    repetition_penalty: options.RepetitionPenalty = 1.0,
    temperature: options.Temperature = 0.8,
    top_k: options.TopK = None,
    top_p: options.TopP = None,
    min_p: options.MinP = None,
    greedy: options.Greedy = False,
    seed: options.Seed = 0,
    n: options.N = 1,
    batch_size: options.BatchSize = 16,
    output: options.Output = None,
    json: options.Json = False,
    trace: options.Trace = False,
    device: options.Device = "auto",
) -> int:
    """Let a trained model continue a text. The prompt and what follows it go to stdout.

    Ctrl-C and SIGTERM keep what is written so far; a second one leaves at once.

    Parameters
    ----------
    model
        A run directory of `phalanx train`, or a model directory in it (best, last).

    Raises:
        UsageError: what cannot be done, before anything is written.
    """
    from phalanx.inference import Writer, make_chooser
    from phalanx.models import Decoder
    from phalanx.runs import load

    for name, number in (("--n", n), ("--batch-size", batch_size)):
        if number < 1:
            raise UsageError(f"{name} {number}: expected 1 or more.")
    _refuse_together("--prompts", prompts, {"--prompt": prompt})
    _refuse_together("--output", output, {"--json": json})
    if trace:
        others = {"--prompts": prompts, "--output": output, "--stop": stop, f"--n {n}": n > 1}
        others[f"--when-full {when_full}"] = when_full != "error"
        _refuse_together("--trace", trace, others)
        check_count(max_new_tokens)
    numbers = (top_k, top_p, min_p, repetition_penalty)
    chooser = make_chooser(temperature, *numbers)
    if greedy or temperature == 0:
        chooser = make_chooser(0, *numbers)
        if (top_k, top_p, min_p) != (None, None, None):
            note(
                "warning: --top-k, --top-p and --min-p change nothing where the likeliest token "
                "is taken"
            )
    if prompts is not None:
        asked = read_prompts(prompts)
    else:
        asked = [Prompt(prompt_from_stdin() if prompt == "-" else prompt)]
    run = load(model, device)
    if run.task != "language_modelling" or not isinstance(run.model, Decoder):
        raise UsageError(
            f"{run.path}: a model trained for {run.task} does not generate. Expected a language "
            "model, as `phalanx train` makes it from text."
        )
    writer = Writer(
        run.model,
        run.tokenizer,
        chooser,
        seed,
        max_new_tokens,
        stop,
        when_full,
        run.begin_ids,
        run.end_ids,
    )
    _check(writer, asked)
    if trace:
        print_trace(writer, asked[0].text, json)
        return 0
    with interruption() as interrupted:
        if prompts is not None or output is not None:
            show_lines(writer, asked, n, batch_size, interrupted, output)
        elif json:
            show_json(writer, asked[0].text, n, batch_size, interrupted)
        elif n > 1:
            show_samples(writer, asked[0].text, n, batch_size, interrupted)
        else:
            show_stream(writer, asked[0].text, interrupted)
    if interrupted.signal is not None:
        note(f"phalanx: {interrupted.signal.name}: what was written so far is kept")
    return interrupted.exit_code


def _refuse_together(option: str, given: object, others: Mapping[str, object]) -> None:
    for other, value in others.items():
        if given and value:
            raise UsageError(f"{other} with {option}: expected one of them. Leave out either.")


def _check(writer: "Writer", asked: Sequence[Prompt]) -> None:
    """Refuse any prompt that cannot be continued, and warn of what changes nothing."""
    from phalanx.inference import context_limit

    if writer.when_full != "error" and context_limit(writer.model.config) is None:
        note("warning: --when-full changes nothing: the context of this model has no end")
    unknown = 0
    for prompt in asked:
        try:
            writer.check(prompt.text)
        except UsageError as error:
            raise UsageError(f"{prompt.where}: {error}" if prompt.where else str(error)) from None
        if writer.tokenizer.unknown_id is not None:
            unknown += writer.tokenizer.encode(prompt.text).count(writer.tokenizer.unknown_id)
    if unknown:
        things = unknown_things(writer.tokenizer.kind)
        where = "the prompt" if len(asked) == 1 else "the prompts"
        note(f"warning: {things} of {where} that the model does not know: {unknown}")
