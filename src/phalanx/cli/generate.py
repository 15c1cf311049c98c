"""``phalanx generate``: let a trained model continue a text."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from phalanx.cli.common import Device, Json, Seed, note, print_json
from phalanx.errors import UsageError

if TYPE_CHECKING:
    from phalanx.cli.call_trace import CallTrace
    from phalanx.data.tokenizers import Tokenizer
    from phalanx.inference import Chooser
    from phalanx.models import Decoder

TRACED_TOKENS = 8


def generate(
    model: Path,
    /,
    *,
    prompt: Annotated[str, Parameter(allow_leading_hyphen=True)] = "",
    max_new_tokens: int | None = None,
    temperature: float = 0.8,
    top_k: int | None = None,
    top_p: float | None = None,
    greedy: Annotated[bool, Parameter(negative=())] = False,
    seed: Seed = 0,
    samples: int = 1,
    trace: Annotated[bool, Parameter(negative=())] = False,
    device: Device = "auto",
    json: Json = False,
) -> None:
    """Let a trained model continue a text. The prompt and what follows it go to stdout.

    Parameters
    ----------
    model
        A run directory of `phalanx train`, or a model directory in it (best, last).
    prompt
        The text to continue; "-" reads it from stdin. Without one, a new document is begun.
    max_new_tokens
        New tokens at most. Default: 256, or what the model's context leaves; 8 with --trace.
    temperature
        Below 1 prefers likely tokens, above 1 evens out; 0 is the same as --greedy.
    top_k
        Draw from this many of the most likely tokens.
    top_p
        Draw from the most likely tokens that together reach this probability.
    greedy
        Take the most likely token each time.
    samples
        How many texts to draw.
    trace
        Show call by call what depends on what, traced while it runs.
    """
    from phalanx.inference.sampling import Greedy, Sampler
    from phalanx.models import Decoder
    from phalanx.runs import load

    if samples < 1:
        raise UsageError(f"--samples {samples}: expected 1 or more.")
    if trace and samples > 1:
        raise UsageError(f"--samples {samples} with --trace: expected one. Leave out either.")
    greedy = greedy or temperature == 0
    sampler = Sampler(temperature or 1.0, top_k, top_p)  # checked even where it is not used
    if greedy and (top_k, top_p) != (None, None):
        note("warning: --top-k and --top-p change nothing where the likeliest token is taken")
    chooser = Greedy() if greedy else sampler
    text = _from_stdin() if prompt == "-" else prompt
    run = load(model, device)
    decoder = run.model
    if run.task != "language_modelling" or not isinstance(decoder, Decoder):
        raise UsageError(
            f"{run.path}: a model trained for {run.task} does not generate. Expected a language "
            "model, as `phalanx train` makes it from text."
        )
    _warn_of_unknown(run.tokenizer, text)
    if trace:
        count = TRACED_TOKENS if max_new_tokens is None else max_new_tokens
        _trace(decoder, run.tokenizer, text, count, chooser, seed, json)
    elif json or samples > 1:
        _all(decoder, run.tokenizer, text, max_new_tokens, chooser, seed, samples, json)
    else:
        _stream(decoder, run.tokenizer, text, max_new_tokens, chooser, seed)


def _from_stdin() -> str:
    try:
        return sys.stdin.read()
    except UnicodeDecodeError as error:
        raise UsageError(
            f"the prompt on stdin is not {error.encoding.upper()} text: byte "
            f"0x{error.object[error.start]:02x} at {error.start} ({error.reason}). Convert it "
            "first, for example with iconv."
        ) from None


def _warn_of_unknown(tokenizer: "Tokenizer", text: str) -> None:
    if tokenizer.unknown_id is not None:
        unknown = tokenizer.encode(text).count(tokenizer.unknown_id)
        if unknown:
            note(f"warning: {unknown} characters of the prompt are unknown to the model")


def _stream(
    model: "Decoder",
    tokenizer: "Tokenizer",
    text: str,
    max_new_tokens: int | None,
    chooser: "Chooser",
    seed: int,
) -> None:
    from phalanx.inference.text import generate_text

    begun = False

    def show(_: int, piece: str) -> None:
        nonlocal begun
        # The prompt is shown once the request has been accepted: an error leaves stdout empty.
        print(piece if begun else text + piece, end="", flush=True)
        begun = True

    generate_text(
        model,
        tokenizer,
        [text],
        max_new_tokens=max_new_tokens,
        sampler=chooser,
        seed=seed,
        on_text=show,
    )
    print("" if begun else text)


def _all(
    model: "Decoder",
    tokenizer: "Tokenizer",
    text: str,
    max_new_tokens: int | None,
    chooser: "Chooser",
    seed: int,
    samples: int,
    json: bool,
) -> None:
    from phalanx.inference.generate import generate as generate_ids
    from phalanx.inference.text import prompt_ids, room, text_chooser

    ids = prompt_ids(tokenizer, text)
    rows = generate_ids(
        model,
        [ids] * samples,
        max_new_tokens=room(model, ids) if max_new_tokens is None else max_new_tokens,
        sampler=text_chooser(tokenizer, chooser),
        seed=seed,
        samples=range(samples),
        stop=(tokenizer.end_id,),
    )
    texts = [tokenizer.decode(row) for row in rows]
    if json:
        drawn = [
            {"text": new, "tokens": row, "ended": bool(row) and row[-1] == tokenizer.end_id}
            for new, row in zip(texts, rows, strict=True)
        ]
        print_json({"prompt": text, "prompt_tokens": ids, "seed": seed, "samples": drawn})
        return
    for number, new in enumerate(texts):
        print(f"--- sample {number}\n{text}{new}")


def _trace(
    model: "Decoder",
    tokenizer: "Tokenizer",
    text: str,
    count: int,
    chooser: "Chooser",
    seed: int,
    json: bool,
) -> None:
    from phalanx.cli.call_trace import trace_generation
    from phalanx.inference.generate import Decoding, check_request
    from phalanx.inference.text import prompt_ids, text_chooser

    ids = prompt_ids(tokenizer, text)
    if count < 1:
        raise UsageError(f"--max-new-tokens {count}: a trace needs at least 1.")
    check_request(model, [ids], count)
    model.eval()
    chooser = text_chooser(tokenizer, chooser)
    decoding = Decoding(model, [ids], len(ids) + count - 1, chooser=chooser, seed=seed)
    traced = trace_generation(decoding, ids, count)
    if json:
        calls = [
            {
                "read": list(call.read),
                "read_text": show(tokenizer, call.read),
                "chosen": call.chosen,
                "chosen_text": show(tokenizer, [call.chosen]),
                "needs_choices_of_calls": list(call.needs),
                "kernels_in_a_row": call.depth,
            }
            for call in traced.calls
        ]
        print_json({"calls": calls, "dependent_calls": traced.dependent_calls})
        return
    for line in describe(traced, tokenizer):
        print(line)


def describe(traced: "CallTrace", tokenizer: "Tokenizer") -> list[str]:
    """A trace in words: a line a call, the chain, and how many calls wait for one another."""
    table = [("call", "reads", "chooses", "needs the choice of", "kernels in a row so far")]
    for number, call in enumerate(traced.calls):
        given = shorten(show(tokenizer, call.read))
        at_once = f" ({len(call.read)} tokens at once)" if number == 0 else ""
        needs = _spans(call.needs) or ("the prompt alone" if number == 0 else "no earlier call")
        chosen = show(tokenizer, [call.chosen])
        table.append((str(number), given + at_once, chosen, needs, str(call.depth)))
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in table
    ]
    first, *later = traced.calls
    chain = [shorten(show(tokenizer, first.read)), show(tokenizer, [first.chosen])]
    for number, call in enumerate(later, 1):
        chain += ["->" if number - 1 in call.needs else "|", show(tokenizer, [call.chosen])]
    count = len(traced.calls)
    lines += [
        "",
        " ".join([chain[0], "->", *chain[1:]]),
        f"{len(first.read)} tokens of the prompt: 1 call. {count} new tokens: {count} calls, of "
        f"which {traced.dependent_calls} form a chain, each needing what the one before it chose.",
    ]
    return lines


def show(tokenizer: "Tokenizer", ids: "list[int] | tuple[int, ...]") -> str:
    """Tokens as quoted text; what cannot be printed is written as ``\\n`` or ``\\xe4``."""
    content = b"".join(map(tokenizer.bytes_of, ids)).decode("utf-8", "backslashreplace")
    if not content:
        return "<end of document>"
    escaped = (c if c.isprintable() else c.encode("unicode_escape").decode() for c in content)
    return '"' + "".join(escaped) + '"'


def shorten(text: str, width: int = 40) -> str:
    """``text`` with its middle left out where it is longer than ``width`` characters."""
    half = (width - 3) // 2
    return text if len(text) <= width else f"{text[:half]}...{text[-half:]}"


def _spans(numbers: tuple[int, ...]) -> str:
    """Consecutive call numbers drawn together: ``calls 0-3, 5``."""
    spans: list[list[int]] = []
    for number in numbers:
        if spans and number == spans[-1][1] + 1:
            spans[-1][1] = number
        else:
            spans.append([number, number])
    texts = [str(a) if a == b else f"{a}-{b}" for a, b in spans]
    return f"call{'s' if len(numbers) > 1 else ''} {', '.join(texts)}" if texts else ""
