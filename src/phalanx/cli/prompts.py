"""Prompts from a file or from stdin, each with the place that an error is to name."""

import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from phalanx.errors import UsageError

KEY = "prompt"
WRITTEN_KEYS = ("sample", "seed", "text", "tokens", "ended")
"""What a line of the output adds to the line of the prompt."""


@dataclass(frozen=True)
class Prompt:
    """A text to continue.

    Args:
        text: the text.
        where: ``file:line``, or empty for the command line.
        others: what else its line holds; carried through to the output.
    """

    text: str
    where: str = ""
    others: Mapping[str, object] = field(default_factory=dict)


def prompt_from_stdin() -> str:
    """All of stdin as one prompt, as it is: its last line break belongs to it.

    Raises:
        UsageError: it is not UTF-8.
    """
    return _decode(_stdin(), "stdin")


def read_prompts(name: str) -> list[Prompt]:
    """The prompts of a file (``-``: stdin), before any of them is used.

    A file ``*.jsonl``, and a pipe that begins with a JSON object, holds an object a line with the
    text at ``prompt``. Any other holds a prompt a line. Empty lines are skipped; an empty prompt
    is the line ``{"prompt": ""}``.

    Raises:
        UsageError: no such file, a line that is not UTF-8 or not such an object, or no prompt.
    """
    if name == "-":
        shown, text = "stdin", _decode(_stdin(), "stdin")
    else:
        shown, text = name, _decode(_contents(Path(name)), name)
    lines = [(f"{shown}:{at}", line) for at, line in enumerate(text.split("\n"), 1)]
    piped = name == "-" or not Path(name).is_file()  # has no name of its own to tell by
    objects = name.lower().endswith(".jsonl") or (piped and _begins_with_object(lines))
    prompts = list(_of_objects(lines) if objects else _of_lines(lines))
    if not prompts:
        raise UsageError(f"{shown}: no prompts. Expected at least one line.")
    return prompts


def _of_lines(lines: list[tuple[str, str]]) -> Iterator[Prompt]:
    for where, line in lines:
        if line:
            yield Prompt(line, where)


def _of_objects(lines: list[tuple[str, str]]) -> Iterator[Prompt]:
    expected = 'Expected an object such as {"prompt": "Once upon a time"}'
    for where, line in lines:
        if not line.strip():
            continue
        try:
            given = json.loads(line, parse_constant=_refuse_constant)
            json.dumps(given, allow_nan=False)  # 1e999 is read as infinity
        except json.JSONDecodeError as error:
            found = f"{error.msg} at column {error.colno}"
            raise UsageError(f"{where}: this is not JSON ({found}). {expected}.") from None
        except (ValueError, RecursionError) as error:
            raise UsageError(f"{where}: this is not JSON ({error}). {expected}.") from None
        if not isinstance(given, dict):
            raise UsageError(f"{where}: this is a JSON {_kind(given)}. {expected}.")
        if KEY not in given:
            found = f" but {', '.join(map(repr, given))}" if given else ""
            raise UsageError(f'{where}: the object has no key "{KEY}"{found}. {expected}.')
        text = given.pop(KEY)
        if not isinstance(text, str):
            raise UsageError(f'{where}: "{KEY}" is a JSON {_kind(text)}. {expected}.')
        taken = [key for key in WRITTEN_KEYS if key in given]
        if taken:
            raise UsageError(
                f'{where}: the output has a key "{taken[0]}" of its own. Expected other names '
                f"than {', '.join(WRITTEN_KEYS)}. Rename it."
            )
        _check_text(json.dumps([text, given], ensure_ascii=False), where)
        yield Prompt(text, where, given)


def _begins_with_object(lines: list[tuple[str, str]]) -> bool:
    first = next((line for _, line in lines if line.strip()), "")
    try:
        return isinstance(json.loads(first), dict)
    except (ValueError, RecursionError):
        return False


def _check_text(text: str, where: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise UsageError(
            f"{where}: a lone surrogate, U+{ord(text[error.start]):04X}: half of a character that "
            "UTF-8 cannot hold. Expected whole characters. Repair the line."
        ) from None


def _refuse_constant(name: str) -> object:
    raise ValueError(f"{name} is not in JSON")


def _kind(value: object) -> str:
    kinds = {list: "array", str: "string", bool: "boolean", type(None): "null", dict: "object"}
    return kinds.get(type(value), "number")


def _stdin() -> bytes:
    if sys.stdin is None:
        raise UsageError("stdin is closed. Expected text on it. Pipe it in, as in `echo hi |`.")
    return sys.stdin.buffer.read()


def _contents(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(
            f"{path}: {error.strerror}. Expected a readable file of prompts. Check the path."
        ) from None


def _decode(data: bytes, name: str) -> str:
    r"""Text of UTF-8 bytes, without a byte order mark and with ``\n`` for ``\r\n``."""
    data = data.removeprefix(b"\xef\xbb\xbf")
    try:
        return data.decode().replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UsageError(
            f"{name}:{line}: not UTF-8 text, byte 0x{data[error.start]:02x} ({error.reason}). "
            "Expected UTF-8. Convert it first, for example with iconv."
        ) from None
