"""The command ``phalanx``: finds the verb, runs it, and turns what happens into an exit code.

0 ok; 1 failure; 2 wrong usage, configuration or input; 130 interrupted; 143 terminated. Nothing
here imports torch, and a verb's module is imported when the verb is named.
"""

import os
import signal
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

from cyclopts import App, CycloptsError, Group, Parameter

from phalanx import __version__
from phalanx.cli.common import TERMINATED, convert_strictly, split_overrides
from phalanx.errors import PhalanxError, UsageError, did_you_mean

FAILURE, INTERRUPTED = 1, 130

VERBS = {
    "train": "Train a model on text, or on text with labels.",
    "evaluate": "Measure a trained model.",
    "generate": "Let a trained model continue a text.",
    "predict": "Let a trained model label texts or tag their words.",
    "translate": "Let a trained model translate lines of text.",
    "export": "Write a trained model in another format.",
    "runs": "List runs with their figures.",
    "plot": "Draw the curves of runs.",
    "data": "Look at text before anything is trained on it.",
    "compare": "Compare architectures: what is parallel by structure, and what is fast here.",
    "profile": "Say how parallel a model is, and which chain of operations sets the limit.",
    "doctor": "Show what this machine offers, and what that means.",
}
OPTIONS = ("--help", "-h", "--version")


def make_app(named: str = "") -> App:
    """The verbs and their options, none of them imported yet.

    Args:
        named: the verb of the command line, which explains itself at length; the others, in a line.
    """
    app = App(
        name="phalanx",
        help="Train, run, compare and profile sequence models, from the RNN to the Transformer.",
        version=__version__,
        help_format="plaintext",
        default_parameter=Parameter(converter=convert_strictly),
    )
    for place, (verb, summary) in enumerate(VERBS.items()):
        words = None if verb == named else summary
        app.command(f"phalanx.cli.{verb}:{verb}", name=verb, help=words, sort_key=place)
    options = Group("Options")
    for option in OPTIONS:
        app[option].group = (options,)
    return app


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit code.

    Args:
        arguments: the words behind ``phalanx``; None takes those of this process.
    """
    words = sys.argv[1:] if arguments is None else list(arguments)
    _write_what_the_terminal_can()
    if not os.environ.get("PHALANX_DEBUG"):
        warnings.formatwarning = _without_code
    try:
        with _terminated_as_exit():
            code = _run(words)
            if sys.stdout is not None:  # closed from the start: nothing was wanted
                sys.stdout.flush()  # a closed pipe shows itself here, and not at the very end
            return code
    except PhalanxError as error:
        _complain(str(error))
        return error.exit_code
    except KeyboardInterrupt:
        _complain("interrupted")
        return INTERRUPTED
    except BrokenPipeError:
        # The reader (`| head`) has enough. What is still buffered must not raise at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILURE
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else FAILURE if stop.code else 0
    except Exception as error:
        return _unexpected(error)


def _run(words: list[str]) -> int:
    words, overrides = split_overrides(words)
    verb = words[0] if words else ""
    if verb and verb not in (*VERBS, *OPTIONS):
        kind, known = ("an option", OPTIONS) if verb.startswith("-") else ("a command", VERBS)
        raise UsageError(f"{verb!r} is not {kind} of phalanx.{did_you_mean(verb, known)}")
    try:
        command, bound, given_here = make_app(verb).parse_args(
            words, exit_on_error=False, print_error=False, verbose=False
        )
    except CycloptsError as error:
        hint = f"phalanx {verb} --help" if verb in VERBS else "phalanx --help"
        raise UsageError(f"{error} See `{hint}`.") from None
    if "overrides" in given_here:
        bound.arguments["overrides"] = tuple(overrides)
    elif overrides:
        keys = ", ".join(f"--{key}" for key, _ in overrides)
        raise UsageError(f"{keys}: `phalanx {verb}` takes no overrides of a configuration.")
    result: object = command(*bound.args, **bound.kwargs)
    return result if isinstance(result, int) else 0


def _complain(message: str) -> None:
    print(f"phalanx: {message}", file=sys.stderr)


def _without_code(message: Warning | str, *_: object, **__: object) -> str:
    """A warning in a line, without the line of code that gave it."""
    return f"warning: {message}\n"


def _unexpected(error: Exception) -> int:
    if os.environ.get("PHALANX_DEBUG"):
        traceback.print_exception(error)
        return FAILURE
    if isinstance(error, OSError) and error.strerror:
        where = f"{error.filename}: " if error.filename else ""
        _complain(f"{where}{error.strerror}")
        return FAILURE
    text = str(error).strip().splitlines()
    what = f"{type(error).__name__}: {text[0]}" if text else type(error).__name__
    _complain(f"unexpected {what}\n  Set PHALANX_DEBUG=1 to see where it happened.")
    return FAILURE


@contextmanager
def _terminated_as_exit() -> Iterator[None]:
    """Let SIGTERM unwind the program, so that files are closed and temporary ones removed."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise SystemExit(TERMINATED)

    try:
        before: Callable[..., object] | int | None = signal.signal(signal.SIGTERM, stop)
    except ValueError:  # not the main thread: signals are somebody else's
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _write_what_the_terminal_can() -> None:
    """A character that the terminal's encoding lacks becomes ``?`` instead of an error."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="replace")


if __name__ == "__main__":
    sys.exit(main())
