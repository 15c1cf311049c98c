"""Learning rates of the presets, from one sweep with as many trials for each."""

from dataclasses import dataclass
from typing import Any, Literal

from phalanx.config import TrainingConfig

TRIALS = 7
"""Trials a preset: AdamW at 0.003, 0.006 and 0.012; Muon at 0.01, 0.02, 0.04 and 0.08."""


@dataclass(frozen=True)
class Rates:
    """What a preset is trained with.

    Args:
        optimizer: ``muon`` moves the matrices of the blocks by Muon, all else by AdamW.
        learning_rate: peak, of AdamW.
        embedding_learning_rate: peak, of AdamW for the table of tokens.
        muon_learning_rate: peak, of Muon.
        trials: of the sweep that found them; 0 for rates that were taken over from elsewhere.
    """

    optimizer: Literal["adamw", "muon"] = "muon"
    learning_rate: float = 0.003
    embedding_learning_rate: float = 0.01
    muon_learning_rate: float = 0.04
    trials: int = TRIALS

    def training(self, **chosen: Any) -> TrainingConfig:
        """Training at these rates, in float32; ``chosen`` are the other fields."""
        return TrainingConfig(
            optimizer=self.optimizer,
            learning_rate=self.learning_rate,
            embedding_learning_rate=self.embedding_learning_rate,
            muon_learning_rate=self.muon_learning_rate,
            precision="float32",
            **chosen,
        )


# Muon won for every preset, by 0.10 to 0.21 nats (benchmarks/sweep.py; table in docs/log.md).
RATES: dict[str, Rates] = {
    "rnn": Rates(),
    "lstm": Rates(muon_learning_rate=0.08),
    "gru": Rates(),
    "mingru": Rates(),
    "transformer": Rates(),
    "transformer-2017": Rates(trials=0),
    "gpt2": Rates(trials=0),
}
UNTUNED = Rates(trials=0)
"""For architectures that no sweep has seen: the rates that won for all that it has."""


def rates_of(preset: str) -> Rates:
    """The rates of a preset; those of an architecture of its own for any other name."""
    return RATES.get(preset, UNTUNED)
