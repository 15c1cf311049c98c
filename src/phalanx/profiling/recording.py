"""Profile whatever runs inside a ``with``: a loop, a custom step, several modules at once."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Literal

from torch import Tensor, nn

from phalanx.profiling.findings import findings
from phalanx.profiling.results import Laws, LengthPoint, Pass, Profile
from phalanx.profiling.tracing.origins import tensors_in
from phalanx.profiling.tracing.trace import Tracer
from phalanx.profiling.tracing.traced import TraceWarning
from phalanx.profiling.tracing.tree import critical_path, module_tree


class Recording:
    """What ran inside ``record``; ``profile`` is there when the block has ended."""

    def __init__(self) -> None:
        self._profile: Profile | None = None

    @property
    def profile(self) -> Profile:
        """The profile, with one pass, ``run``.

        Raises:
            RuntimeError: the block has not ended, or it ended with an exception.
        """
        if self._profile is None:
            raise RuntimeError("the profile is there once the block of record() has ended well.")
        return self._profile

    def end(self, profile: Profile) -> None:
        """Keep the profile."""
        self._profile = profile


@contextmanager
def record(
    *known: object,
    module: nn.Module | None = None,
    name: str = "run",
    column: Literal["algorithm", "executed"] = "algorithm",
) -> Iterator[Recording]:
    """Profile whatever runs inside, on the tensors that it runs on, wherever they are.

        with phalanx.record(model, batch, module=model) as recording:
            model(batch).sum().backward()
        print(recording.profile.passes["run"].algorithm.span)

    It runs as it would without, only slower. There are no laws and no second column: what runs
    inside is run once.

    Args:
        known: modules and tensors that exist beforehand; others that turn up are orphans, and
            count as depending on everything before them.
        module: attribute kernels to its submodules.
        name: of the profile.
        column: ``algorithm`` decomposes fused kernels, ``executed`` leaves them whole.
    """
    recording = Recording()
    root = nn.Module() if module is None else module
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TraceWarning)
        with Tracer(*known, algorithm=column == "algorithm", root=root) as tracer:
            yield recording
    recording.end(_profile(tracer, root, name, (root, known)))


def _profile(tracer: Tracer, root: nn.Module, name: str, known: object) -> Profile:
    trace = tracer.result()
    said = [
        "1 multiply-add counts as 2 FLOPs.",
        "bytes are those that kernels read and write, without caches.",
        "all work counts as useful.",
    ]
    said += [s for s in (trace.about_orphans, trace.about_unknown) if s]
    devices = sorted({tensor.device.type for tensor in tensors_in(known)})
    found = Pass(
        mode="run",
        batch=0,
        length=0,
        algorithm=trace.figures,
        executed=None,
        useful_work=float(trace.work),
        fused=trace.fused,
        coverage=trace.coverage,
        unknown=trace.unknown,
        orphans=trace.orphans,
        element_depth=None,
        element_length=None,
        tree=module_tree(tracer, root),
        path=critical_path(tracer, root),
        laws=Laws(),
        points=(LengthPoint(0, trace.figures, float(trace.work)),),
        traced_on=", ".join(devices) or "cpu",
    )
    parameters = list(root.parameters())
    result = Profile(
        name=name,
        kind=type(root).__name__,
        parameters=sum(parameter.numel() for parameter in parameters),
        parameter_bytes=sum(_bytes(parameter) for parameter in parameters),
        passes={"run": found},
        assumptions=tuple(said),
    )
    return replace(result, findings=findings(result))


def _bytes(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()
