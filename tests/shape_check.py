"""Checks calls against the axes that their annotations promise (phalanx.shapes).

``Annotated[Tensor, "B T D"]`` names a tensor's axes. Within one call of a checked method the same
letter stands for the same size, in arguments and results, and in the fields of the dataclasses
(rows, states) among them. ``...`` at the front stands for any leading axes.
"""

import functools
import importlib
import inspect
import pkgutil
import typing
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass
from types import ModuleType, UnionType
from typing import Any

import torch
from torch import Tensor, nn

METHODS = ("forward", "step", "hidden", "remember")
PACKAGES = ("phalanx.mixers", "phalanx.layers", "phalanx.models")

Sizes = dict[str, tuple[int, str]]  # letter -> its size and where that was seen


class ShapeError(AssertionError):
    """A call broke the axes that its annotations promise."""


def check_tensor(tensor: Tensor, axes: str, where: str, sizes: Sizes) -> None:
    """Check one tensor against its axes, and remember the sizes it fixes."""
    letters, shape = axes.split(), list(tensor.shape)
    if letters[:1] == ["..."]:
        letters = letters[1:]
        shape = shape[max(len(shape) - len(letters), 0) :]
    if len(letters) != len(shape):
        raise ShapeError(f"{where} has shape {tuple(tensor.shape)}; expected axes {axes!r}")
    for letter, size in zip(letters, shape, strict=True):
        known, seen = sizes.setdefault(letter, (size, where))
        if known != size:
            raise ShapeError(f"{where}: axis {letter} is {size}; {seen} made it {known}")


def check_value(value: Any, hint: Any, where: str, sizes: Sizes) -> None:
    """Check whatever tensors a value carries, as far as its hint names their axes."""
    if value is None:
        return
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Annotated:
        if isinstance(value, Tensor):
            axes = next((part for part in arguments[1:] if isinstance(part, str)), None)
            if axes is not None:
                check_tensor(value, axes, where, sizes)
    elif origin is tuple and isinstance(value, tuple) and len(value) == len(arguments):
        for index, (item, inner) in enumerate(zip(value, arguments, strict=True)):
            check_value(item, inner, f"{where}[{index}]", sizes)
    elif origin in (typing.Union, UnionType):
        for inner in arguments:
            if inner is not type(None):
                check_value(value, inner, where, sizes)
    elif is_dataclass(value) and not isinstance(value, type):
        hints = _hints(type(value))
        for item in fields(value):
            name = f"{where}.{item.name}"
            check_value(getattr(value, item.name), hints[item.name], name, sizes)


@functools.cache
def _hints(thing: Any) -> dict[str, Any]:
    return typing.get_type_hints(thing, include_extras=True)


def checked(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, with its arguments and results checked in every call."""
    hints = _hints(function)
    names = list(inspect.signature(function).parameters)

    @functools.wraps(function)
    def wrapper(*arguments: Any, **keywords: Any) -> Any:
        if torch.compiler.is_compiling():
            return function(*arguments, **keywords)
        sizes: Sizes = {}
        given = [*zip(names, arguments, strict=False), *keywords.items()]
        for name, value in given:
            if name in hints:
                check_value(value, hints[name], f"{function.__qualname__}: {name}", sizes)
        result = function(*arguments, **keywords)
        check_value(result, hints.get("return"), f"{function.__qualname__}: result", sizes)
        return result

    return wrapper


def modules(packages: tuple[str, ...] = PACKAGES) -> Iterator[ModuleType]:
    """Every module of the packages."""
    for name in packages:
        package = importlib.import_module(name)
        yield package
        for found in pkgutil.iter_modules(package.__path__, f"{name}."):
            yield importlib.import_module(found.name)


def install(replace: Callable[[type, str, Callable[..., Any]], None]) -> int:
    """Check every call of the layers from now on; ``replace`` sets an attribute of a class.

    Returns the number of methods that are checked.
    """
    count = 0
    for module in modules():
        for kind in vars(module).values():
            if not (isinstance(kind, type) and issubclass(kind, nn.Module)):
                continue
            if kind.__module__ != module.__name__:
                continue
            for name in METHODS:
                function = kind.__dict__.get(name)
                if inspect.isfunction(function) and not hasattr(function, "__isabstractmethod__"):
                    replace(kind, name, checked(function))
                    count += 1
    return count
