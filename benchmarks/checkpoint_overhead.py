"""What checkpoints cost: tokens a second with one every 50 steps, against none, in turn.

    python benchmarks/checkpoint_overhead.py input.txt --presets transformer gru --repeats 5

Both runs train the same steps from the same weights and end with the same checkpoint; equal weights
are checked before any figure is printed. Wall time of the whole loop, checkpoints included.
"""

import argparse
import hashlib
import os
import statistics
import tempfile
import time
from pathlib import Path

import torch

from phalanx.config import DataConfig, RunConfig, TrainingConfig
from phalanx.training.metrics import MetricsLog
from phalanx.training.progress import make_progress
from phalanx.training.run import Prepared, make_trainer, prepare
from phalanx.training.run_directory import RunDirectory
from phalanx.training.session import train


def tokens_per_second(prepared: Prepared) -> tuple[float, str, int]:
    """Of a whole run, with a digest of what it ends with, and its checkpoints' size in bytes."""
    with tempfile.TemporaryDirectory(dir=".") as folder:
        path = Path(folder) / "run"
        with RunDirectory(path, prepared) as directory, MetricsLog(path) as log:
            trainer = make_trainer(prepared)
            progress = make_progress(trainer)
            began = time.perf_counter()
            train(trainer, directory, log, progress)
            seconds = time.perf_counter() - began
        weights = (path / "last" / "model.safetensors").read_bytes()
        size = sum(file.stat().st_size for file in (path / "last").resolve().iterdir())
    return trainer.tokens / seconds, hashlib.sha256(weights).hexdigest(), size


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("text")
    parser.add_argument("--presets", nargs="+", default=["transformer", "gru"])
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--repeats", type=int, default=5)
    given = parser.parse_args()
    policy = os.environ.get("OMP_WAIT_POLICY", "not set")
    print(f"{torch.get_num_threads()} threads, OMP_WAIT_POLICY {policy}")
    for preset in given.presets:
        settings = {"steps": given.steps, "evaluate_every": given.steps}
        config = RunConfig(preset=preset, data=DataConfig(paths=(given.text,)))
        runs = {
            every: prepare(
                config.model_copy(
                    update={"train": TrainingConfig(**settings, checkpoint_every=every)}
                )
            )
            for every in (50, given.steps)
        }
        pairs = []
        for _ in range(given.repeats):
            found = {every: tokens_per_second(prepared) for every, prepared in runs.items()}
            (speed, digest, size), (plain, same, _) = found.values()
            if digest != same:
                raise SystemExit(f"{preset}: the weights differ; no time is printed")
            pairs.append((speed, plain))
        ratios = sorted(a / b for a, b in pairs)
        print(
            f"{preset}: {statistics.median(a for a, _ in pairs):,.0f} tokens/s with a checkpoint "
            f"of {size / 2**20:.1f} MiB every 50 steps, "
            f"{statistics.median(b for _, b in pairs):,.0f} without; ratio "
            f"{statistics.median(ratios):.3f} ({ratios[0]:.3f} to {ratios[-1]:.3f})"
        )


if __name__ == "__main__":
    main()
