"""How the chain of a pass grows with the length T, layer by layer."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch
from torch.nn import functional as F  # noqa: N812  # torch's own customary name

from phalanx.comparison.rules import NOTHING_WAITS, slope_uncertainty
from phalanx.comparison.subjects import outermost_mixers
from phalanx.mixers.base import Mixer
from phalanx.models import SequenceModel
from phalanx.profiling.span import Law
from phalanx.profiling.tracing.trace import trace
from phalanx.rows import Rows

Mode = Literal["forward", "train"]
Call = Callable[[], object]

_CHAIN_CHECK, _FLAT_CHECK = 512, 1024


@dataclass(frozen=True)
class Lengths:
    """The lengths at which a model is traced: whole passes, and mixers alone."""

    whole: tuple[int, ...] = (32, 64, 128)
    mixer: tuple[int, ...] = (32, 48, 64)


NEAR = Lengths()
FAR = Lengths((1024, 1536, 2048), (1024, 1536, 2048))


@dataclass(frozen=True)
class Growth:
    """The chain of a pass against T.

    Args:
        whole: the law of the whole pass.
        layers: kernels per added position of each mixer alone, and last what the whole pass adds
            beyond their sum.
        layer_laws: the laws of the mixers alone.
    """

    whole: Law
    layers: tuple[float, ...]
    layer_laws: tuple[Law, ...]

    @property
    def strongest(self) -> float:
        """Kernels per added position of the layer that adds most."""
        return max(self.layers)

    @property
    def logarithm(self) -> float:
        """Coefficient of log2 T in the whole pass."""
        return self.whole.logarithm

    @property
    def uncertainty(self) -> float:
        """What the fits leave open of ``strongest``."""
        return max(slope_uncertainty(law) for law in (self.whole, *self.layer_laws))

    def describe(self) -> str:
        """One sentence on how the figure was obtained."""
        lengths = ", ".join(str(t) for t, _ in self.whole.points)
        return (
            f"Traced at T = {lengths}; span of the whole pass {self.whole}; "
            "the figure is that of the layer that adds most."
        )


def pass_of(model: SequenceModel, mode: Mode, length: int, batch: int = 1) -> Call:
    """A pass over ``length`` given tokens: scores, or loss and gradients of teacher forcing."""
    ids_BT = torch.zeros(batch, length, dtype=torch.int64, device=model.embedding.weight.device)

    def forward() -> object:
        with torch.no_grad():
            return model(ids_BT)

    def train() -> object:
        logits_BTV = model(ids_BT)
        loss = F.cross_entropy(logits_BTV.flatten(0, 1), ids_BT.flatten())
        return torch.autograd.grad(loss, list(model.parameters()), allow_unused=True)

    return forward if mode == "forward" else train


def pass_of_mixer(mixer: Mixer, width: int, mode: Mode, length: int) -> Call:
    """A pass through one mixer alone: its outputs, or the gradients of inputs and weights too."""
    like = next(mixer.parameters())
    x_BTD = like.new_zeros(1, length, width).requires_grad_(mode == "train")
    rows = Rows.full(1, length, like.device)

    def forward() -> object:
        with torch.no_grad():
            return mixer(x_BTD, rows)

    def train() -> object:
        y_BTD, _ = mixer(x_BTD, rows)
        given = [x_BTD, *mixer.parameters()]
        # Half the square of the outputs as the loss: gradients wait for outputs, as in a model.
        return torch.autograd.grad(y_BTD, given, y_BTD.detach(), allow_unused=True)

    return forward if mode == "forward" else train


def lengths_of(model: SequenceModel) -> Lengths:
    """The lengths that show how a model grows.

    Short ones, unless the law that they give misses a longer pass: a scan in long chunks is a
    chain until its first chunk is full.
    """
    law = _law(partial(pass_of, model, "forward"), NEAR.whole)
    far = _FLAT_CHECK if law.slope < NOTHING_WAITS else _CHAIN_CHECK
    return NEAR if _agrees(law, far, partial(pass_of, model, "forward")) else FAR


def growth(model: SequenceModel, mode: Mode, lengths: Lengths = NEAR) -> Growth:
    """The chain of a model's pass against T; its width does not matter to a count of kernels."""
    whole = law_of(partial(pass_of, model, mode), lengths.whole)
    width = model.config.width
    laws = [
        law_of(partial(pass_of_mixer, mixer, width, mode), lengths.mixer)
        for mixer in outermost_mixers(model)
    ]
    inside = [law.slope for law in laws]
    return Growth(whole, (*inside, whole.slope - sum(inside)), tuple(laws))


def scalar_laws(model: SequenceModel, lengths: Lengths = NEAR) -> list[Law]:
    """The laws in T of the scalar depth of each mixer's forward pass alone."""
    width = model.config.width
    found = []
    for mixer in outermost_mixers(model):
        depths = {t: trace(pass_of_mixer(mixer, width, "forward", t)) for t in lengths.whole}
        found.append(Law.fit({t: traced.scalar_span for t, traced in depths.items()}))
    return found


def law_of(call: Callable[[int], Call], lengths: Sequence[int] = NEAR.whole) -> Law:
    """The law of the kernel chain of ``call(T)()`` in T.

    Three lengths determine it and, where two terms fit all three, check it as well; a law that
    needs all its terms, or fits badly, gets a fourth. One that looks flat is checked far out, and
    where it misses, what lies beyond is the law.
    """
    law = _law(call, lengths)
    if law.slope >= NOTHING_WAITS:
        return law
    far = max(_FLAT_CHECK, max(lengths))
    if _agrees(law, far, call):
        return Law.fit({**dict(law.points), far: law.at(far)}) if law.exact else law
    return _law(call, FAR.whole)


def _law(call: Callable[[int], Call], lengths: Sequence[int]) -> Law:
    spans: dict[int, float] = {t: trace(call(t)).span for t in lengths}
    law = Law.fit(spans)
    if not law.exact or (law.slope > 0 and law.logarithm > 0):
        spans[2 * max(lengths)] = trace(call(2 * max(lengths))).span
        law = Law.fit(spans)
    return law


def _agrees(law: Law, length: int, call: Callable[[int], Call]) -> bool:
    return abs(trace(call(length)).span - law.at(length)) <= max(0.5, law.residual)
