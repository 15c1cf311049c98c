"""Subjects of ``path/file.py:build``: the user's own code, imported and called."""

import importlib.util
import inspect
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from phalanx.errors import PhalanxError, UsageError, did_you_mean
from phalanx.profiling.subjects.blame import blame
from phalanx.profiling.subjects.examples import Example, sequence_axis
from phalanx.profiling.subjects.fake import on_meta, written
from phalanx.profiling.subjects.modules import subject_of
from phalanx.profiling.subjects.subject import Inputs, Subject, seeded

_SIZES = {"batch", "seq_len"}
_EXPECTED = "Expected FILE.py:FUNCTION, a function that returns (module, example_inputs)"


def is_file_target(word: str) -> bool:
    """Whether a word means a file of Python."""
    return ".py:" in word or word.endswith(".py")


def file_subject(word: str) -> Subject:
    """The subject of ``path/file.py:build``. The file is run: it is the user's own code.

    ``build()`` returns ``(module, example_inputs)``; it may take ``batch`` and ``seq_len``. It is
    called under ``torch.device("meta")`` for shapes, and plainly where numbers are needed.

    Raises:
        UsageError: no such file or function, or it returns something else.
        PhalanxError: the file or the function raises.
    """
    return _Built(word, _function(word)).subject()


class _Built:
    """What the user's function makes, on meta and for real."""

    def __init__(self, word: str, build: Callable[..., Any]) -> None:
        self._word, self._build = word, build
        self._sized = _SIZES & set(_parameters(word, build))
        self._examples: dict[str, Example] = {}

    def subject(self) -> Subject:
        """The subject; ids that were made on meta have no values, so a loss goes by shapes."""
        try:
            _, example = self._call("meta")
            return subject_of(self._word, self._make, example, give=self._give)
        except UsageError as error:
            said = str(error)
            raise UsageError(
                said if said.startswith(self._word) else f"{self._word}: {said}"
            ) from None
        except PhalanxError as error:
            why = str(error)
        _, example = self._call("cpu")
        made = subject_of(self._word, self._make_plainly, example, give=self._give)
        return replace(made, why_not_meta=made.why_not_meta or why)

    def _make(self, device: str) -> nn.Module:
        if device == "meta":
            return self._call("meta")[0]
        return self._call("cpu")[0].to(device)

    def _make_plainly(self, device: str) -> nn.Module:
        made = self._call("cpu")[0]
        return on_meta(made) if device == "meta" else made.to(device)

    def _give(self, batch: int, length: int, device: str) -> Inputs:
        # Where the function takes sizes, its own inputs at them; else its only ones, resized.
        on = "meta" if device == "meta" and "meta" in self._examples else "cpu"
        asked = {"batch": batch, "seq_len": length}
        given = {name: value for name, value in asked.items() if name in self._sized}
        if on not in self._examples or given:
            self._call(on, **given)
        return self._examples[on].resized(batch, length, device)

    def _call(self, device: str, **sizes: int) -> tuple[nn.Module, Example]:
        try:
            with torch.device(device), seeded():
                made = self._build(**sizes)
        except Exception as error:
            raise PhalanxError(f"{self._word}: the function raised {blame(error)}.") from error
        if not (isinstance(made, tuple) and len(made) == 2 and isinstance(made[0], nn.Module)):
            raise UsageError(f"{self._word} returned {_described(made)}. {_EXPECTED}.")
        if isinstance(made[0], torch.jit.ScriptModule):
            raise UsageError(
                f"{self._word} returned a {type(made[0]).__name__}, whose kernels run outside "
                "Python. Return the module that it was made from."
            )
        module = written(made[0])
        self._examples[device] = Example.of(made[1], sequence_axis(module))
        return module, self._examples[device]


def _parameters(word: str, build: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    try:
        known = inspect.signature(build).parameters
    except ValueError:  # a function of C does not say
        return {}
    needed = [
        name
        for name, one in known.items()
        if one.default is one.empty and one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD)
    ]
    others = [name for name in needed if name not in _SIZES]
    if others:
        raise UsageError(
            f"{word}: the function needs {', '.join(others)}. Expected one that can be called "
            "without arguments, or with batch and seq_len alone."
        )
    return known


def _function(word: str) -> Callable[..., Any]:
    name, colon, function = word.rpartition(":")
    path = Path(name)
    if not colon or not function:
        file = word.removesuffix(":")
        raise UsageError(f"{word}: no function is named. {_EXPECTED}, such as {file}:build.")
    if not path.is_file():
        raise UsageError(f"{path}: no such file. {_EXPECTED}.")
    spec = importlib.util.spec_from_file_location(f"phalanx_profiled_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise UsageError(f"{path}: not a file of Python. {_EXPECTED}.")
    loaded = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = loaded  # dataclasses and pickles in the file look it up
    sys.path.insert(0, str(path.resolve().parent))  # as when the file is run itself
    try:
        spec.loader.exec_module(loaded)
    except Exception as error:
        raise PhalanxError(f"{path}: importing it raised {blame(error)}.") from error
    finally:
        sys.path.remove(str(path.resolve().parent))
    found = getattr(loaded, function, None)
    if not callable(found):
        known = [key for key, value in vars(loaded).items() if inspect.isfunction(value)]
        what = "is not callable" if found is not None else "is not there"
        near = did_you_mean(function, known) if known else " It defines no function."
        raise UsageError(f"{path}: {function} {what}.{near} {_EXPECTED}.")
    made: Callable[..., Any] = found
    return made


def _described(value: object) -> str:
    if isinstance(value, tuple):
        return f"({', '.join(type(part).__name__ for part in value)})"
    return type(value).__name__
