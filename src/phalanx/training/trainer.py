"""The training loop: one step after another, driven from outside as an iterator of events."""

import math
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any, Literal

import torch
from torch import Tensor, nn

from phalanx.config import TrainingConfig
from phalanx.errors import PhalanxError
from phalanx.models import Model
from phalanx.tasks import positions
from phalanx.tasks.batch import Total, TrainingBatch
from phalanx.training.average import Average
from phalanx.training.divergence import DivergedError, diverged
from phalanx.training.memory import with_less_at_a_time
from phalanx.training.optimizers import make_optimizers, momenta, set_rate, state_tensors
from phalanx.training.precision import Precision, autocast, choose_precision
from phalanx.training.randomness import keyed_randomness
from phalanx.training.schedule import rate
from phalanx.training.state import TrainingState, Values, copy_tensors

__all__ = ["DivergedError", "EndReason", "Step", "Trainer", "Validation"]

EndReason = Literal["steps", "seconds", "patience", "interrupted"]


@dataclass(frozen=True)
class Step:
    """One optimizer step that was taken.

    Args:
        step: steps taken so far, this one included.
        tokens: input tokens seen so far.
        seconds: training time so far, validation excluded.
        loss: mean loss of this step's batch before the update, nats per answer; smoothed, where
            labels are.
        rate: share of the peak learning rates in use.
        gradient_norm: of all gradients, before clipping.
        skipped: the loss or the norm is no number, and nothing was updated.
    """

    step: int
    tokens: int
    seconds: float
    loss: float
    rate: float
    gradient_norm: float
    skipped: bool = False


@dataclass(frozen=True)
class Validation:
    """One validation.

    Args:
        step, tokens, seconds: as in Step.
        training_loss: mean loss of the batches since the validation before.
        scores: what the validation found; ``loss`` (nats per answer) among it.
        best: whether it is the best so far, by the trainer's criterion.
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


class Trainer:
    """Trains a model; iterate over ``events()`` to drive it.

    A run ends after ``config.steps`` steps, ``config.seconds`` of training or ``config.patience``
    validations that are not the best, whichever comes first, and ends with a validation. Two
    trainers of equal arguments give equal bits on one machine and thread count, unless the clock
    ends them; so does one that goes on, by ``restore``, from the ``state`` of another.

    Args:
        model: trained in place, on the device where it is.
        config: how.
        batches: the batch of each step, counted from 0; a pure function, so that a run can be
            continued or repeated.
        total: the summed loss of a batch, given the model and the label smoothing.
        validate: scores of the model (``loss`` among them); None: no validation.
        criterion: of scores, what is lowest at the best validation.
        validate_seconds: validate also each time that so much training time has passed.
        seed: of what is drawn in a step, such as dropout.
        say: takes what a person should know, such as that memory was short.

    Attributes:
        steps, tokens, seconds: so far; seconds exclude validation.
        validated: steps at the last validation.
        lowest, best_step: the criterion and the step of the best validation.
        skipped: steps that were passed over because their loss was no number.
        precision: of the matrix products.
        micro_batch: sequences of a batch that are computed at a time; halved, as often as it takes,
            when memory runs out.
        interrupted: set by ``stop``.
        validating: a validation is under way; the weights stand still.
    """

    def __init__(
        self,
        model: Model,
        config: TrainingConfig,
        batches: Callable[[int], TrainingBatch],
        *,
        total: Callable[[Any, Any, float], Total] = positions.total,
        validate: Callable[[Any], Mapping[str, float]] | None = None,
        criterion: Callable[[Mapping[str, float]], float] = itemgetter("loss"),
        validate_seconds: float | None = None,
        seed: int = 0,
        say: Callable[[str], object] = warnings.warn,
    ) -> None:
        self.model = model
        self.config = config
        self.batches = batches
        self.validate = validate
        self.criterion = criterion
        self.validate_seconds = validate_seconds
        self.seed = seed
        self.say = say
        self.device = model.embedding.weight.device
        self.precision: Precision = choose_precision(config.precision, model.config, self.device)
        self.optimizers = make_optimizers(model, config)
        self.average = None if config.average is None else Average(model, config.average)
        self.micro_batch = config.micro_batch_size or config.most_rows
        self.steps, self.tokens, self.seconds = 0, 0, 0.0
        self.validated, self._validated_seconds = 0, 0.0
        self.lowest, self.best_step, self._worse = math.inf, 0, 0
        self._summed, self._counted = 0.0, 0
        self.skipped = 0
        self.interrupted = False
        self.validating = False
        # A graph for each shape, not one for all: which it is must not depend on what came before.
        self._total: Callable[[Any, Any, float], Total] = (
            torch.compile(total, dynamic=False) if config.compile else total
        )

    @property
    def progress(self) -> float:
        """The share of the run that is done, by steps or by the clock, from 0 to 1."""
        clock = self.seconds / self.config.seconds if self.config.seconds else 0.0
        return min(max(self.steps / self.config.steps, clock), 1.0)

    @property
    def validation_due(self) -> bool:
        """Whether a validation comes next."""
        if self.validate is None or self.steps == self.validated:
            return False
        every = self.validate_seconds or math.inf
        by_clock = self.seconds // every > self._validated_seconds // every
        return self.steps % self.config.evaluate_every == 0 or by_clock or self.progress >= 1.0

    @property
    def finished(self) -> bool:
        """Whether nothing is left to do, the last validation included."""
        return self._ended() is not None and not self.validation_due

    @property
    def end_reason(self) -> EndReason | None:
        """Why the run has ended; None while it has not."""
        if self.finished:
            return self._ended()
        return "interrupted" if self.interrupted else None

    def stop(self) -> None:
        """End the run after the step under way, without another validation."""
        self.interrupted = True

    def events(self) -> Iterator[Step | Validation]:
        """Train; yields every step, and every validation.

        Time that the caller spends between two events does not count. Calling it again goes on.

        Raises:
            DivergedError: the loss is not a number; the weights are those before the step.
            PhalanxError: a batch without any answer.
        """
        while True:
            if self.validation_due and not self.interrupted:
                yield self._validation()
            if self.interrupted or self.finished:
                return
            yield self.step()

    def step(self) -> Step:
        """Take one step.

        Raises:
            DivergedError, PhalanxError: see ``events``.
        """
        began = time.perf_counter()
        share = rate(self.config, self.steps, self.progress)
        set_rate(self.optimizers, share)
        batch = self.batches(self.steps)
        losses_N, self.micro_batch = with_less_at_a_time(
            lambda micro_batch: self.gradients(batch, micro_batch),
            self.micro_batch,
            self._drop_gradients,
            self.say,
        )
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip or math.inf)
        *losses, norm_value = torch.cat([losses_N.float(), norm.float()[None]]).tolist()
        loss = sum(losses)
        finite = math.isfinite(loss) and math.isfinite(norm_value)
        if finite:
            self._update()
            self._summed, self._counted = self._summed + loss, self._counted + 1
        elif self.skipped < self.config.skip_nonfinite:
            self.skipped += 1
        else:
            samples = self._suspects(batch, losses)
            allowed = self.config.skip_nonfinite
            raise diverged(self.steps + 1, loss, norm_value, samples, self.skipped, allowed)
        self.steps += 1
        self.tokens += batch.tokens
        self.seconds += time.perf_counter() - began
        return Step(
            self.steps, self.tokens, self.seconds, loss, share, norm_value, skipped=not finite
        )

    def gradients(self, batch: TrainingBatch, micro_batch: int) -> Tensor:
        """Leave the gradients of a batch's mean loss in the parameters, computed in micro-batches.

        Each micro-batch counts by its answers, so that the sum is that of the batch in one piece.

        Args:
            batch: of the step.
            micro_batch: sequences at a time.

        Returns:
            The micro-batches' shares of the mean loss; they add up to it.

        Raises:
            PhalanxError: the batch has no answer.
        """
        self.model.train()
        self._drop_gradients()
        answers = batch.answers
        if answers == 0:
            raise PhalanxError(
                f"The batch of step {self.steps + 1} wants no answer: all its targets are ignored. "
                "Expected at least one. Give longer texts, or larger batches."
            )
        losses = []
        for part, micro in enumerate(batch.split(micro_batch)):
            with keyed_randomness(self.device, self.seed, self.steps, part):
                with autocast(self.precision, self.device):
                    whole = self._total(
                        self.model, micro.to(self.device), self.config.label_smoothing
                    )
                loss = whole.nats / answers
                loss.backward()
            losses.append(loss.detach())
        return torch.stack(losses)

    def averaged(self) -> AbstractContextManager[None]:
        """Inside, the model holds the averaged weights, where weights are averaged."""
        return nullcontext() if self.average is None else self.average.applied()

    def state(self) -> TrainingState:
        """Everything that ``restore`` needs beside the model's weights.

        The tensors are those in use, not copies: save them before the next step.
        """
        values = Values(
            seed=self.seed,
            momenta=momenta(self.optimizers),
            steps=self.steps,
            tokens=self.tokens,
            seconds=self.seconds,
            validated=self.validated,
            validated_seconds=self._validated_seconds,
            best_loss=None if math.isinf(self.lowest) else self.lowest,
            best_step=self.best_step,
            worse_validations=self._worse,
            summed_loss=self._summed,
            counted_losses=self._counted,
            skipped=self.skipped,
            updates=self.average.updates if self.average else 0,
            micro_batch=self.micro_batch,
            micro_batch_size=self.config.micro_batch_size,
        )
        raw = self.average.raw() if self.average else {}
        tensors = state_tensors(self.optimizers, self.model)
        tensors |= {f"raw.{name}": tensor for name, tensor in raw.items()}
        return TrainingState(values.model_dump(mode="json"), tensors)

    def restore(self, state: TrainingState, weights: Mapping[str, Tensor]) -> None:
        """Go on where another trainer of equal arguments was.

        Args:
            state: its ``state()``, as ``load_state`` has read and checked it.
            weights: its model's, under ``averaged()``.
        """
        values = Values.model_validate(state.values)
        self.steps, self.tokens, self.seconds = values.steps, values.tokens, values.seconds
        self.validated, self._validated_seconds = values.validated, values.validated_seconds
        self.lowest = math.inf if values.best_loss is None else values.best_loss
        self.best_step, self._worse = values.best_step, values.worse_validations
        self._summed, self._counted = values.summed_loss, values.counted_losses
        self.skipped = values.skipped
        if values.micro_batch_size == self.config.micro_batch_size:  # else it is chosen anew
            self.micro_batch = values.micro_batch
        self.model.load_state_dict(weights)
        if self.average is not None:
            raw = {name: state.tensors[f"raw.{name}"] for name in self.average.raw()}
            self.average.restore(values.updates, raw)
        copy_tensors(state_tensors(self.optimizers, self.model), state.tensors)

    def _drop_gradients(self) -> None:
        for optimizer in self.optimizers:
            optimizer.zero_grad(set_to_none=True)

    def _update(self) -> None:
        for optimizer in self.optimizers:
            optimizer.step()
        if self.average is not None:
            self.average.update()

    def _suspects(self, batch: TrainingBatch, losses: list[float]) -> Tensor | None:
        """The samples of the micro-batches whose loss is no number; all, where each has one."""
        if batch.samples_B is None:
            return None
        pairs = zip(batch.samples_B.split(self.micro_batch), losses, strict=True)
        found = [samples_B for samples_B, loss in pairs if not math.isfinite(loss)]
        return torch.cat(found) if found else batch.samples_B

    def _ended(self) -> Literal["steps", "seconds", "patience"] | None:
        config = self.config
        if self.steps >= config.steps:
            return "steps"
        if config.seconds is not None and self.seconds >= config.seconds:
            return "seconds"
        if config.patience is not None and self._worse >= config.patience:
            return "patience"
        return None

    def _validation(self) -> Validation:
        assert self.validate is not None
        # In float32 whatever the training's precision: the figure that a later evaluation finds.
        with self.averaged():
            self.validating = True
            try:
                scores = dict(self.validate(self.model))
            finally:
                self.validating = False
        judged = self.criterion(scores)
        # A model whose scores overflow may still be right by chance.
        best = judged < self.lowest and not math.isnan(scores["loss"])
        if best:
            self.lowest, self.best_step = judged, self.steps
        self._worse = 0 if best else self._worse + 1
        training_loss = self._summed / self._counted if self._counted else math.nan
        self._summed, self._counted = 0.0, 0
        self.validated, self._validated_seconds = self.steps, self.seconds
        return Validation(self.steps, self.tokens, self.seconds, training_loss, scores, best)
