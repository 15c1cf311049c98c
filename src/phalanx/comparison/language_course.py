"""Language modelling as what models of a comparison are trained and judged on."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from phalanx.comparison.contenders import Contender
from phalanx.comparison.course import Course
from phalanx.comparison.tuning import rates_of
from phalanx.comparison.work import Work, train_call
from phalanx.config import TrainingConfig
from phalanx.data.batches import LanguageWindows
from phalanx.data.tokenizers import Tokenizer
from phalanx.profiling.machine.hardware import synchronise
from phalanx.tasks.language_modelling import Text, batches, evaluate
from phalanx.training.trainer import Trainer

BATCH, LENGTH = 16, 64


class LanguageCourse(Course):
    """Windows of text, and every position of an even selection of the validation side's windows.

    Args:
        windows: training samples; the order is a function of the seed.
        text: what is validated on.
        work: FLOPs by model.
        seed: of weights and order.
        device: where.
    """

    def __init__(
        self,
        windows: LanguageWindows,
        text: Text,
        work: dict[str, Work],
        seed: int,
        device: str,
    ) -> None:
        self.windows = windows
        self.text = text
        self.work = work
        self.seed = seed
        self.device = device

    @property
    def step_tokens(self) -> float:
        """Tokens of a step."""
        return BATCH * LENGTH

    def config(self, contender: Contender, **chosen: Any) -> TrainingConfig:
        """A contender's rates, and batches of the common shape."""
        rates = rates_of(contender.preset)
        return rates.training(batch_size=BATCH, sequence_length=LENGTH, **chosen)

    def trainer(
        self, model: Any, config: TrainingConfig, validate_seconds: float | None = None
    ) -> Trainer:
        """The trainer of one run."""
        return Trainer(
            model,
            config,
            batches(self.windows, BATCH),
            validate=lambda m: evaluate(m, self.text).as_dict(),
            validate_seconds=validate_seconds,
        )

    def validation_seconds(self, model: Any) -> float:
        """What one validation takes, from passes over some of it."""
        windows = self.text.windows
        rows = windows.take(0, min(128, len(windows)))[0].to(self.device)
        taken = []
        with torch.no_grad():
            for _ in range(2):
                start = time.perf_counter()
                model(rows)
                synchronise(self.device)
                taken.append(time.perf_counter() - start)
        return min(taken) * len(windows) / len(rows)

    def flops_meter(self, contender: Contender, model: Any) -> Callable[[int], float]:
        """FLOPs by tokens: every row is as long."""
        each = float(self.work[contender.name].train.at(LENGTH)) / LENGTH
        return lambda tokens: tokens * each

    def training_step(self, model: Any) -> Callable[[], object]:
        """Forward, loss and backward of the first batch."""
        inputs_BT, _ = self.windows.batch(0, BATCH)
        return train_call(model, inputs_BT)


def selection(
    tokenizer: Tokenizer, ids_N: NDArray[np.int32], tokens: int, length: int = LENGTH
) -> Text:
    """Every position of about ``tokens`` tokens of a text: whole windows, evenly spread over it.

    Raises:
        UsageError: fewer than two tokens.
    """
    whole = (len(ids_N) - 1) // length * length
    return Text.over(tokenizer, ids_N, length, min(tokens, whole))
