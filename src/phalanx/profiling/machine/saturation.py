"""Where a pass gains nothing from a larger batch or length, and its time at another setting."""

from collections.abc import Callable, Mapping, Sequence

from phalanx.errors import PhalanxError, UsageError, did_you_mean
from phalanx.profiling.executed import executed
from phalanx.profiling.machine.calibration import Speeds, speeds
from phalanx.profiling.machine.predict import predict
from phalanx.profiling.machine.resizing import resized, same_sequence, through
from phalanx.profiling.results import Mode, Prediction
from phalanx.profiling.subjects.subject import Subject
from phalanx.profiling.tracing.graph import Kernel

GAIN = 0.1  # a doubling that adds less to the tokens a second has saturated
LARGEST = {"batch": 1024, "length": 16_384}
_TRACED = {"batch": (2, 4), "length": (16, 32, 64)}
_LOOP = 64  # positions of a pass whose kernels grow in number with them
_NAMES = {"batch": "batch", "seq-len": "length", "threads": "threads"}


def saturation(
    subject: Subject,
    mode: Mode,
    speeds: Speeds,
    *,
    batch: int | None = None,
    length: int | None = None,
    traced: Sequence[int] = (),
) -> dict[str, int | None]:
    """The least power of two from which doubling adds less than GAIN to the tokens a second.

    Traced at a few small sizes and continued from there: the same kernels with sizes that grow
    as polynomials do, or, where their number grows, their time.

    Args:
        subject: the model.
        mode: the pass.
        speeds: of the machine.
        batch: rows while lengths grow; None: the subject's.
        length: positions while rows grow; None: the subject's.
        traced: lengths at which the pass is traced already; three of them do where its kernels
            are the same at each.

    Returns:
        ``batch`` and, unless it is decoding, ``length``: None where it does not saturate up to
        LARGEST or the model's greatest length. Nothing where the kernels cannot be had.
    """
    rows = subject.batch if batch is None else batch
    positions = subject.length if length is None else length
    found: dict[str, int | None] = {}
    lengths = _TRACED["length"]
    known = sorted(traced)[: len(lengths)]
    if mode != "decode" and len(known) == len(lengths) and _alike(subject, mode, rows, known):
        lengths = tuple(known)
    elif not _alike(subject, "forward" if mode == "decode" else mode, 1, lengths[:2]):
        positions = min(positions, _LOOP)  # of a loop, whose kernels are all alike
    seconds = _seconds(
        lambda size: _kernels(subject, mode, size, positions), _TRACED["batch"], speeds
    )
    if seconds is not None:
        found["batch"] = saturates(seconds, LARGEST["batch"])
    longest = min(LARGEST["length"], subject.context or LARGEST["length"])
    if mode != "decode" and longest >= max(lengths):
        seconds = _seconds(lambda size: _kernels(subject, mode, rows, size), lengths, speeds)
        if seconds is not None:
            found["length"] = saturates(seconds, longest)
    return found


def saturates(seconds: Callable[[int], float], largest: int) -> int | None:
    """The least power of two n from which 2n takes more than 2 / (1 + GAIN) the time of n, always.

    A step back to gains further on means that it had not saturated.
    """
    sizes = [2**i for i in range(largest.bit_length()) if 2 ** (i + 1) <= largest]
    times = {size: seconds(size) for size in (*sizes, 2 * sizes[-1])} if sizes else {}
    found = None
    for size in reversed(sizes):
        if 2 * times[size] / times[2 * size] >= 1 + GAIN:
            break
        found = size
    return found


def parse_setting(text: str) -> tuple[str, int]:
    """``batch=64``, ``seq-len=2048`` or ``threads=1`` as name (batch, length, threads) and number.

    Raises:
        UsageError: an unknown name, or no positive whole number.
    """
    name, equals, value = text.partition("=")
    if name not in _NAMES:
        raise UsageError(
            f"what-if {text!r}: {name!r} is no setting.{did_you_mean(name, _NAMES)} Expected "
            "NAME=NUMBER, such as batch=64, seq-len=2048 or threads=1."
        )
    if not equals or not value.isdecimal() or int(value) < 1:
        raise UsageError(
            f"what-if {text!r}: {value!r} is no positive whole number. Expected NAME=NUMBER, such "
            f"as {name}=64."
        )
    return _NAMES[name], int(value)


def what_if(
    subject: Subject,
    mode: Mode,
    setting: str | Mapping[str, int],
    speeds: Speeds,
    *,
    batch: int | None = None,
    length: int | None = None,
) -> Prediction:
    """The time of a pass at another setting, traced anew.

    Args:
        subject: the model.
        mode: the pass.
        setting: as ``parse_setting`` takes it, or its result: ``{"length": 2048}``.
        speeds: of the machine as it is; with other threads it is timed again, once.
        batch: what stays where the setting says nothing of it; None: the subject's.
        length: likewise.

    Raises:
        UsageError: the setting is none, or the model takes no such length.
        PhalanxError: the kernels of this machine cannot be had.
    """
    wanted = dict([parse_setting(setting)]) if isinstance(setting, str) else dict(setting)
    for name, value in wanted.items():
        if name not in _NAMES.values():
            known = did_you_mean(name, _NAMES.values())
            raise UsageError(f"what_if {name}={value}: no such setting.{known}")
        if value < 1:
            raise UsageError(f"what_if {name}={value}: expected a positive whole number.")
    rows = wanted.get("batch", subject.batch if batch is None else batch)
    positions = subject.checked(wanted.get("length", subject.length if length is None else length))
    found = executed(subject, mode, rows, positions)
    if isinstance(found, str) or found.length != positions:
        why = found if isinstance(found, str) else " ".join(found.said)
        raise PhalanxError(f"{subject.name}: no time can be predicted: {why}")
    other = _with_threads(speeds, wanted["threads"]) if "threads" in wanted else speeds
    shown = {inner: outer for outer, inner in _NAMES.items()}
    text = ", ".join(f"{shown[name]}={value}" for name, value in wanted.items())
    return predict(found.kernels, other, setting=text)


def _with_threads(here: Speeds, threads: int) -> Speeds:
    return here if here.key["threads"] == threads else speeds(here.key["device"], threads)


def _kernels(subject: Subject, mode: Mode, batch: int, length: int) -> Sequence[Kernel]:
    found = executed(subject, mode, batch, length)
    return [] if isinstance(found, str) or found.length != length else found.kernels


def _alike(subject: Subject, mode: Mode, batch: int, lengths: Sequence[int]) -> bool:
    return same_sequence([_kernels(subject, mode, batch, length) for length in lengths])


def _seconds(
    kernels: Callable[[int], Sequence[Kernel]], sizes: Sequence[int], speeds: Speeds
) -> Callable[[int], float] | None:
    """Predicted seconds at any size, from the kernels at some; None where they cannot be had."""
    traced = [kernels(size) for size in sizes]
    if not all(traced):
        return None
    if same_sequence(traced):
        return lambda size: predict(resized(traced, sizes, size), speeds).seconds
    times = [predict(each, speeds).seconds for each in traced]
    # A straight line: a curve through times would run away far beyond what was traced.
    return lambda size: max(min(times) / 2, through(sizes[-2:], times[-2:], size))
