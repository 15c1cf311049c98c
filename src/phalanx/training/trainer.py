"""The training loop: one step after another, driven from outside as an iterator of events."""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import torch
from torch import nn

from phalanx.config import TrainingConfig
from phalanx.errors import PhalanxError
from phalanx.models.base import SequenceModel
from phalanx.tasks.positions import Batch, Total, total
from phalanx.training.optimizers import make_optimizers, set_rate
from phalanx.training.precision import Precision, autocast, choose_precision
from phalanx.training.schedule import rate


@dataclass(frozen=True)
class Step:
    """One optimizer step that was taken.

    Args:
        step: steps taken so far, this one included.
        tokens: input tokens seen so far.
        seconds: training time so far, validation excluded.
        loss: mean loss of this step's batch before the update, nats per answer.
        rate: share of the peak learning rates in use.
        gradient_norm: of all gradients, before clipping.
    """

    step: int
    tokens: int
    seconds: float
    loss: float
    rate: float
    gradient_norm: float


@dataclass(frozen=True)
class Validation:
    """One validation.

    Args:
        step, tokens, seconds: as in Step.
        training_loss: mean loss of the batches since the validation before.
        scores: what the validation found; ``loss`` (nats per answer) among it.
        best: whether this is the lowest validation loss so far.
    """

    step: int
    tokens: int
    seconds: float
    training_loss: float
    scores: Mapping[str, float] = field(default_factory=dict)
    best: bool = False

    @property
    def loss(self) -> float:
        """Validation loss, nats per answer."""
        return self.scores["loss"]


class DivergedError(PhalanxError):
    """The loss stopped being a number."""


class Trainer:
    """Trains a model; iterate over ``events()`` to drive it.

    A run ends after ``config.steps`` steps or ``config.seconds`` of training, whichever comes
    first, and ends with a validation. Two trainers of equal arguments give equal bits on one
    machine and thread count, unless the clock ends them.

    Args:
        model: trained in place, on the device where it is.
        config: how.
        batches: the batch of each step, counted from 0; a pure function, so that a run can be
            continued or repeated.
        validate: scores of the model (``loss`` among them); None: no validation.
        validate_seconds: validate also each time that so much training time has passed.

    Attributes:
        steps, tokens, seconds: so far; seconds exclude validation.
        precision: of the matrix products.
        interrupted: set by ``stop``.
        validating: a validation is under way; the weights stand still.
    """

    def __init__(
        self,
        model: SequenceModel,
        config: TrainingConfig,
        batches: Callable[[int], Batch],
        *,
        validate: Callable[[SequenceModel], Mapping[str, float]] | None = None,
        validate_seconds: float | None = None,
    ) -> None:
        self.model = model
        self.config = config
        self.batches = batches
        self.validate = validate
        self.validate_seconds = validate_seconds
        self.device = model.embedding.weight.device
        self.precision: Precision = choose_precision(config.precision, model.config, self.device)
        self.optimizers = make_optimizers(model, config)
        self.steps, self.tokens, self.seconds = 0, 0, 0.0
        self.best_loss = math.inf
        self.interrupted = False
        self.validating = False
        self._total: Callable[[SequenceModel, Batch], Total] = (
            torch.compile(total) if config.compile else total
        )

    @property
    def progress(self) -> float:
        """The share of the run that is done, by steps or by the clock, from 0 to 1."""
        clock = self.seconds / self.config.seconds if self.config.seconds else 0.0
        return min(max(self.steps / self.config.steps, clock), 1.0)

    def stop(self) -> None:
        """End the run after the step under way, without another validation."""
        self.interrupted = True

    def events(self) -> Iterator[Step | Validation]:
        """Train; yields every step, and every validation.

        Time that the caller spends between two events does not count.

        Raises:
            DivergedError: the loss is not a number; the weights are those before the step.
        """
        summed, counted = 0.0, 0
        due = self.validate_seconds or math.inf
        while self.progress < 1.0 and not self.interrupted:
            self.model.train()
            step = self.step()
            summed, counted = summed + step.loss, counted + 1
            yield step
            every = self.steps % self.config.evaluate_every == 0 or self.seconds >= due
            if self.validate is None or self.interrupted or not (every or self.progress >= 1.0):
                continue
            while self.validate_seconds and due <= self.seconds:
                due += self.validate_seconds
            yield self._validation(summed / counted)
            summed, counted = 0.0, 0

    def step(self) -> Step:
        """Take one step.

        Raises:
            DivergedError: see ``events``.
        """
        began = time.perf_counter()
        share = rate(self.config, self.steps, self.progress)
        set_rate(self.optimizers, share)
        batch = self.batches(self.steps).to(self.device)
        with autocast(self.precision, self.device):
            whole = self._total(self.model, batch)
        loss = whole.nats / whole.answers
        for optimizer in self.optimizers:
            optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip or math.inf)
        loss_value, norm_value = torch.stack([loss.detach().float(), norm.float()]).tolist()
        if not (math.isfinite(loss_value) and math.isfinite(norm_value)):
            raise DivergedError(
                f"The loss is {loss_value} and the gradient's norm {norm_value} at step "
                f"{self.steps + 1}: training has diverged. Expected finite numbers. Lower "
                "train.learning_rate and train.muon_learning_rate, or set train.precision to "
                "float32."
            )
        for optimizer in self.optimizers:
            optimizer.step()
        self.steps += 1
        self.tokens += batch.inputs_BT.numel()
        self.seconds += time.perf_counter() - began
        return Step(self.steps, self.tokens, self.seconds, loss_value, share, norm_value)

    def _validation(self, training_loss: float) -> Validation:
        assert self.validate is not None
        # In float32 whatever the training's precision: the figure that a later evaluation finds.
        self.validating = True
        try:
            scores = dict(self.validate(self.model))
        finally:
            self.validating = False
        best = scores["loss"] < self.best_loss
        if best:
            self.best_loss = scores["loss"]
        return Validation(self.steps, self.tokens, self.seconds, training_loss, scores, best)
