"""What every model of a comparison is trained and judged on, whatever the task is."""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Protocol

import numpy as np
import torch

from phalanx.comparison.clocks import Figure, figure
from phalanx.comparison.contenders import Contender
from phalanx.comparison.memory import peak_memory
from phalanx.comparison.plan import Speed
from phalanx.comparison.results import CurvePoint
from phalanx.config import TrainingConfig
from phalanx.models import build
from phalanx.training.trainer import Step, Trainer, Validation

NEVER = 1_000_000_000  # steps: not reached, another rule ends the run or the interval
PIECES = 8  # of a run, for the spread of its speed
_SPEED_STEPS = 6


class Shown(Protocol):
    """Shows a run's events (training.progress.Progress)."""

    def show(self, event: Step | Validation) -> None:
        """Show one event."""
        ...


Announce = Callable[[str, Trainer], AbstractContextManager[Shown]]


@dataclass
class Ran:
    """One run.

    Args:
        model: as it was at the end.
        steps, tokens, seconds: of the run; seconds without validation, tokens without padding.
        curve: its validations.
        speed: tokens a second, over pieces of the run.
        memory: bytes at the peak.
    """

    model: Any
    steps: int
    tokens: int
    seconds: float
    curve: list[CurvePoint]
    speed: Figure
    memory: int

    @property
    def last(self) -> CurvePoint:
        """The validation at the end."""
        return self.curve[-1]


class Course(ABC):
    """Samples in an order that is the same for all, and the judgement of what was learned.

    Args:
        seed: of weights and order.
        device: where.
    """

    seed: int
    device: str

    @property
    @abstractmethod
    def step_tokens(self) -> float:
        """Tokens of a step, about."""

    @abstractmethod
    def trainer(
        self, model: Any, config: TrainingConfig, validate_seconds: float | None = None
    ) -> Trainer:
        """The trainer of one run."""

    @abstractmethod
    def validation_seconds(self, model: Any) -> float:
        """What one validation takes, measured."""

    @abstractmethod
    def flops_meter(self, contender: Contender, model: Any) -> Callable[[int], float]:
        """FLOPs of training so far, asked as ``meter(tokens)`` while the model is trained."""

    @abstractmethod
    def training_step(self, model: Any) -> Callable[[], object]:
        """Forward, loss and backward at the largest shape of the training."""

    @abstractmethod
    def config(self, contender: Contender, **chosen: Any) -> TrainingConfig:
        """How a contender is trained; ``chosen`` say how long the run is."""

    def fresh(self, contender: Contender) -> Any:
        """The model at the start."""
        return build(contender.config, seed=self.seed).to(self.device)

    def speed(self, contender: Contender) -> Speed:
        """Measured on weights that are thrown away."""
        began = time.perf_counter()
        model = self.fresh(contender)
        built = time.perf_counter() - began
        trainer = self.trainer(model, self.config(contender))
        steps, each = [], []
        for _ in range(_SPEED_STEPS):
            seconds, tokens = trainer.seconds, trainer.tokens
            trainer.step()
            steps.append(trainer.seconds - seconds)
            each.append(steps[-1] / (trainer.tokens - tokens))
        validation = self.validation_seconds(model)
        # Besides: the model is built, its first steps are slow, and one more counts its memory.
        fixed = built + 3 * float(np.median(steps[2:]))
        return Speed(float(np.median(each[2:])), validation, fixed)

    def run(
        self,
        contender: Contender,
        config: TrainingConfig,
        validate_seconds: float | None,
        title: str,
        announce: Announce,
    ) -> Ran:
        """Train one model from the start, with its validations on the way."""
        model = self.fresh(contender)
        trainer = self.trainer(model, config, validate_seconds)
        flops = self.flops_meter(contender, model)
        curve: list[CurvePoint] = []
        read: list[tuple[int, float]] = []
        if self.device != "cpu":
            torch.cuda.reset_peak_memory_stats()
        with announce(title, trainer) as shown:
            for event in trainer.events():
                shown.show(event)
                if isinstance(event, Step):
                    read.append((event.tokens, event.seconds))
                    continue
                scores = {name: score for name, score in event.scores.items() if name != "loss"}
                curve.append(
                    CurvePoint(
                        step=event.step,
                        tokens=event.tokens,
                        flops=flops(event.tokens),
                        seconds=event.seconds,
                        loss=event.loss,
                        scores=scores,
                    )
                )
        if self.device == "cpu":
            memory = peak_memory(model, self.training_step(model), trainer.optimizers)
        else:
            memory = torch.cuda.max_memory_allocated()
        model.eval()
        rate = rate_of(read)
        return Ran(model, trainer.steps, trainer.tokens, trainer.seconds, curve, rate, memory)


def rate_of(read: Sequence[tuple[int, float]]) -> Figure:
    """Tokens a second over pieces of a run of equal numbers of steps, the first steps left out.

    Args:
        read: tokens and seconds so far, after each step.
    """
    steady = read[min(2, len(read) - 1) :]
    if len(steady) < 2:
        tokens, seconds = read[-1]
        return figure([tokens / seconds])
    pieces = min(PIECES, len(steady) - 1)
    edges = [round(i * (len(steady) - 1) / pieces) for i in range(pieces + 1)]
    rates = []
    for a, b in pairwise(edges):
        (read_before, before), (read_after, after) = steady[a], steady[b]
        rates.append((read_after - read_before) / (after - before))
    return figure(rates)
