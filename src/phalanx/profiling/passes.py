"""One pass of a subject, traced at several lengths and put together as a result."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch

from phalanx.errors import PhalanxError
from phalanx.profiling.elements.depth import element_depth
from phalanx.profiling.executed import Executed, executed
from phalanx.profiling.results import Laws, LengthPoint, Mode, Pass
from phalanx.profiling.span import Law, WorkLaw
from phalanx.profiling.subjects.blame import blame
from phalanx.profiling.subjects.decoding import RecurrentSteps, Undecodable
from phalanx.profiling.subjects.modules import LARGEST_CHECK
from phalanx.profiling.subjects.subject import DecodeStep, Subject, seeded
from phalanx.profiling.tracing.calls import trace_calls
from phalanx.profiling.tracing.trace import Tracer
from phalanx.profiling.tracing.traced import Trace, TraceWarning
from phalanx.profiling.tracing.tree import critical_path, module_tree

LENGTHS_FOR_A_LAW = 4  # three determine a law of T and T squared, the fourth checks it
LONGEST_REAL = 64  # positions of a pass that has to run on real tensors
ELEMENT_LENGTHS = (4, 6, 8, 12)
_LEAST = 3
_STEP = 2  # kernels that a chain may differ from its law by: the logarithm is rounded up
_CALLS = 3
_FUSED = ("_scaled_dot_product", "mkldnn_rnn", "_transformer_encoder", "_native_multi_head")


@dataclass(frozen=True)
class Made:
    """A pass, what was assumed about it in sentences, and whether decoding was seen to be serial.

    ``serial`` is None where it was not followed.
    """

    found: Pass
    said: tuple[str, ...]
    serial: bool | None = None


def lengths_for_a_law(lengths: Sequence[int]) -> list[int]:
    """The lengths, and so many more below the greatest that a law can be found.

    Halves of the least come first, then what lies in the widest gaps. A length of one or two is a
    case of its own for many kernels, and is not added unless there is nothing else.
    """
    wanted = sorted(set(lengths))
    while len(wanted) < min(LENGTHS_FOR_A_LAW, wanted[-1]):
        half = wanted[0] // 2
        if half >= _LEAST:
            wanted.insert(0, half)
        else:
            inside = [(high - low, low) for low, high in pairwise(wanted) if high - low > 1]
            gap, low = max(inside, default=(wanted[0], 0))
            wanted = sorted([*wanted, low + gap // 2])
    return wanted


def make_pass(
    subject: Subject, mode: Mode, batch: int, lengths: Sequence[int], device: str = "meta"
) -> Made:
    """Trace a pass at each length and say all that follows.

    Args:
        subject: what to profile.
        mode: which pass.
        batch: rows.
        lengths: positions, the greatest of which is what the figures are of.
        device: ``meta``, ``cpu`` or ``cuda``; where meta will not do, the CPU at small lengths.

    Raises:
        PhalanxError: the module raises.
        UsageError: it takes no such length, or has no such pass.
    """
    traces, tracer, device, said = _at_lengths(subject, mode, batch, lengths, device)
    length = max(traces)
    trace = traces[length]
    module = subject.build(device)
    laws, more = _laws(subject, mode, traces)
    said += more
    said += _between(subject, mode, batch, laws, device)
    whole = executed(subject, mode, batch, length, device)
    if isinstance(whole, str):
        said.append(whole)
    else:
        said += list(whole.said)
    depth, at, depth_law, more = _element_depth(subject, mode, traces)
    said += more
    useful = {t: _useful(laws.useful, t, found.work) for t, found in traces.items()}
    points = {
        t: LengthPoint(t, found.figures, useful[t], depth.get(t)) for t, found in traces.items()
    }
    cached, state_bytes, serial = None, None, None
    if mode == "decode":
        cached, state_bytes = _state(subject, batch, length, device)
        serial = _serial(subject, device)
    other = None if isinstance(whole, str) else whole.trace
    found = Pass(
        mode=mode,
        batch=batch,
        length=length,
        algorithm=trace.figures,
        executed=None if other is None else other.figures,
        useful_work=useful[length],
        fused=_fused(whole),
        coverage=min(trace.coverage, 1.0 if other is None else other.coverage),
        unknown=_merged(trace.unknown, other.unknown if other else {}),
        orphans=_merged(trace.orphans, other.orphans if other else {}),
        element_depth=depth.get(at) if at else None,
        element_length=at,
        tree=module_tree(tracer, module),
        path=critical_path(tracer, module),
        laws=Laws(laws.work, laws.matmul, laws.useful, laws.span, laws.scalar_span, depth_law),
        points=tuple(points[t] for t in sorted(points)),
        traced_on=device,
        state_bytes=state_bytes,
        cached=cached,
    )
    return Made(found, (*said, *_about(trace)), serial)


def _about(trace: Trace) -> list[str]:
    return [sentence for sentence in (trace.about_orphans, trace.about_unknown) if sentence]


def _at_lengths(
    subject: Subject, mode: Mode, batch: int, lengths: Sequence[int], device: str
) -> tuple[dict[int, Trace], Tracer, str, list[str]]:
    """Traces by length, the tracer of the greatest, where they ran, and what is to be said."""
    wanted = lengths_for_a_law([subject.checked(length) for length in lengths])
    said: list[str] = []
    why = subject.why_not_meta
    if device == "meta" and not why:
        try:
            tracer = trace_pass(subject, mode, batch, wanted[-1], device)
        except PhalanxError:
            raise
        except Exception as error:
            why = blame(error)
    if device == "meta" and why:
        device, given = "cpu", wanted
        short = [t for t in wanted if t <= LONGEST_REAL] or [LONGEST_REAL]
        wanted = lengths_for_a_law(short)
        said.append(
            f"meta tensors do not do ({why}), so real ones were traced on the CPU"
            + (f", at T = {wanted[-1]} at most." if wanted != given else ".")
        )
        _real(subject)
    if device != "meta":
        try:
            tracer = trace_pass(subject, mode, batch, wanted[-1], device)
        except PhalanxError:
            raise
        except Exception as error:
            raise PhalanxError(
                f"{subject.name}: in the {mode} pass at T = {wanted[-1]} the module raised "
                f"{blame(error)}."
            ) from error
    traces = {wanted[-1]: tracer.result()}
    for length in wanted[:-1]:
        try:
            traces[length] = trace_pass(subject, mode, batch, length, device).result()
        except Exception as error:
            said.append(f"the module refuses T = {length} ({blame(error)}).")
    return traces, tracer, device, said


def trace_pass(subject: Subject, mode: Mode, batch: int, length: int, device: str) -> Tracer:
    """The tracer after one pass, fused kernels decomposed."""
    with seeded(), warnings.catch_warnings():
        warnings.simplefilter("ignore", TraceWarning)
        call = subject.call(mode, batch, length, device)
        with Tracer(call, root=subject.build(device)) as tracer:
            call()
    return tracer


def _real(subject: Subject) -> None:
    if subject.why_not_real:
        raise PhalanxError(
            f"{subject.name}: meta tensors do not do, and {subject.why_not_real} Build it on the "
            "CPU."
        )


def _laws(subject: Subject, mode: Mode, traces: Mapping[int, Trace]) -> tuple[Laws, list[str]]:
    lengths = ", ".join(str(t) for t in sorted(traces))
    work = matmul = useful = None
    said = []
    if len(traces) >= LENGTHS_FOR_A_LAW:
        work = WorkLaw.through({t: found.work for t, found in traces.items()})
        matmul = WorkLaw.through({t: found.matmul_work for t, found in traces.items()})
        if not work.exact:
            said.append(
                f"the work is no exact a + bT + cT^2 at T = {lengths}; the three "
                "coefficients go through the first three."
            )
        # Products of every pair of positions are attention's; other work may be quadratic too.
        halved = subject.causal and mode != "decode" and work.exact and matmul.quadratic > 0
        useful = work.causal if halved else work
        if halved:
            said.append(
                "useful work counts T (T + 1) / 2 of the T^2 pairs of positions, since "
                "the model is causal."
            )
        if subject.causal is None and matmul.quadratic:
            said.append("whether the model is causal is not known; all work counts as useful.")
    else:
        said.append(f"no law of the work: it was traced at T = {lengths} only.")
    if len(traces) < 3:
        return Laws(work, matmul, useful), said
    span = Law.fit({t: found.span for t, found in traces.items()})
    scalar = Law.fit({t: found.scalar_span for t, found in traces.items()})
    return Laws(work, matmul, useful, span, scalar), said


def _between(subject: Subject, mode: Mode, batch: int, laws: Laws, device: str) -> list[str]:
    """Whether the laws hold at an odd length between the two least, where all lengths are even.

    What is padded to a power of two, or done in chunks, is a straight line at round lengths alone.
    """
    if laws.work is None or laws.span is None or not laws.work.exact:
        return []
    (first, _), (second, _), *_ = laws.work.points
    at = (first + second) // 2 - 1 | 1
    if any(t % 4 for t, _ in laws.work.points) or not first < at < second:
        return []
    try:
        found = trace_pass(subject, mode, batch, at, device).result()
    except Exception:  # it takes round lengths alone, of which the laws are
        return []
    said = []
    expected = float(laws.work.at(at))
    if expected != found.work:
        said.append(
            f"the law of the work is exact at round lengths; at T = {at} the work is "
            f"{found.work:,}, {found.work / expected - 1:+.2%} off it: it grows in steps (chunks, "
            "or padding)."
        )
    law = laws.span
    if abs(found.span - law.at(at)) > max(_STEP, law.residual, 0.02 * found.span):
        said.append(
            f"at T = {at}, between the lengths of its law, the chain is {found.span:,} kernels "
            f"instead of {law.at(at):,.0f}: it grows in steps."
        )
    return said


def _useful(law: WorkLaw | None, length: int, work: int) -> float:
    return float(law.at(length)) if law is not None and law.exact else float(work)


def _element_depth(
    subject: Subject, mode: Mode, traces: Mapping[int, Trace]
) -> tuple[dict[int, float], int | None, Law | None, list[str]]:
    """Depths by length, the greatest length followed, the law, and what is to be said."""
    if subject.why_not_real or subject.size > LARGEST_CHECK:
        why = subject.why_not_real or f"more than {LARGEST_CHECK:,} parameters."
        return {}, None, None, [f"the element depth was not followed: {why}"]
    found: dict[int, float] = {}
    barriers: dict[str, int] = {}
    why = ""
    for length in ELEMENT_LENGTHS:
        if subject.context is not None and length > subject.context:
            break
        try:
            with seeded():
                call = subject.call(mode, 1, length, "cpu")
                followed = element_depth(call, subject.build("cpu"))
        except Exception as error:
            why = blame(error)
            continue
        found[length] = followed.depth
        barriers |= followed.barriers
    said = []
    if not found:
        return {}, None, None, [f"the element depth was not followed: {why}."]
    if barriers:
        said.append(
            f"the element depth is an upper bound: {', '.join(sorted(barriers))} count as "
            "if every result needed every operand."
        )
    law = Law.fit(found) if len(found) >= 3 else None
    far = max(traces)
    if law is not None and far > max(found) and law.at(far) > 1.05 * traces[far].span + 1:
        said.append(
            f"the element depth at T = {min(found)} to {max(found)} has no law that holds "
            f"at T = {far}: it would be longer than the chain of kernels."
        )
        law = None
    return found, max(found), law, said


def _fused(whole: Executed | str) -> dict[str, int]:
    if isinstance(whole, str):
        return {}
    counts = dict(whole.trace.fused)
    for kernel in whole.kernels:
        if kernel.name.startswith(_FUSED) and kernel.name not in whole.trace.fused:
            counts[kernel.name] = counts.get(kernel.name, 0) + 1
    return counts


def _merged(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    names = sorted({*one, *other})
    return {name: max(one.get(name, 0), other.get(name, 0)) for name in names}


def _state(subject: Subject, batch: int, length: int, device: str) -> tuple[bool, int]:
    step = subject.call("decode", batch, length, device)
    assert isinstance(step, DecodeStep)
    return step.driver.cached, step.state_bytes() // batch


def _serial(subject: Subject, device: str) -> bool | None:
    """Whether each of a few tokens was traced to need the one before; None: none is fed back."""
    driver = subject.driver
    if isinstance(driver, Undecodable):
        return None
    if isinstance(driver, RecurrentSteps) and not driver.feeds_back:
        return None
    module = subject.build(device)
    module.eval()
    context = 4
    if subject.context is not None and context + _CALLS > subject.context:
        return None
    with warnings.catch_warnings(), driver.no_gradients():
        warnings.simplefilter("ignore", TraceWarning)
        token, state = driver.start(module, 1, context, device, room=_CALLS)
        held: list[Any] = [state]

        def call(t: int, token: torch.Tensor) -> torch.Tensor:
            chosen, held[0] = driver.step(module, token, held[0])
            return chosen

        return all(trace_calls(call, token, _CALLS, module).needs_last)
