"""Recall against distance: remember one symbol through noise, and say it when asked.

    noise ... S ... noise ? noise noise ? noise ...       the answer at every ? is S

One symbol of SYMBOLS stands early in a row of noise. Questions follow at random, near ones more
often than far ones, so that a model that carries a symbol a little way is taught to carry it
further. All figures are of rows that training did not see, at exact distances. A recurrent model
has to hold the symbol in its state; attention has to find it.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from phalanx.comparison.clocks import figure
from phalanx.comparison.results import DistancePoint, Verdict
from phalanx.comparison.rules import recall as judge
from phalanx.comparison.small import small
from phalanx.comparison.tuning import Rates
from phalanx.config import ModelConfig
from phalanx.data.batches import IGNORED
from phalanx.data.order import random_bits
from phalanx.models import Decoder, build
from phalanx.tasks.positions import Batch
from phalanx.training.trainer import Step, Trainer

LENGTH = 64
SYMBOLS, NOISE = 8, 8
QUESTION = SYMBOLS + NOISE
VOCABULARY = QUESTION + 1
CHANCE = 1 / SYMBOLS
DISTANCES = (4, 8, 16, 24, 32, 48)
NEAR = DISTANCES[0]
BATCH = 16
TEST_SETS, TEST_ROWS = 3, 256
_STARTS = 8  # the symbol stands at one of the first positions
_LEARNED = 0.01  # nats: nothing is left to learn
_SMOOTHING = 0.1
_TEST_SEED = 1_000_003  # training never draws from this stream


@dataclass(frozen=True)
class Drill:
    """Rows of the task.

    Args:
        inputs_BT: tokens.
        targets_BT: the symbol where a question stands, IGNORED elsewhere.
        starts_B: where the symbol stands.
    """

    inputs_BT: Tensor
    targets_BT: Tensor
    starts_B: Tensor


@dataclass(frozen=True)
class Recalled:
    """What one model recalls.

    Args:
        accuracy: distance -> one accuracy for each test set.
        steps: of training.
        seconds: of training.
    """

    accuracy: dict[int, tuple[float, ...]]
    steps: int
    seconds: float

    def points(self, model: str) -> list[DistancePoint]:
        """The curve as the report draws it."""
        return [
            DistancePoint(model, "recall", "trained", distance, figure(found).median)
            for distance, found in self.accuracy.items()
        ]

    def verdict(self) -> Verdict:
        """Whether it reaches the longest distance."""
        far = figure(self.accuracy[DISTANCES[-1]])
        near = figure(self.accuracy[NEAR]).median
        how = (
            f"Accuracy at distance {DISTANCES[-1]} (at {NEAR}: {near:.3f}; chance {CHANCE:g}) on "
            f"{TEST_SETS} x {TEST_ROWS} new rows, of a copy with each mixer once, "
            f"{self.seconds:.1f} s and {self.steps} steps of training."
        )
        return judge(far.median, near, CHANCE, far.low, far.high, how)


def rows(seed: int, step: int, count: int, asked: tuple[int, ...] = ()) -> Drill:
    """The rows of a step: a pure function of its arguments.

    Args:
        seed, step: keys of what is drawn.
        count: rows.
        asked: distances at which a question stands in any case.
    """
    drawn = random_bits(seed, step, np.arange(count * (2 * LENGTH + 2), dtype=np.int64))
    words = torch.from_numpy((drawn >> np.uint64(11)).astype(np.int64)).reshape(count, -1)
    symbols_B, starts_B = words[:, 0] % SYMBOLS, words[:, 1] % _STARTS
    noise_BT = SYMBOLS + words[:, 2 : 2 + LENGTH] % NOISE
    uniform_BT = words[:, 2 + LENGTH :].double() / 2**53
    distance_BT = torch.arange(LENGTH) - starts_B[:, None]
    # Half of the positions next to the symbol, fewer with the distance, never none.
    rate_BT = (0.08 + 1.0 / distance_BT.clamp(min=1)).clamp(max=0.5)
    question_BT = (distance_BT > 0) & (uniform_BT < rate_BT)
    for distance in asked:
        question_BT |= distance_BT == distance
    inputs_BT = torch.where(question_BT, QUESTION, noise_BT)
    inputs_BT = torch.where(distance_BT == 0, symbols_B[:, None], inputs_BT)
    targets_BT = torch.where(question_BT, symbols_B[:, None], IGNORED)
    return Drill(inputs_BT, targets_BT, starts_B)


def accuracy(
    answer: Callable[[Tensor], Tensor], device: str = "cpu"
) -> dict[int, tuple[float, ...]]:
    """Accuracy at each of DISTANCES, on each test set.

    Args:
        answer: (B, T) tokens to scores (B, T, VOCABULARY).
        device: where the tokens are wanted.
    """
    found: dict[int, list[float]] = {distance: [] for distance in DISTANCES}
    for number in range(TEST_SETS):
        test = rows(_TEST_SEED, number, TEST_ROWS, DISTANCES)
        with torch.no_grad():
            said_BT = answer(test.inputs_BT.to(device)).argmax(-1).cpu()
        index_B = torch.arange(TEST_ROWS)
        for distance in DISTANCES:
            at_B = test.starts_B + distance
            right_B = said_BT[index_B, at_B] == test.targets_BT[index_B, at_B]
            found[distance].append(float(right_B.double().mean()))
    return {distance: tuple(values) for distance, values in found.items()}


def train_recall(
    config: ModelConfig, rates: Rates, seconds: float, seed: int, device: str = "cpu"
) -> Recalled:
    """Train a small copy for so many seconds, and ask.

    Args:
        config: of the contender.
        rates: learning rates.
        seconds: of training, at most.
        seed: of weights and rows.
        device: where.
    """
    model = build(small(config, VOCABULARY, LENGTH), seed=seed)
    assert isinstance(model, Decoder)
    model = model.to(device)
    chosen = rates.training(
        steps=1_000_000,
        seconds=seconds,
        batch_size=BATCH,
        sequence_length=LENGTH,
        warmup_steps=0,
        decay_fraction=0.5,
    )

    def batch(step: int) -> Batch:
        drawn = rows(seed, step, BATCH)
        return Batch(drawn.inputs_BT, drawn.targets_BT)

    trainer = Trainer(model, chosen, batch)
    smooth = 1.0
    for event in trainer.events():
        if isinstance(event, Step):
            smooth += _SMOOTHING * (event.loss - smooth)
            if smooth < _LEARNED:
                trainer.stop()  # the time left is worth more elsewhere
    model.eval()
    return Recalled(accuracy(model, device), trainer.steps, trainer.seconds)
