"""What ``phalanx generate --trace`` prints: a traced generation in words, or as data."""

from typing import TYPE_CHECKING

from phalanx.cli.common import print_json
from phalanx.errors import UsageError

if TYPE_CHECKING:
    from phalanx.cli.call_trace import CallTrace
    from phalanx.data.tokenizers import Tokenizer
    from phalanx.inference import Writer

DEFAULT_TOKENS = 8
MOST_TOKENS = 256  # each call is compared with all before it, and printed


def check_count(max_new_tokens: int | None) -> int:
    """How many tokens to trace.

    Raises:
        UsageError: none, or more than can be shown.
    """
    count = DEFAULT_TOKENS if max_new_tokens is None else max_new_tokens
    if not 1 <= count <= MOST_TOKENS:
        raise UsageError(
            f"--max-new-tokens {count}: a trace needs at least 1 and shows at most {MOST_TOKENS}."
        )
    return count


def print_trace(writer: "Writer", text: str, json: bool) -> None:
    """Generate behind ``text``, following the data, and print what was found.

    Raises:
        PhalanxError: the model's scores are not numbers.
    """
    from phalanx.cli.call_trace import trace_generation
    from phalanx.inference import Decoding, generate
    from phalanx.inference.generate import new_tokens

    model, tokenizer = writer.model, writer.tokenizer
    ids = writer.ids(text)
    count = new_tokens(model, ids, check_count(writer.max_new_tokens))
    chooser = writer.chooser_of_text()
    # First without the tracer, which reads no token before the end: scores that are not numbers
    # are refused here, and would be read as a token there.
    generate(model, [ids], max_new_tokens=count, sampler=chooser, seed=writer.seed)
    decoding = Decoding(model, [ids], len(ids) + count - 1, chooser=chooser, seed=writer.seed)
    traced = trace_generation(decoding, ids, count)
    if not json:
        print("\n".join(describe(traced, tokenizer)))
        return
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
