"""What this machine would launch for a pass: fused kernels whole, traced without running them.

Fake tensors are on the CPU to all who ask, so that torch takes the kernels that it would take
there (oneDNN's recurrent layers, flash attention, the encoder's fast path), and hold no memory.
"""

import warnings
from dataclasses import dataclass

from torch import nn

from phalanx.profiling.results import Mode
from phalanx.profiling.subjects.blame import blame
from phalanx.profiling.subjects.subject import Call, Subject
from phalanx.profiling.tracing.graph import Kernel
from phalanx.profiling.tracing.trace import Tracer
from phalanx.profiling.tracing.traced import Trace, TraceWarning

LONGEST_RUN = 64  # positions of a pass that has to be run to be seen
LARGEST_RUN = 50_000_000  # parameters of its module


@dataclass(frozen=True)
class Executed:
    """A pass as it is executed.

    Args:
        trace: its totals.
        kernels: in order, each with those that it waits for.
        length: at which it was traced: the one asked for, or a shorter one.
        said: what was assumed, in sentences.
    """

    trace: Trace
    kernels: list[Kernel]
    length: int
    said: tuple[str, ...] = ()


def executed(
    subject: Subject, mode: Mode, batch: int, length: int, device: str = "cpu"
) -> Executed | str:
    """A pass as this machine executes it, or why it cannot be had, in a sentence.

    On the CPU nothing is run, unless fake tensors do not do; on ``cuda`` the pass is run. Traced
    once: the subject keeps it.
    """
    asked = mode, batch, length, device
    if asked not in subject.executed:
        subject.executed[asked] = _executed(subject, *asked)
    found: Executed | str = subject.executed[asked]
    return found


def _executed(subject: Subject, mode: Mode, batch: int, length: int, device: str) -> Executed | str:
    if device == "cuda":
        return _traced(subject.call(mode, batch, length, device), length, subject.build(device))
    try:
        fake = subject.fake()
        with fake.mode:
            call = subject.call(mode, batch, length, "cpu", module=fake.module)
            return _traced(call, length, fake.module)
    except Exception as error:
        why = blame(error)
    if subject.why_not_real or subject.size > LARGEST_RUN:
        return f"the executed column is missing: fake tensors do not do ({why})."
    shorter = min(length, LONGEST_RUN)
    said = f"the executed column is of a real run: fake tensors do not do ({why})."
    if shorter < length:
        said = said[:-1] + f", at T = {shorter} instead of {length}."
    try:
        module = subject.build("cpu")
        found = _traced(subject.call(mode, batch, shorter, "cpu"), shorter, module)
    except Exception as error:
        return f"the executed column is missing: {blame(error)}."
    return Executed(found.trace, found.kernels, shorter, (said,))


def executed_kernels(subject: Subject, mode: Mode, batch: int, length: int) -> list[Kernel]:
    """The kernels of a pass as this machine's CPU executes it, in order; [] where not to be had."""
    found = executed(subject, mode, batch, length)
    return [] if isinstance(found, str) else found.kernels


def _traced(call: Call, length: int, root: nn.Module) -> Executed:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TraceWarning)
        with Tracer(call, algorithm=False, root=root) as tracer:
            call()
    return Executed(tracer.result(), tracer.kernels(), length)
