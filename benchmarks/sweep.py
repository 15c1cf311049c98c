"""The sweep behind the presets' learning rates: the same trials for every preset.

    python benchmarks/sweep.py TEXT [--tokens 300000] [--size 400000] [--json FILE]
    python benchmarks/sweep.py TEXT --presets rnn gru --layers 1 --trials 6 7   # another depth

Every preset, brought to the same number of parameters outside its tables, is trained on the same
tokens in the same order with each of seven settings: AdamW at three rates, Muon (AdamW for tables
and vectors) at four. Prints the loss over the whole validation text, and seconds of training. The
best settings stand in src/phalanx/comparison/tuning.py, the table in docs/log.md.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import torch

from phalanx.config import DataConfig, RunConfig, TrainingConfig
from phalanx.training.run import make_trainer, prepare
from phalanx.training.trainer import Validation

PRESETS = ("rnn", "lstm", "gru", "mingru", "transformer")
BATCH, LENGTH = 16, 64
TRIALS: tuple[dict[str, Any], ...] = (
    {"optimizer": "adamw", "learning_rate": 3e-3},
    {"optimizer": "adamw", "learning_rate": 6e-3},
    {"optimizer": "adamw", "learning_rate": 1.2e-2},
    {"optimizer": "muon", "muon_learning_rate": 0.01},
    {"optimizer": "muon", "muon_learning_rate": 0.02},
    {"optimizer": "muon", "muon_learning_rate": 0.04},
    {"optimizer": "muon", "muon_learning_rate": 0.08},
)


def trial(
    text: str,
    preset: str,
    size: int,
    tokens: int,
    setting: dict[str, Any],
    layers: int | None = None,
) -> dict[str, Any]:
    steps = tokens // (BATCH * LENGTH)
    train = TrainingConfig(
        steps=steps, batch_size=BATCH, sequence_length=LENGTH, evaluate_every=steps, **setting
    )
    model = {} if layers is None else {"layers": layers}
    data = DataConfig(paths=(text,))
    config = RunConfig(preset=preset, size=size, model=model, data=data, train=train)
    trainer = make_trainer(prepare(config))
    last = [event for event in trainer.events() if isinstance(event, Validation)][-1]
    inner = trainer.model.parameter_counts()[1]
    return {
        "preset": preset,
        **setting,
        "layers": trainer.model.config.layers,
        "width": trainer.model.config.width,
        "parameters": inner,
        "loss": round(last.loss, 4),
        "seconds": round(last.seconds, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("text")
    parser.add_argument("--tokens", type=int, default=300_000)
    parser.add_argument("--size", type=int, default=400_000)
    parser.add_argument("--presets", nargs="+", default=PRESETS)
    parser.add_argument("--layers", type=int, help="another depth than the presets' own")
    parser.add_argument("--trials", type=int, nargs="+", default=range(1, len(TRIALS) + 1))
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    found = []
    for preset in chosen.presets:
        for setting in (TRIALS[number - 1] for number in chosen.trials):
            given = (chosen.text, preset, chosen.size, chosen.tokens)
            result = trial(*given, setting, chosen.layers)
            found.append(result)
            print(json.dumps(result), flush=True)
    if chosen.json:
        chosen.json.write_text(json.dumps(found, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
