"""A task as what models of a comparison are trained and judged on."""

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import torch

from phalanx.comparison.contenders import Contender
from phalanx.comparison.course import Course
from phalanx.comparison.tuning import Rates
from phalanx.comparison.work import Work
from phalanx.config import TrainingConfig
from phalanx.training.prepared import Prepared
from phalanx.training.trainer import Trainer


class TaskCourse(Course):
    """The samples of a task in the order of its seed, and its own scores.

    Args:
        prepared: the task's data; its own model is not used.
        rates: learning rates by model.
        work: FLOPs by model.
        device: where.
    """

    def __init__(
        self,
        prepared: Prepared,
        rates: Mapping[str, Rates],
        work: Mapping[str, Work],
        device: str,
    ) -> None:
        self.prepared = prepared
        self.rates = rates
        self.work = work
        self.seed = prepared.config.seed
        self.device = device

    @property
    def step_tokens(self) -> float:
        """Tokens of a step, on average."""
        return float(self.prepared.shapes().tokens)

    def config(self, contender: Contender, **chosen: Any) -> TrainingConfig:
        """A contender's rates; everything else as the task's own configuration has it."""
        rated = self.rates[contender.name].training(**chosen)
        own = rated.model_fields_set
        shared = self.prepared.config.train.model_dump(exclude=own)
        return TrainingConfig(**shared, **rated.model_dump(include=own))

    def trainer(
        self, model: Any, config: TrainingConfig, validate_seconds: float | None = None
    ) -> Trainer:
        """The trainer of one run."""
        prepared = self.prepared
        return Trainer(
            model,
            config,
            prepared.batches(),
            total=prepared.total,
            validate=prepared.validate,
            criterion=prepared.criterion,
            validate_seconds=validate_seconds,
            seed=self.seed,
        )

    def validation_seconds(self, model: Any) -> float:
        """What one validation takes, measured by the task."""
        return self.prepared.validation_seconds(model)

    def flops_meter(self, contender: Contender, model: Any) -> Callable[[int], float]:
        """FLOPs by the shapes that the model is trained on, padding included."""
        law = self.work[contender.name].train

        @cache
        def of_row(length: int) -> float:
            return float(law.at(length))

        spent = 0.0

        def add(_: torch.nn.Module, given: tuple[torch.Tensor, ...]) -> None:
            nonlocal spent
            if model.training:
                rows, length = given[0].shape
                spent += rows * of_row(length)

        model.embedding.register_forward_pre_hook(add)
        return lambda tokens: spent

    def training_step(self, model: Any) -> Callable[[], object]:
        """Forward, loss and backward of the largest batch."""
        prepared, shapes = self.prepared, self.prepared.shapes()
        batch = shapes.step(shapes.rows)

        def call() -> object:
            model.train()
            model.zero_grad(set_to_none=True)
            prepared.total(model, batch.to(torch.device(self.device)), 0.0).nats.backward()
            return None

        return call
