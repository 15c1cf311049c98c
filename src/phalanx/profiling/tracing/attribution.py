"""Which module a kernel belongs to, in the forward pass and in the backward pass.

Forward: torch's global hooks around every module's call; of a module's other methods, such as
``step``, which no hook sees, the Python frames tell. Backward: the node of the autograd graph in
execution carries the sequence number that the thread's counter had when the forward operation ran,
so intervals of that number, cut where a module is entered or left, say whose it was.
"""

import sys
import threading
from bisect import bisect_right
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.nn.modules.module import (
    register_module_forward_hook,
    register_module_forward_pre_hook,
)

OUTSIDE, ROOT = 0, 1  # numbers of what belongs to no module, and of the root
_current_node = torch._C._current_autograd_node
_sequence = torch._C._autograd._get_sequence_nr


class Place(NamedTuple):
    """Where a kernel ran: the number of its module, and whether in the backward pass."""

    module: int
    backward: bool


class Attribution:
    """Attributes kernels to the submodules of ``root``; all is outside where there is none.

    Attributes:
        paths: dotted path of each numbered module; "" for ``OUTSIDE`` and ``ROOT``.
        kinds: its class name; "" for ``OUTSIDE``.
        called: how often it was called.
    """

    def __init__(self, root: nn.Module | None) -> None:
        self.paths, self.kinds, self.called = [""], [""], [0]
        self._numbers: dict[int, int] = {}
        self._owners: dict[int, int] = {}  # of parameters, by id
        for path, module in root.named_modules() if root is not None else ():
            number = self._numbers[id(module)] = len(self.paths)
            self.paths.append(path)
            self.kinds.append(type(module).__name__)
            self.called.append(0)
            for parameter in module.parameters(recurse=False):
                self._owners.setdefault(id(parameter), number)
        # Those with modules below them may call a method of one; any other runs its own code.
        self._above = {OUTSIDE} | {
            self._numbers[id(module)]
            for module in (root.modules() if root is not None else ())
            if any(True for _ in module.children())
        }
        self._inside: list[Place] = []
        self._starts, self._modules = [-1], [OUTSIDE]  # intervals of the sequence number
        self._seen = 0  # operations before this number have their interval
        self._thread = 0

    def place(self) -> Place:
        """Where the kernel that runs now belongs."""
        node = _current_node()
        here = self._inside[-1] if self._inside else Place(OUTSIDE, False)
        if node is None:
            return self._by_frames(here) if here.module in self._above else here
        if here.backward:  # a forward pass run again inside the backward pass: checkpointing
            return here
        return Place(self._of_node(node) or here.module, True)

    def _by_frames(self, here: Place) -> Place:
        # The innermost frame whose ``self`` is a module. That of the hook's call is one of them.
        if not self._numbers or threading.get_ident() != self._thread:
            return here
        module = OUTSIDE
        frame = sys._getframe(1)
        while frame is not None and not module:
            code = frame.f_code
            if code.co_argcount and code.co_varnames[0] == "self":
                module = self._numbers.get(id(frame.f_locals.get("self")), OUTSIDE)
            frame = frame.f_back  # type: ignore[assignment]  # None outside the outermost
        start = _sequence()  # autograd has numbered this operation already, where it follows it
        if start > self._seen:
            self._begin(self._seen, module)
            self._seen = start
        return Place(module, here.backward)

    def _of_node(self, node: Any) -> int:
        number = node._sequence_nr()
        if number >= 2**63:  # the accumulation of a parameter's gradient
            return self._owners.get(id(getattr(node, "variable", None)), OUTSIDE)
        return self._modules[bisect_right(self._starts, number) - 1]

    @contextmanager
    def watch(self) -> Iterator[None]:
        """Follow the calls of modules in this thread while inside."""
        self._thread, self._seen = threading.get_ident(), _sequence()
        with ExitStack() as stack:
            if self._numbers:
                entered = register_module_forward_pre_hook(self._enter)
                stack.callback(entered.remove)
                left = register_module_forward_hook(self._leave, always_call=True)
                stack.callback(left.remove)
            yield

    def _enter(self, module: nn.Module, args: Any) -> None:
        number = self._number(module)
        if number:
            self.called[number] += 1
            self._inside.append(Place(number, _current_node() is not None))
            self._cut()

    def _leave(self, module: nn.Module, args: Any, result: Any) -> None:
        if self._number(module):
            self._inside.pop()
            self._cut()

    def _number(self, module: nn.Module) -> int:
        if threading.get_ident() != self._thread:
            return OUTSIDE
        return self._numbers.get(id(module), OUTSIDE)

    def _cut(self) -> None:
        self._seen = _sequence()
        self._begin(self._seen, self._inside[-1].module if self._inside else OUTSIDE)

    def _begin(self, start: int, module: int) -> None:
        if self._starts[-1] == start:
            self._modules[-1] = module
        elif self._modules[-1] != module:
            self._starts.append(start)
            self._modules.append(module)
