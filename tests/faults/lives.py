"""A run of `phalanx train --resume auto` in many lives: killed, begun again, until it is done.

The process that imports torch is forked for every life, before it computes anything: a life costs
its own work and not the import. Used by test_kills.py (seconds) and soak.py (an hour).
"""

import hashlib
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
import torch._dynamo  # by every life otherwise, for a second each
from boundaries import STEPS

from phalanx import durable
from phalanx.cli.main import main

DONE, INTERRUPTED, TERMINATED = 0, 130, 143
# Imported in every life otherwise, for some tenths of a second each.
import phalanx.training.session  # noqa: E402, F401


@dataclass
class Lives:
    """What became of the lives of a run.

    Args:
        ends: how each ended: an exit code, or minus the signal that ended it.
        said: what each said on stderr.
    """

    ends: list[int] = field(default_factory=list)
    said: list[str] = field(default_factory=list)

    def count(self, end: int) -> int:
        """How many ended so."""
        return self.ends.count(end)


def live(command: Sequence[str], log: Path, before: Callable[[], object] = lambda: None) -> int:
    """Begin a life; returns its process. ``before`` runs in it first."""
    child = os.fork()
    if child:
        return child
    code = 99
    try:
        out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(out, 1)
        os.dup2(out, 2)
        sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w", buffering=1)
        torch.set_num_threads(1)
        before()
        code = main(command)
        sys.stdout.flush()
    finally:
        os._exit(code)


def end_of(child: int) -> int:
    """Wait for a life to end; an exit code, or minus the signal."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def wait(child: int, seconds: float) -> int | None:
    """Wait so long for a life to end; None while it has not."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        found, status = os.waitpid(child, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        time.sleep(min(0.002, seconds / 10))
    return None


def wait_for_step(child: int, run: Path, step: int) -> int | None:
    """Wait until a life has recorded a step; its end, where that came first."""
    record = run / "metrics.jsonl"
    line = f'"step": {step},'
    while not (record.is_file() and line in record.read_text()):
        end = wait(child, 0.002)
        if end is not None:
            return end
    return None


def disturbed(
    command: Sequence[str],
    log: Path,
    moment: Callable[[int, Lives], int | None],
    *,
    choose: Callable[[], signal.Signals],
    enough: Callable[[Lives], bool],
    tell: Callable[[Lives], object] = lambda _: None,
) -> Lives:
    """Send each life a signal, until that is enough; then let one finish.

    Args:
        command: of every life.
        log: where a life writes what it says.
        moment: waits for the moment of the signal, given the process and the lives so far; returns
            how it ended, where it ended by itself.
        choose: which signal.
        enough: whether the next life is left in peace.
        tell: called after each life.
    """
    lives = Lives()
    while True:
        child = live(command, log)
        peace = enough(lives)
        end = None if peace else moment(child, lives)
        if end is None:
            if not peace:
                os.kill(child, choose())
            end = end_of(child)
        lives.ends.append(end)
        lives.said.append(log.read_text())
        tell(lives)
        if peace or end == DONE:
            return lives


def die_at(boundary: int) -> Callable[[], None]:
    """Something to run first in a life: it is killed right before its n-th write, fsync, rename."""

    def hook() -> None:
        left = boundary
        for name in STEPS:
            original = getattr(durable, name)

            def call(*arguments: object, original: Callable[..., object] = original) -> object:
                nonlocal left
                if left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                left -= 1
                return original(*arguments)

            setattr(durable, name, call)

    return hook


def result(run: Path) -> dict[str, object]:
    """What two equal runs have in common: the last tensors, and every step and validation."""
    last = run / "last"
    durable.verify(last)
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    record = [
        {key: value for key, value in line.items() if key != "seconds"}
        for line in lines
        if line["kind"] in ("step", "validation")
    ]
    files = ("model.safetensors", "training.safetensors")
    digests = {name: hashlib.sha256((last / name).read_bytes()).hexdigest() for name in files}
    values = json.loads((last / "training.json").read_text())
    values = {key: value for key, value in values.items() if "seconds" not in key}
    best = hashlib.sha256((run / "best" / "model.safetensors").read_bytes()).hexdigest()
    return {**digests, "best": best, "record": record, "values": values}
