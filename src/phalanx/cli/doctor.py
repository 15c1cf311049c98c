"""``phalanx doctor``: what this machine offers, and what that means for training here."""

import shutil
import sysconfig
import textwrap
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from phalanx.cli.common import Json, print_json

if TYPE_CHECKING:
    from phalanx.profiling.machine.hardware import Peaks


@dataclass(frozen=True)
class Finding:
    """One fact about the machine.

    Args:
        name: what it is about.
        value: what was found.
        meaning: what follows from it, in one line.
        good: False where something could be better, and ``meaning`` says what to do.
    """

    name: str
    value: str
    meaning: str
    good: bool = True


def doctor(*, json: Json = False) -> None:
    """Show what this machine offers for training and generation, and what that means.

    Takes about two seconds: matrix products and memory are measured, not looked up.
    """
    from phalanx.profiling.machine.hardware import facts, peaks

    found = facts()
    device = "cuda" if found["gpu"] else "cpu"
    findings = diagnose(found, peaks(device, seconds=0.2), *_surroundings())
    if json:
        print_json({"facts": found, "findings": [asdict(finding) for finding in findings]})
        return
    indent = " " * (4 + max(len(finding.name) for finding in findings))
    width = max(shutil.get_terminal_size().columns, 60)
    for finding in findings:
        mark = "  " if finding.good else "! "
        print(f"{mark}{finding.name}".ljust(len(indent)) + finding.value)
        print(
            textwrap.fill(finding.meaning, width, initial_indent=indent, subsequent_indent=indent)
        )


def diagnose(
    found: Mapping[str, Any], peaks: "Peaks", free_bytes: int, headers: bool
) -> list[Finding]:
    """What the facts of a machine mean.

    Args:
        found: ``profiling.hardware.facts()``.
        peaks: ``profiling.hardware.peaks()`` of the device that ``--device auto`` takes.
        free_bytes: free disk space where runs are written.
        headers: whether Python's C headers are installed.
    """
    return [
        Finding("processor", f"{found['processor']}, {found['system']}", _speed(peaks)),
        _threads(found["threads"], found["cores"]),
        _wait_policy(found["wait_policy"]),
        _bf16(found["bf16"], peaks),
        _compiler(found["compiler"], headers),
        _gpu(found["gpu"]),
        Finding(
            "small kernels",
            f"{peaks.launch * 1e6:.1f} microseconds each",
            "A chain of dependent steps cannot go faster than this a step, however small they are.",
        ),
        _disk(free_bytes),
        Finding(
            "versions",
            f"phalanx {found['phalanx'] or 'from source'}, torch {found['torch']}, "
            f"Python {found['python']}",
            "Put these into a report of a problem.",
        ),
    ]


def _speed(peaks: "Peaks") -> str:
    speeds = " and ".join(f"{flops / 1e9:.0f} in {name}" for name, flops in peaks.flops.items())
    return (
        f"Matrix products reach {speeds} (GFLOP/s); memory gives {peaks.bandwidth / 1e9:.0f} GB/s."
    )


def _threads(threads: int, cores: int) -> Finding:
    value = f"{threads} for {cores} usable cores"
    if threads > cores:
        meaning = f"More threads than cores wait for each other: set OMP_NUM_THREADS={cores}."
        return Finding("threads", value, meaning, good=False)
    if threads < cores:
        meaning = f"Some cores stand idle: OMP_NUM_THREADS={cores} would use them all."
        return Finding("threads", value, meaning, good=False)
    return Finding("threads", value, "A kernel's work is split over all cores.")


def _wait_policy(policy: str | None) -> Finding:
    meanings = {
        None: "Threads spin a while after a kernel: fast when phalanx is alone on the machine. If "
        "it shares the cores, set OMP_WAIT_POLICY=PASSIVE.",
        "active": "Threads spin between kernels: fast alone, very slow beside other programs.",
        "passive": "Threads sleep between kernels: a little slower alone, safe beside others.",
    }
    known = policy.lower() if policy else None
    meaning = meanings.get(known, "Not a value that OpenMP knows: expected ACTIVE or PASSIVE.")
    return Finding("OMP_WAIT_POLICY", policy or "not set", meaning, good=known in meanings)


def _bf16(instructions: list[str], peaks: "Peaks") -> Finding:
    ratio = peaks.flops["bfloat16"] / peaks.flops["float32"]
    value = ", ".join(instructions) or "no instructions for it in the processor"
    if ratio > 1.1:
        meaning = f"Matrix products in bfloat16 are {ratio:.1f} times as fast as in float32 here."
        return Finding("bfloat16", value, meaning)
    meaning = f"bfloat16 is no faster here ({ratio:.1f} times float32): stay with float32."
    return Finding("bfloat16", value, meaning)


def _compiler(path: str | None, headers: bool) -> Finding:
    if path is None:
        meaning = "torch.compile needs one; without it all runs eagerly. Install g++ or clang++."
        return Finding("C++ compiler", "none", meaning, good=False)
    if not headers:
        meaning = "torch.compile also needs Python's headers (python3-dev); all runs eagerly."
        return Finding("C++ compiler", f"{path}, no Python.h", meaning, good=False)
    return Finding("C++ compiler", path, "torch.compile can fuse small operations into one kernel.")


def _gpu(name: str | None) -> Finding:
    if name is None:
        return Finding("GPU", "none that torch sees", "--device auto takes the processor.")
    return Finding("GPU", name, "--device auto takes it: thousands of lanes, so width is cheap.")


def _disk(free_bytes: int) -> Finding:
    gigabytes = free_bytes / 1e9
    enough = gigabytes >= 2
    room = "A small run takes a few megabytes, the 124M model 0.5 GB for each copy kept."
    meaning = room if enough else f"{room} Make room, or write elsewhere with --output."
    return Finding("disk", f"{gigabytes:.0f} GB free here", meaning, enough)


def _surroundings() -> tuple[int, bool]:
    headers = Path(sysconfig.get_path("include"), "Python.h").exists()
    return shutil.disk_usage(Path.cwd()).free, headers
