"""Calls to the ``tokenizers`` library, whose errors speak of Rust, with errors of our own."""

from collections.abc import Iterator
from contextlib import contextmanager

import tokenizers as library

from phalanx.errors import UsageError


@contextmanager
def explained(failure: str, remedy: str) -> Iterator[None]:
    """Turn what the library raises inside into a UsageError: failure, reason, remedy.

    A panic of its threads has been printed to stderr by then. Only turning stderr off for the whole
    process would prevent that, and would lose what other threads say.
    """
    try:
        yield
    except BaseException as error:
        # A panic in Rust is a PanicException, which derives from BaseException and cannot be
        # imported; KeyboardInterrupt and its like must pass.
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        raise UsageError(f"{failure} ({str(error)[:200]}). {remedy}") from None


def parse(content: str) -> library.Tokenizer:
    """Make a tokenizer from the text of a ``tokenizer.json``; it neither pads nor truncates.

    Raises:
        UsageError: the library cannot read it.
    """
    with explained(
        "the tokenizers library cannot read it",
        "Expected a tokenizer.json as that library writes it. Save the tokenizer again.",
    ):
        wrapped = library.Tokenizer.from_str(content)
        wrapped.no_truncation()
        wrapped.no_padding()
        return wrapped
