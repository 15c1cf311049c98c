"""One planted defect or more a law: each must be caught by the check that it belongs to.

A defect is a mixer with one mistake, of a kind that libraries have shipped.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import law_checks as laws
import torch
from subjects import BY_NAME, WIDTH, ModelSubject, Subject
from torch import Tensor, nn

from phalanx.mixers import (
    GRU,
    LSTM,
    RNN,
    Attention,
    Bidirectional,
    BidirectionalAttention,
    MinGRU,
)
from phalanx.models import build, preset
from phalanx.rows import Rows
from phalanx.schedules import recur
from phalanx.states import RecurrentState
from phalanx.tasks.positions import Batch
from phalanx.training.trainer import Trainer


@dataclass(frozen=True)
class Plant:
    """A defect, the subject that has it, and the law that must notice."""

    name: str
    subject: Subject
    law: Callable[[Subject], None]

    def __str__(self) -> str:
        return self.name


def damaged(name: str, make: Callable[[], nn.Module]) -> Subject:
    """A subject of the tests, made with a defect."""
    return replace(BY_NAME[name], make=make)


# Law 1: two forms


class PeeksInForward(Attention):
    causal = False


class ForgetsCellInStep(LSTM):
    def step(self, x_BD: Tensor, state: Any, active_B: Tensor | None = None) -> Any:
        y_BD, after = super().step(x_BD, state, active_B)
        return y_BD, replace(after, cell_BD=torch.zeros_like(after.cell_BD))


class CutsGradientInStep(GRU):
    def step(self, x_BD: Tensor, state: Any, active_B: Tensor | None = None) -> Any:
        return super().step(x_BD, laws.map_state(state, Tensor.detach), active_B)


class MovesInactiveRows(GRU):
    def step(self, x_BD: Tensor, state: Any, active_B: Tensor | None = None) -> Any:
        return super().step(x_BD, state, None)


class ComputesInHalfThePrecision(GRU):
    def whole(self, x_BTD: Tensor, rows: Rows, state: Any) -> Any:
        y_BTD, after = super().whole(x_BTD, rows, state)
        half = {torch.float64: torch.float32, torch.float32: torch.bfloat16}
        return y_BTD.to(half.get(y_BTD.dtype, y_BTD.dtype)).to(y_BTD.dtype), after


# Law 2: split


class CutsGradientBetweenCalls(LSTM):
    def forward(self, x_BTD: Tensor, rows: Rows, state: Any = None, *, undo: int = 0) -> Any:
        carried = state and replace(state, cell_BD=state.cell_BD.detach())
        return super().forward(x_BTD, rows, carried, undo=undo)


class CountsFromZeroInEveryCall(Attention):
    def forward(self, x_BTD: Tensor, rows: Rows, state: Any = None, *, undo: int = 0) -> Any:
        fresh = Rows.full(*x_BTD.shape[:2])
        again = replace(rows, positions_BT=fresh.positions_BT)
        return super().forward(x_BTD, again, state, undo=undo)


class DropsCellBetweenCalls(LSTM):
    def whole(self, x_BTD: Tensor, rows: Rows, state: Any) -> Any:
        carried = state and replace(state, cell_BD=torch.zeros_like(state.cell_BD))
        return super().whole(x_BTD, rows, carried)


# Law 3: padding and packing


class MultipliesPaddingByZero(RNN):
    def forward(self, x_BTD: Tensor, rows: Rows, state: Any = None, *, undo: int = 0) -> Any:
        if rows.keep_BT is None:
            return super().forward(x_BTD, rows, state, undo=undo)
        keep_BT1 = rows.keep_BT[..., None].to(x_BTD.dtype)
        full = Rows(rows.positions_BT)
        y_BTD, after = super().forward(x_BTD * keep_BT1, full, state, undo=undo)
        return y_BTD * keep_BT1, after


class RunsOnThroughPadding(LSTM):
    def _hold_cell(self, x_BTD: Tensor, keep_BT: Tensor) -> Any:
        return x_BTD, self.weights


class TurnsPaddingRound(Bidirectional):
    def forward(self, x_BTD: Tensor, rows: Rows, state: Any = None, *, undo: int = 0) -> Any:
        x_BTD = rows.zero_padding(x_BTD)
        full = Rows(rows.positions_BT)
        there_BTD, _ = self.forwards(x_BTD, full)
        back_BTD, _ = self.backwards(x_BTD.flip(1), full)
        return rows.zero_padding(self.output(torch.cat([there_BTD, back_BTD.flip(1)], -1))), None


class AttendsToPadding(BidirectionalAttention):
    def _own_mask(self, rows: Rows) -> None:
        return None


class SoftensOverNothing(BidirectionalAttention):
    def _attend(self, query: Tensor, key: Tensor, value: Tensor, mask_BTS: Any) -> Tensor:
        if mask_BTS is None:
            return super()._attend(query, key, value, None)
        scores = query @ key.transpose(-1, -2) / query.shape[-1] ** 0.5
        return scores.masked_fill(~mask_BTS[:, None], -torch.inf).softmax(-1) @ value


def _without_segments(rows: Rows) -> Rows:
    return replace(rows, segments_BT=None)


class IgnoresDocuments(GRU):
    def forward(self, x_BTD: Tensor, rows: Rows, state: Any = None, *, undo: int = 0) -> Any:
        return super().forward(x_BTD, _without_segments(rows), state, undo=undo)


class AttendsAcrossDocuments(Attention):
    def _own_mask(self, rows: Rows) -> Any:
        return super()._own_mask(_without_segments(rows))


# Law 4: causality


class LetsAGrainThrough(Attention):
    def forward(self, x_BTD: Tensor, rows: Rows, state: Any = None, *, undo: int = 0) -> Any:
        y_BTD, after = super().forward(x_BTD, rows, state, undo=undo)
        return y_BTD + 1e-15 * x_BTD.roll(-1, 1), after


# Law 5: schedules


class OrdersGatesOtherwise(GRU):
    def whole(self, x_BTD: Tensor, rows: Rows, state: Any) -> Any:
        def swap(stacked: Tensor) -> Tensor:
            reset, update, new = stacked.chunk(3)
            return torch.cat([update, reset, new])

        hidden_BD = self.empty_state(len(x_BTD), 0, x_BTD).hidden_BD if not state else None
        start_BD = hidden_BD if state is None else state.hidden_BD
        y_BTD = recur.fused_gru(x_BTD, start_BD, [swap(w) for w in self.weights])
        return y_BTD, state and replace(state, hidden_BD=y_BTD[:, -1])


class FusedForgetsTheStart(RNN):
    def whole(self, x_BTD: Tensor, rows: Rows, state: Any) -> Any:
        _, after = super().whole(x_BTD, rows, state)
        return super().whole(x_BTD, rows, None)[0], after


class ScansWithoutGradientOfDecay(MinGRU):
    def whole(self, x_BTD: Tensor, rows: Rows, state: Any) -> Any:
        exact = self._coefficients
        self._coefficients = lambda x: (exact(x)[0].detach(), exact(x)[1])
        try:
            return super().whole(x_BTD, rows, state)
        finally:
            del self._coefficients


class KernelForgetsTheWindow(Attention):
    def _own_mask(self, rows: Rows) -> Any:
        return None if self.schedule == "sdpa" else super()._own_mask(rows)

    def _cached_mask(self, slots_BT: Tensor, state: Any, rows: Rows) -> Any:
        kept, self.window = self.window, None if self.schedule == "sdpa" else self.window
        try:
            return super()._cached_mask(slots_BT, state, rows)
        finally:
            self.window = kept


# Law 6: accumulation


class AveragesMicroBatches(Trainer):
    """The mean of the micro-batches' means, however many answers each has."""

    def gradients(self, batch: Batch, micro_batch: int) -> Tensor:
        parts = batch.split(micro_batch)
        return _backward(
            (whole := self._total(self.model, part, 0.0)).nats
            / whole.answers.clamp(min=1)
            / len(parts)
            for part in parts
        )


class CountsPositions(Trainer):
    """Each micro-batch counts by its positions, padding and all."""

    def gradients(self, batch: Batch, micro_batch: int) -> Tensor:
        parts = batch.split(micro_batch)
        return _backward(
            (whole := self._total(self.model, part, 0.0)).nats
            / whole.answers.clamp(min=1)
            * (part.inputs_BT.numel() / batch.inputs_BT.numel())
            for part in parts
        )


def _backward(losses: Iterable[Tensor]) -> Tensor:
    done = []
    for loss in losses:
        loss.backward()
        done.append(loss.detach())
    return torch.stack(done)


# Law 9: batching


class MixesTheBatch(nn.Module):
    """A model's last norm, over the batch as well."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x - 1e-6 * x.mean(0, keepdim=True))


def _model_that_mixes_the_batch() -> nn.Module:
    model = build(preset("transformer", 11, 64, width=16, layers=2), seed=0)
    model.norm = MixesTheBatch(model.norm)
    return model


class CentresOverTheBatch(GRU):
    def forward(self, x_BTD: Tensor, rows: Rows, state: Any = None, *, undo: int = 0) -> Any:
        return super().forward(x_BTD - x_BTD.mean(0, keepdim=True), rows, state, undo=undo)


# Rewinding


class RewindsTheCountAlone(GRU):
    def forward(self, x_BTD: Tensor, rows: Rows, state: Any = None, *, undo: int = 0) -> Any:
        y_BTD, after = super().forward(x_BTD, rows, state, undo=undo)
        if isinstance(after, RecurrentState) and after.past is not None:
            stale = torch.stack([after.hidden_BD] * (undo + 1))
            after = replace(after, past=after.past | {"hidden_BD": stale})
        return y_BTD, after


class CountsPaddingWhenRewinding(GRU):
    def forward(self, x_BTD: Tensor, rows: Rows, state: Any = None, *, undo: int = 0) -> Any:
        y_BTD, after = super().forward(x_BTD, rows, state, undo=undo)
        if undo:  # the states of the last `undo` steps, whether or not a row took them
            _, states = recur.serial(self.step, rows.zero_padding(x_BTD), rows, state)
            last = torch.stack([s.hidden_BD for s in states[::-1][: undo + 1]])
            after = replace(after, past=after.past | {"hidden_BD": last})
        return y_BTD, after


def _windowed(window: int) -> Callable[[], nn.Module]:
    return lambda: Attention(WIDTH, 2, window=window, rotary=True)


_ragged = {"kind": "ragged"}
_packed = {"kind": "packed"}
_batch_model = ModelSubject("model-transformer", _model_that_mixes_the_batch)

PLANTS = [
    Plant("1: forward sees the future", damaged("attention", lambda: PeeksInForward(WIDTH, 2)),
          laws.two_forms),
    Plant("1: step forgets the cell", damaged("lstm", lambda: ForgetsCellInStep(WIDTH)),
          laws.two_forms),
    Plant("1: step cuts the gradient", damaged("gru", lambda: CutsGradientInStep(WIDTH)),
          laws.two_forms),
    Plant("1: inactive rows move", damaged("gru", lambda: MovesInactiveRows(WIDTH)),
          partial(laws.two_forms, **_ragged)),
    Plant("1: forward in half the precision",
          damaged("gru", lambda: ComputesInHalfThePrecision(WIDTH)), laws.two_forms),
    Plant("1: forward in half the precision, fp32",
          damaged("gru", lambda: ComputesInHalfThePrecision(WIDTH)),
          partial(laws.two_forms, dtype=torch.float32)),
    Plant("2: gradient cut between calls", damaged("lstm", lambda: CutsGradientBetweenCalls(WIDTH)),
          partial(laws.split, cuts=[4])),
    Plant("2: positions start again",
          damaged("attention-rotary", lambda: CountsFromZeroInEveryCall(WIDTH, 2, rotary=True)),
          partial(laws.split, cuts=[4])),
    Plant("2: cell dropped between calls", damaged("lstm", lambda: DropsCellBetweenCalls(WIDTH)),
          partial(laws.split, cuts=[4])),
    Plant("3: NaN times zero", damaged("rnn", lambda: MultipliesPaddingByZero(WIDTH)),
          laws.padding),
    Plant("3: final cell after padding", damaged("lstm", lambda: RunsOnThroughPadding(WIDTH)),
          laws.padding),
    Plant("3: padding turned round",
          damaged("lstm+gru", lambda: TurnsPaddingRound(WIDTH, LSTM(WIDTH), GRU(WIDTH))),
          laws.padding),
    Plant("3: padding attended to", damaged("both-ways", lambda: AttendsToPadding(WIDTH, 2)),
          laws.padding),
    Plant("3: softmax over nothing", damaged("both-ways", lambda: SoftensOverNothing(WIDTH, 2)),
          laws.padding),
    Plant("3: documents ignored by a recurrence", damaged("gru", lambda: IgnoresDocuments(WIDTH)),
          laws.documents),
    Plant("3: documents ignored by attention",
          damaged("attention", lambda: AttendsAcrossDocuments(WIDTH, 2)), laws.documents),
    Plant("4: a mask that is not causal", damaged("attention", lambda: PeeksInForward(WIDTH, 2)),
          laws.causality),
    Plant("4: a grain of the future", damaged("attention", lambda: LetsAGrainThrough(WIDTH, 2)),
          laws.causality),
    Plant("4: window one too wide", damaged("attention-window", _windowed(4)), laws.causality),
    Plant("4: window one too narrow", damaged("attention-window", _windowed(2)), laws.far_sight),
    Plant("4: another document seen",
          damaged("attention", lambda: AttendsAcrossDocuments(WIDTH, 2)),
          partial(laws.causality, **_packed)),
    Plant("4: past of another document", damaged("gru", lambda: IgnoresDocuments(WIDTH)),
          partial(laws.causality, **_packed)),
    Plant("5: gates in another order", damaged("gru", lambda: OrdersGatesOtherwise(WIDTH)),
          laws.schedules),
    Plant("5: initial state ignored", damaged("rnn", lambda: FusedForgetsTheStart(WIDTH)),
          partial(laws.schedules, started=True)),
    Plant("5: gradient of the decay lost",
          damaged("mingru", lambda: ScansWithoutGradientOfDecay(WIDTH, chunk=4)), laws.schedules),
    Plant("5: kernel without the window",
          damaged("attention-window", lambda: KernelForgetsTheWindow(WIDTH, 2, window=3)),
          laws.schedules),
    Plant("9: mean of the batch", damaged("gru", lambda: CentresOverTheBatch(WIDTH)),
          laws.batching),
    Plant("9: model that norms over the batch", _batch_model, laws.batching),
    Plant("rewind: only the count", damaged("gru", lambda: RewindsTheCountAlone(WIDTH)),
          laws.rewinding),
    Plant("rewind: padding counted", damaged("gru", lambda: CountsPaddingWhenRewinding(WIDTH)),
          partial(laws.rewinding, **_ragged)),
]  # fmt: skip
