"""Seconds to a validation loss of 1.8857 on tiny Shakespeare: phalanx's recipe and nanoGPT's.

    python benchmarks/shakespeare.py TEXT [--repeats 3] [--compile] [--threads 2] [--json FILE]

Both run as whole processes, in turn (A B A B), each timed from outside: start, import, reading the
text, compilation and training included; a validation of all non-overlapping windows of 64 gates
each time, and a run that misses the loss prints none. Two yardsticks: nanoGPT's CPU quick start in
plain torch (benchmarks/nanogpt_cpu.py), for its 2000 steps or until it reaches the loss, and the
same recipe through phalanx (recipes/nanogpt-cpu.yaml), which tells recipe and engine apart.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
RECIPES = HERE.parent / "recipes"
TARGET = 1.8857


def phalanx(text: Path, recipe: str, threads: int) -> dict[str, Any]:
    """One training run through the command line."""
    with tempfile.TemporaryDirectory() as place:
        run = Path(place) / "run"
        command = [sys.executable, "-m", "phalanx", "train", str(text), "-o", str(run)]
        seconds = _timed([*command, "--config", str(RECIPES / recipe)], threads)
        lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    last = [line for line in lines if line["kind"] == "validation"][-1]
    return {"loss": last["loss"], "seconds": seconds, "training_seconds": last["seconds"]}


def plain(text: Path, threads: int, compiled: bool) -> dict[str, Any]:
    """One run of the yardstick in plain torch."""
    with tempfile.NamedTemporaryFile("r+") as output:
        command = [sys.executable, str(HERE / "nanogpt_cpu.py"), str(text), "--until-target"]
        command += ["--threads", str(threads), *(["--compile"] if compiled else [])]
        seconds = _timed(command, threads, output)
        output.seek(0)
        last = json.loads(output.read().splitlines()[-1])
    loss, training = last["validation_loss"], last["seconds"]
    return {"loss": loss, "seconds": seconds, "training_seconds": training}


def _timed(command: list[str], threads: int, output: Any = subprocess.DEVNULL) -> float:
    environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=output, stderr=subprocess.DEVNULL, env=environment)
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("text", type=Path)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    text, threads = chosen.text, chosen.threads
    runs = {
        "phalanx, shakespeare-char": lambda: phalanx(text, "shakespeare-char.yaml", threads),
        "phalanx, nanogpt-cpu": lambda: phalanx(text, "nanogpt-cpu.yaml", threads),
        "plain torch, nanoGPT": lambda: plain(text, threads, chosen.compile),
    }
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in runs}
    for _ in range(chosen.repeats):
        for name, run in runs.items():
            found[name].append(run())
            print(name, json.dumps(found[name][-1]), flush=True)
    policy = os.environ.get("OMP_WAIT_POLICY", "not set")
    print(f"\n{threads} threads, OMP_WAIT_POLICY {policy}; seconds of the whole process")
    for name, results in found.items():
        losses = [result["loss"] for result in results]
        seconds = sorted(result["seconds"] for result in results)
        training = statistics.median(result["training_seconds"] for result in results)
        reached = max(losses) <= TARGET
        verdict = "" if reached else f"  MISSES {TARGET}: no time to it"
        print(
            f"{name:28} loss {min(losses):.4f}..{max(losses):.4f}  "
            f"{statistics.median(seconds):7.1f} s ({seconds[0]:.1f}..{seconds[-1]:.1f}), "
            f"training {training:.1f} s{verdict}"
        )
    pairs = [
        b["seconds"] / a["seconds"]
        for a, b in zip(
            found["phalanx, shakespeare-char"], found["plain torch, nanoGPT"], strict=True
        )
    ]
    low, high = min(pairs), max(pairs)
    print(f"ratio, pair by pair: {statistics.median(pairs):.1f} ({low:.1f}..{high:.1f})")
    if chosen.json:
        chosen.json.write_text(json.dumps(found, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
