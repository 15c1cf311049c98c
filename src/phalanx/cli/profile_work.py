"""What ``phalanx profile`` does for each target, and what it says on the way."""

import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from phalanx.cli.common import TERMINATED, note
from phalanx.errors import PhalanxError

if TYPE_CHECKING:
    from phalanx.profiling.machine.calibration import Speeds
    from phalanx.profiling.results import Profile
    from phalanx.profiling.subjects.subject import Subject

_BATCHES = (1, 2, 4, 8)  # times the batch that is profiled
_STARTED = time.perf_counter()


@dataclass(frozen=True)
class Request:
    """What was asked for, of every target.

    Args:
        lengths: to trace; None: the target's own.
        batch: rows; None: the target's own.
        mode: one mode, or ``all``.
        device: ``meta``, ``cpu`` or ``cuda``.
        size: parameters of a preset outside its tables; None: its own.
        predict: whether times are predicted.
        what_if: other settings to predict, ``{"batch": 64}`` or ``{"length": 2048}``.
        measured_seconds: wall time for measurements of each target; None: none are made.
    """

    lengths: tuple[int, ...] | None
    batch: int | None
    mode: str
    device: str
    size: int | None
    predict: bool
    what_if: tuple[dict[str, int], ...]
    measured_seconds: float | None


class Work:
    """Profiles targets one by one and keeps what was found.

    Args:
        request: what was asked for.

    Attributes:
        done: profiles, in order.
        failed: what went wrong, by target.
    """

    def __init__(self, request: Request) -> None:
        self._request = request
        self.done: list[Profile] = []
        self.failed: dict[str, str] = {}

    def do(self, target: str, *, alone: bool) -> None:
        """Profile one target; what fails, in whatever way, is said and noted in ``failed``.

        Raises:
            Exception: it failed, and there is no other (``alone``).
        """
        try:
            with _warnings_as_notes(target):
                self._do(target)
        except Exception as error:
            if alone:
                raise
            what = str(error) if isinstance(error, PhalanxError) else _unexpected(target, error)
            self.failed[target] = what
            note(f"phalanx: {what}")
        except SystemExit as stop:
            if stop.code == TERMINATED:
                raise  # we are told to end; anything else is the target's own code
            what = f"{target}: its code ended the program: sys.exit({stop.code!r})."
            if alone:
                raise PhalanxError(what) from None
            self.failed[target] = what
            note(f"phalanx: {what}")

    def _do(self, target: str) -> None:
        from phalanx.profiling.profile import profile_subject
        from phalanx.profiling.subjects.subject import subjects_from
        from phalanx.training.precision import choose_device

        asked = self._request
        if asked.device != "meta":
            choose_device(asked.device)
        _say(f"{target}: tracing")
        lengths = [*(asked.lengths or ()), *(s.get("length", 0) for s in asked.what_if)]
        (subject,) = subjects_from([target], longest=max(lengths, default=None), size=asked.size)
        speeds = _speeds() if asked.predict else None
        self.done.append(
            profile_subject(
                subject,
                asked.mode,
                lengths=asked.lengths,
                batch=asked.batch,
                device=asked.device,
                speeds=speeds,
                what_if=asked.what_if,
            )
        )
        if asked.measured_seconds is not None:
            self._measure(subject, speeds)

    def _measure(self, subject: "Subject", speeds: "Speeds | None") -> None:
        from phalanx.profiling.machine.measure import measure

        asked = self._request
        assert asked.measured_seconds is not None
        _say(f"{subject.name}: measuring, {asked.measured_seconds:.0f} s at most")
        profile = self.done[-1]
        passes = list(profile.passes.values())
        batch = passes[0].batch
        found = measure(
            subject,
            tuple(profile.passes),
            sorted({point.length for one in passes for point in one.points}),
            [batch * factor for factor in _BATCHES],
            _threads(),
            seconds=asked.measured_seconds,
            device="cuda" if asked.device == "cuda" else "cpu",
            speeds=speeds,
        )
        self.done[-1] = replace(profile, measured=found)


def _unexpected(target: str, error: Exception) -> str:
    said = " ".join(str(error).split())[:300]
    where = "Profiled alone with PHALANX_DEBUG=1 it shows where."
    return f"{target}: unexpected {type(error).__name__}: {said}. {where}"


@contextmanager
def _warnings_as_notes(target: str) -> Iterator[None]:
    """Each different warning of the target's code and its libraries once, in a line."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    for said in dict.fromkeys(" ".join(str(one.message).split()) for one in caught):
        note(f"{target}: warning: {said[:200]}")


def _say(text: str) -> None:
    note(f"[{time.perf_counter() - _STARTED:5.1f} s] {text}")


def _threads() -> list[int]:
    """1, 2, 4 ... and all cores that this process may use."""
    from phalanx.profiling.machine.hardware import usable_cores

    cores = usable_cores()
    return sorted({cores, *(2**n for n in range(cores.bit_length()) if 2**n <= cores)})


def _speeds() -> "Speeds":
    from phalanx.profiling.machine.calibration import key_of, path_of, speeds

    if not path_of(key_of("cpu")).exists():
        _say("measuring the speeds of this machine, once: about 20 s (--no-predict: not now)")
    return speeds()
