"""The forms in which ``phalanx generate`` shows what was written."""

import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from phalanx.cli.common import lacks_characters, print_json
from phalanx.cli.interruption import Interruption
from phalanx.cli.prompts import Prompt
from phalanx.durable import storage_error
from phalanx.errors import UsageError

if TYPE_CHECKING:
    from phalanx.inference import Writer, Written


def show_stream(writer: "Writer", text: str, interrupted: Interruption) -> None:
    """One text on stdout, as it comes."""
    begun = False

    def show(prompt: int, sample: int, piece: str) -> None:
        nonlocal begun
        # The prompt is shown once the request has been accepted: an error leaves stdout empty.
        print(piece if begun else text + piece, end="", flush=True)
        begun = True

    for _ in writer.write([text], on_text=show, interrupted=interrupted):
        print("" if begun else text, flush=True)


def show_samples(
    writer: "Writer", text: str, n: int, batch_size: int, interrupted: Interruption
) -> None:
    """Several samples on stdout, each under its number."""
    for written in writer.write([text], n, batch_size=batch_size, interrupted=interrupted):
        print(f"--- sample {written.sample}\n{text}{written.text}", flush=True)


def show_json(
    writer: "Writer", text: str, n: int, batch_size: int, interrupted: Interruption
) -> None:
    """All samples of one prompt as one JSON document."""
    drawn = writer.write([text], n, batch_size=batch_size, interrupted=interrupted)
    print_json(
        {
            "prompt": text,
            "prompt_tokens": writer.ids(text),
            "seed": writer.seed,
            "samples": [
                {
                    "sample": written.sample,
                    "text": written.text,
                    "tokens": written.tokens,
                    "ended": written.ended,
                }
                for written in drawn
            ],
        }
    )


def show_lines(
    writer: "Writer",
    prompts: Sequence[Prompt],
    n: int,
    batch_size: int,
    interrupted: Interruption,
    output: str | None,
) -> None:
    """A JSON object a line for each prompt and sample, batch by batch, on stdout or to a file.

    Raises:
        UsageError: the file exists or cannot be opened.
        StorageError: it cannot be written to the end.
    """
    texts = [prompt.text for prompt in prompts]
    with opened(output) as stream:
        for written in writer.write(texts, n, batch_size=batch_size, interrupted=interrupted):
            _put(stream, prompts[written.prompt], written, writer.seed)


def _put(stream: TextIO, prompt: Prompt, written: "Written", seed: int) -> None:
    record = {
        "prompt": prompt.text,
        **prompt.others,
        "sample": written.sample,
        "seed": seed,
        "text": written.text,
        "tokens": written.tokens,
        "ended": written.ended,
    }
    line = json.dumps(record, ensure_ascii=lacks_characters(stream), allow_nan=False)
    print(line, file=stream, flush=True)


@contextmanager
def opened(output: str | None) -> Iterator[TextIO]:
    """A new file to write lines to, removed again where none came; stdout for None and ``-``.

    Raises:
        UsageError: the file exists or cannot be opened.
        StorageError: it cannot be written to the end.
    """
    if output is None or output == "-":
        yield sys.stdout
        return
    try:
        stream = open(output, "x", encoding="utf-8", newline="\n")  # noqa: SIM115  # closed below
    except FileExistsError:
        raise UsageError(
            f"{output} exists already. Expected a new file: nothing is overwritten. Remove it or "
            "choose another name."
        ) from None
    except OSError as error:
        raise UsageError(
            f"{output}: {error.strerror}. Expected a file that can be written. Check the path."
        ) from None
    try:
        with stream:
            yield stream
    except OSError as error:
        raise storage_error(Path(output), error) from None
    finally:
        if not os.path.getsize(output):  # an error came first: the same command may be given again
            os.remove(output)
