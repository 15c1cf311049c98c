"""What this machine makes of each model: the measured verdicts of the five rows, but for recall.

Positions are compared with rows. Rows of a batch are independent (claim C6), so the same tokens as
many short rows show what this machine can do at once; one long row shows what is left of that when
positions have to share. FLOPs as traced stand beside each time, so that work is not taken for
waiting.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch

from phalanx.comparison.clocks import Figure, figure, ratios, within
from phalanx.comparison.contenders import Contender
from phalanx.comparison.results import Verdict
from phalanx.comparison.rules import (
    PEAK_SHARE,
    SPEED_KEPT_CORE,
    SPEED_KEPT_PASS,
    SPEED_KEPT_TRAINING,
    TOKEN_COST,
    Rule,
    not_measured,
)
from phalanx.comparison.speed_kept import LENGTH, ROWS, PassOf, judge, long_over_short, speed_kept
from phalanx.comparison.work import Work, forward_call, ids, mixers_call, train_call
from phalanx.models import Decoder, build
from phalanx.profiling.machine.timing import Interleaved
from phalanx.profiling.span import WorkLaw

TOKENS = 64  # generated, against a pass over as many
TRAINING_SHAPE = (16, 64)
OTHER_SHAPES = ((1, 64), (1, 256), (16, 256))  # rows x positions
_PEAK = "peak"
_PEAK_SIZE = 1024
PRODUCT = 2.0 * _PEAK_SIZE**3  # FLOPs

Cells = dict[tuple[str, str], Verdict]


@dataclass(frozen=True)
class Machine:
    """Measured figures of every model.

    Args:
        verdicts: model -> (row, part) of the table -> verdict.
        waiting: model -> seconds of a training step of one row of LENGTH positions that are spent
            waiting for positions in turn, and seconds of work; None where not measured.
        shares: model -> "B x T" -> share of this machine's measured peak.
        step_seconds: model -> seconds of a training step at TRAINING_SHAPE, optimizer excluded.
        peak: FLOP/s of a square float32 matrix product in the same turns; None: not measured.
    """

    verdicts: dict[str, Cells]
    waiting: dict[str, tuple[float, float] | None]
    shares: dict[str, dict[str, float]]
    step_seconds: dict[str, float]
    peak: float | None


def measure_machine(
    models: Sequence[Contender],
    work: Mapping[str, Work],
    seconds: float | None,
    why_not: str,
    device: str,
    repeats: int,
) -> Machine:
    """Measure every model, candidates in turn beside a control.

    Args:
        models: who takes part.
        work: their FLOPs.
        seconds: for everything; None: nothing is measured, for the reason ``why_not``.
        why_not: the sentence for cells without a figure.
        device: where.
        repeats: turns of each measurement at least.
    """
    if seconds is None:
        cells = {c.name: {cell: not_measured(cell, why_not) for cell in _CELLS} for c in models}
        return Machine(cells, {c.name: None for c in models}, {}, {}, None)
    return _Bench(models, work, seconds, why_not, device, repeats).run()


_CORE, _TRAINING = ("core_dependency", ""), ("parallel_training", "")
_TOKENS, _PASS = ("parallel_inference", "autoregressive"), ("parallel_inference", "one_pass")
_HARDWARE = ("hardware_friendliness", "")
_CELLS = (_CORE, _TRAINING, _TOKENS, _PASS, _HARDWARE)


class _Bench:
    """The models built once, and each row measured within its part of the time."""

    def __init__(
        self,
        models: Sequence[Contender],
        work: Mapping[str, Work],
        seconds: float,
        why_not: str,
        device: str,
        repeats: int,
    ) -> None:
        self.names = [contender.name for contender in models]
        self.work = work
        self.seconds = seconds
        self.why_not = why_not
        self.device = device
        self.repeats = repeats
        self.built: dict[str, Decoder] = {}
        for contender in models:
            model = build(contender.at(LENGTH + TOKENS), seed=0)
            assert isinstance(model, Decoder)
            self.built[contender.name] = model.to(device)
        self.cells: dict[str, Cells] = {name: {} for name in self.names}

    def run(self) -> Machine:
        self._speed_kept(
            _CORE, SPEED_KEPT_CORE, self._mixers, "mixers", 0.15, "The mixers alone, forward"
        )
        self._speed_kept(
            _PASS, SPEED_KEPT_PASS, self._forward, "forward", 0.15, "One forward pass, scores too"
        )
        times = self._speed_kept(
            _TRAINING,
            SPEED_KEPT_TRAINING,
            self._train,
            "train",
            0.25,
            "Forward, loss and backward of the whole model",
        )
        self._token_cost(0.2)
        shares, steps, peak = self._share_of_peak(0.25)
        waiting = {name: self._waiting(times, name) for name in self.names}
        return Machine(self.cells, waiting, shares, steps, peak)

    def _mixers(self, name: str, batch: int, length: int) -> Callable[[], object]:
        return mixers_call(self.built[name], batch, length, self.device)

    def _forward(self, name: str, batch: int, length: int) -> Callable[[], object]:
        model = self.built[name]
        return forward_call(model, ids(model, batch, length, self.device))

    def _train(self, name: str, batch: int, length: int) -> Callable[[], object]:
        model = self.built[name]
        return train_call(model, ids(model, batch, length, self.device))

    def _speed_kept(
        self,
        cell: tuple[str, str],
        rule: Rule,
        call: PassOf,
        part: str,
        share: float,
        what: str,
    ) -> Interleaved | None:
        laws: dict[str, WorkLaw] = {name: getattr(self.work[name], part) for name in self.names}
        verdicts, times = speed_kept(
            laws, call, rule, share * self.seconds, self.device, self.repeats, what, self.why_not
        )
        for name, verdict in verdicts.items():
            self.cells[name][cell] = verdict
        return times

    def _token_cost(self, share: float) -> None:
        candidates = {}
        for name in self.names:
            candidates[f"{name} tokens"] = generation(self.built[name], TOKENS, self.device)
            candidates[f"{name} pass"] = self._forward(name, 1, TOKENS)
        times = within(candidates, share * self.seconds, self.device, repeats=self.repeats, most=9)
        for name in self.names:
            if times is None:
                self.cells[name][_TOKENS] = TOKEN_COST.judge(None, how=self.why_not)
                continue
            cost = figure(ratios(times, f"{name} tokens", f"{name} pass"))
            token = times.timings[f"{name} tokens"].median / TOKENS
            position = times.timings[f"{name} pass"].median / TOKENS
            how = (
                f"Time of a generated token ({1000 * token:.3g} ms) over time of a position "
                f"({1000 * position:.3g} ms) of one pass over {TOKENS} tokens, one row, pair by "
                f"pair in {cost.repeats} turns."
            )
            self.cells[name][_TOKENS] = judge(TOKEN_COST, cost, how, times)

    def _share_of_peak(
        self, share: float
    ) -> tuple[dict[str, dict[str, float]], dict[str, float], float | None]:
        seconds = share * self.seconds
        times = self._steps((TRAINING_SHAPE,), 0.5 * seconds)
        if times is None:
            for name in self.names:
                self.cells[name][_HARDWARE] = PEAK_SHARE.judge(None, how=self.why_not)
            return {}, {}, None
        best = PRODUCT / times.timings[_PEAK].low
        shares: dict[str, dict[str, float]] = {}
        others = self._steps(OTHER_SHAPES, 0.5 * seconds)
        for name in self.names:
            found = self._share_at(times, name, TRAINING_SHAPE)
            shares[name] = {_shape(TRAINING_SHAPE): found.median}
            how = (
                f"FLOP/s of a training step at {_shape(TRAINING_SHAPE)} (rows x positions), "
                f"float32, over that of a square product of {_PEAK_SIZE} in the same turn (at best "
                f"{best / 1e9:.3g} GFLOP/s), {found.repeats} turns."
            )
            if others is not None:
                for shape in OTHER_SHAPES:
                    shares[name][_shape(shape)] = self._share_at(others, name, shape).median
                listed = ", ".join(
                    f"{_shape(s)} {shares[name][_shape(s)]:.3g}" for s in OTHER_SHAPES
                )
                how = f"{how} At {listed}."
            self.cells[name][_HARDWARE] = judge(PEAK_SHARE, found, how, times)
        steps = {name: times.timings[_at(name, TRAINING_SHAPE)].median for name in self.names}
        return shares, steps, best

    def _steps(self, shapes: Sequence[tuple[int, int]], seconds: float) -> Interleaved | None:
        """Training steps at some shapes beside the square product, in turn."""
        candidates: dict[str, Callable[[], object]] = {_PEAK: square_product(self.device)}
        for name in self.names:
            for shape in shapes:
                candidates[_at(name, shape)] = self._train(name, *shape)
        return within(candidates, seconds, self.device, repeats=self.repeats)

    def _share_at(self, times: Interleaved, name: str, shape: tuple[int, int]) -> Figure:
        batch, length = shape
        flops = batch * float(self.work[name].train.at(length))
        return figure([flops / PRODUCT * r for r in ratios(times, _PEAK, _at(name, shape))])

    def _waiting(self, times: Interleaved | None, name: str) -> tuple[float, float] | None:
        if times is None:
            return None
        # One row waits LENGTH times, a short row LENGTH / ROWS times; the work is the same but for
        # what the trace says. Two times, two unknowns.
        long = times.timings[f"{name} long"].median
        short = times.timings[f"{name} short"].median * long_over_short(self.work[name].train)
        waits = max(0.0, (long - short) * ROWS / (ROWS - 1))
        return waits, max(0.0, long - waits)


def generation(model: Decoder, count: int, device: str) -> Callable[[], object]:
    """Generation of ``count`` tokens from one, the likeliest each time, the state fresh."""
    first_B = torch.zeros(1, dtype=torch.int64, device=device)

    def call() -> object:
        with torch.inference_mode():
            state, token_B = model.empty_state(1, count), first_B
            for _ in range(count):
                logits_BV, state = model.step(token_B, state)
                token_B = logits_BV.argmax(-1)
            return token_B

    return call


def _shape(shape: tuple[int, int]) -> str:
    return f"{shape[0]} x {shape[1]}"


def _at(name: str, shape: tuple[int, int]) -> str:
    return f"{name} {_shape(shape)}"


def square_product(device: str) -> Callable[[], object]:
    """The product whose FLOP/s count as this machine's peak."""
    a = torch.randn(_PEAK_SIZE, _PEAK_SIZE, device=device)
    out = torch.empty_like(a)
    return lambda: torch.mm(a, a, out=out)
