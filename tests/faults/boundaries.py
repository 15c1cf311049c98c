"""Dying at a chosen step of a transaction: what a crash between any two of them leaves behind."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

from phalanx import durable

STEPS = ("_write", "_sync", "_sync_directory", "_rename")


def count_boundaries(work: Callable[[], object]) -> int:
    """How many writes, fsyncs and renames some work takes."""
    calls = 0

    def tick(_: str) -> None:
        nonlocal calls
        calls += 1

    with_hook(tick, work)
    return calls


def killed_at(boundary: int, work: Callable[[], object], *, torn: bool = False) -> None:
    """Do some work in a child process that is killed right before its n-th boundary.

    With ``torn`` a write gets half way first.
    """
    child = os.fork()
    if child:
        _, status = os.waitpid(child, 0)
        assert os.WIFSIGNALED(status), f"the child ended by itself: {status}"
        assert os.WTERMSIG(status) == signal.SIGKILL
        return
    left = boundary

    def tick(name: str) -> None:
        nonlocal left
        if left == 0:
            if torn and name == "_write":
                durable._write = half  # type: ignore[assignment]  # the last call it will see
                return
            os.kill(os.getpid(), signal.SIGKILL)
        left -= 1

    def half(path: Path, data: bytes) -> None:
        path.write_bytes(data[: len(data) // 2])
        os.kill(os.getpid(), signal.SIGKILL)

    try:
        with_hook(tick, work)
    finally:
        os._exit(1)


def with_hook(hook: Callable[[str], None], work: Callable[[], object]) -> None:
    """Do some work with ``hook`` called before each boundary."""
    before = {name: getattr(durable, name) for name in STEPS}

    def wrapped(name: str) -> Callable[..., object]:
        def call(*arguments: object) -> object:
            hook(name)
            now = getattr(durable, name)
            return (before[name] if now is hooked[name] else now)(*arguments)

        return call

    hooked = {name: wrapped(name) for name in STEPS}
    try:
        for name, call in hooked.items():
            setattr(durable, name, call)
        work()
    finally:
        for name, call in before.items():
            setattr(durable, name, call)
