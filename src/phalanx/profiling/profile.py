"""``phalanx.profile``: how parallel a module is when it trains, runs and decodes."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from torch import nn

from phalanx.errors import PhalanxError, UsageError, did_you_mean
from phalanx.profiling.elements.positions import positions
from phalanx.profiling.executed import executed
from phalanx.profiling.findings import findings
from phalanx.profiling.machine.calibration import Speeds
from phalanx.profiling.machine.predict import predict
from phalanx.profiling.machine.roofline import roofline
from phalanx.profiling.machine.saturation import saturation
from phalanx.profiling.machine.saturation import what_if as at_setting
from phalanx.profiling.passes import Made, lengths_for_a_law, make_pass
from phalanx.profiling.results import MODES, Mode, Pass, Positions, Profile
from phalanx.profiling.subjects.blame import blame
from phalanx.profiling.subjects.decoding import Undecodable, assumed_of
from phalanx.profiling.subjects.fake import without_zeros
from phalanx.profiling.subjects.modules import LARGEST_CHECK, Loss, module_subject
from phalanx.profiling.subjects.subject import Subject, seeded

Setting = str | Mapping[str, int]

_DEVICES = ("meta", "cpu", "cuda")
_POSITIONS = 24  # of the matrices of hops
_GENERAL = (
    "1 multiply-add counts as 2 FLOPs.",
    "bytes are those that kernels read and write, without caches.",
)
_TRAINING = "training: forward, loss and backward; the optimizer's step is not counted."


def profile(
    module: nn.Module,
    example_inputs: object,
    mode: str = "train",
    *,
    lengths: Sequence[int] | None = None,
    batch: int | None = None,
    device: str = "meta",
    loss: Loss | None = None,
    seq_dim: int | None = None,
    speeds: Speeds | None = None,
    what_if: Sequence[Setting] = (),
    hops: bool = True,
    name: str = "",
) -> Profile:
    """Say how parallel a module is, and what sets the limit. The module itself is left untouched.

    Args:
        module: any ``torch.nn.Module``.
        example_inputs: what it is called with: a tensor, a tuple of arguments or a dict of
            keyword arguments, (B, T, ...) each.
        mode: ``train``, ``forward``, ``decode`` or ``all``.
        lengths: lengths T to trace; the greatest is the one reported. None: the example's, and
            three below it.
        batch: rows; None: the example's.
        device: ``meta`` (no memory, no arithmetic), ``cpu`` or ``cuda``.
        loss: ``loss(answer)``, a scalar of what the module returns. None: its own ``.loss`` if it
            returns one, else cross entropy against the ids, else the mean of squares.
        seq_dim: the axis of positions; None: 1, or 0 for layers of torch that are not batch_first.
        speeds: of this machine (``profiling.machine.calibration.speeds``): adds predicted times,
            the roofline, and where the speed stops growing.
        what_if: further settings to predict: "batch=64", "seq-len=2048", "threads=1".
        hops: follow how positions reach each other, too.
        name: of the profile; the class name by default.

    Raises:
        UsageError: the module, the inputs or an option is not what is expected.
        PhalanxError: the module raises when it is called.
    """
    subject = module_subject(module, example_inputs, name=name, loss=loss, seq_dim=seq_dim)
    return profile_subject(
        subject,
        mode,
        lengths=lengths,
        batch=batch,
        device=device,
        speeds=speeds,
        what_if=what_if,
        hops=hops,
    )


def profile_subject(
    subject: Subject,
    mode: str = "all",
    *,
    lengths: Sequence[int] | None = None,
    batch: int | None = None,
    device: str = "meta",
    speeds: Speeds | None = None,
    what_if: Sequence[Setting] = (),
    hops: bool = True,
) -> Profile:
    """As ``profile``, of a subject; ``all`` leaves out what it does not have, and says so.

    Raises:
        UsageError, PhalanxError: see ``profile``.
    """
    if device not in _DEVICES:
        raise UsageError(f"device {device!r}: expected one of {', '.join(_DEVICES)}.")
    if what_if and speeds is None:
        raise UsageError("what_if: given without speeds. Times are predicted from them.")
    rows = subject.batch if batch is None else batch
    if rows < 1:
        raise UsageError(f"batch {rows}: expected 1 or more.")
    if lengths is not None and not lengths:
        raise UsageError("lengths: given none. Expected one or more, such as (64, 128, 256, 512).")
    wanted = lengths_for_a_law([subject.length]) if lengths is None else lengths
    said = [*_GENERAL, *subject.assumptions]
    made: dict[Mode, Made] = {}
    failed: list[PhalanxError] = []
    for chosen in _modes(subject, mode, said):
        try:
            made[chosen] = make_pass(subject, chosen, rows, wanted, device)
        except PhalanxError as error:
            if mode != "all" or isinstance(error, UsageError):
                raise
            failed.append(error)
            said.append(f"{chosen}: left out: {error}")
    if not made:
        raise failed[0]
    if "train" in made:
        said.insert(len(_GENERAL), _TRAINING)
    said += _by_mode({chosen: one.said for chosen, one in made.items()})
    if "decode" in made and not isinstance(subject.driver, Undecodable):
        said += assumed_of(subject.driver)
    passes = {chosen: one.found for chosen, one in made.items()}
    if speeds is not None:
        passes = {chosen: _timed(subject, one, speeds, what_if) for chosen, one in passes.items()}
        said += [
            f"{chosen}: no time is predicted: the executed kernels are not known."
            for chosen, one in passes.items()
            if one.prediction is None
        ]
        if speeds.unsteady is not None:
            said.append(f"predicted times rest on speeds measured unsteadily: {speeds.unsteady}")
    reach = _positions(subject, said) if hops else None
    if isinstance(reach, str):
        said.append(f"positions: not followed: {reach}")
    result = Profile(
        name=subject.name,
        kind=subject.kind,
        parameters=subject.size,
        parameter_bytes=sum(p.numel() * p.element_size() for p in subject.shape.parameters()),
        passes=passes,
        positions=None if isinstance(reach, str) else reach,
        machine={} if speeds is None else _machine(speeds),
        assumptions=tuple(dict.fromkeys(said)),
    )
    serial = made["decode"].serial if "decode" in made else None
    return replace(result, findings=findings(result, serial))


def _machine(speeds: Speeds) -> dict[str, object]:
    """What predictions rest on: FLOP/s of products, bytes/s of memory, seconds of a launch."""
    measured = {"flops": speeds.peak, "bandwidth": speeds.bandwidth, "launch": speeds.launch}
    return {**speeds.key, **measured}


def _modes(subject: Subject, mode: str, said: list[str]) -> tuple[Mode, ...]:
    if mode != "all":
        for known in MODES:
            if mode == known:
                if mode == "decode" and not subject.decodes:
                    raise UsageError(
                        f"{subject.name} does not decode: {subject.why_not_decoded} Choose mode "
                        "train or forward."
                    )
                return (known,)
        raise UsageError(f"mode {mode!r}: {did_you_mean(mode, [*MODES, 'all']).strip()}")
    if not subject.decodes:
        said.append(f"decode: left out: {subject.why_not_decoded}")
    if not subject.learns:
        said.append("train: left out: no parameter and no input of numbers could learn.")
    return subject.modes()


def _by_mode(said: Mapping[Mode, Sequence[str]]) -> list[str]:
    """Sentences, each with the modes that it is about: "train, forward: ..."."""
    modes: dict[str, list[str]] = {}
    for mode, sentences in said.items():
        for sentence in dict.fromkeys(sentences):
            modes.setdefault(sentence, []).append(mode)
    return [f"{', '.join(about)}: {sentence}" for sentence, about in modes.items()]


def _timed(subject: Subject, found: Pass, speeds: Speeds, what_if: Sequence[Setting]) -> Pass:
    """The pass with predicted times; the same where the executed kernels cannot be had."""
    times = {}
    for point in found.points:
        whole = executed(subject, found.mode, found.batch, point.length, found.traced_on)
        if not isinstance(whole, str) and whole.length == point.length:
            times[point.length] = predict(whole.kernels, speeds)
    if found.length not in times or found.executed is None:
        return found
    sizes = {"batch": found.batch, "length": found.length}
    points = tuple(
        replace(point, predicted_seconds=times[point.length].seconds)
        if point.length in times
        else point
        for point in found.points
    )
    return replace(
        found,
        points=points,
        prediction=times[found.length],
        roofline=roofline(found.executed, times[found.length], speeds),
        saturation=saturation(subject, found.mode, speeds, **sizes, traced=tuple(times)),
        what_if=tuple(at_setting(subject, found.mode, s, speeds, **sizes) for s in what_if),
    )


def _positions(subject: Subject, said: list[str]) -> Positions | str:
    """How positions reach each other at a small length, or why it is not known, in a sentence."""
    if subject.why_not_real:
        return subject.why_not_real
    if subject.size > LARGEST_CHECK:
        return f"{subject.size:,} parameters; at most {LARGEST_CHECK:,} are run on real numbers."
    length = min(_POSITIONS, subject.context or _POSITIONS)
    try:
        with seeded():
            module, zeros = without_zeros(subject.build("cpu"))
            probe = subject.probe(module, length)
            if isinstance(probe, str):
                return probe
            if zeros:
                said.append(
                    f"positions: {zeros} weights that are all zero are given random numbers there: "
                    "zeros would hide what is behind them."
                )
            return positions(probe.fn, probe.x, at=probe.at)
    except Exception as error:
        return f"{blame(error)}."
