"""Train for an hour under random SIGTERM and SIGKILL, and beside it in peace: the same weights?

    python tests/faults/soak.py input.txt --minutes 60 --preset transformer -o /tmp/soak

Prints what became of each life, then the comparison; exits 0 where all is equal, 1 otherwise. The
length of the run is chosen by a short trial, so that with its lives it takes about so long.
"""

import argparse
import json
import random
import signal
import time
from pathlib import Path

from lives import DONE, Lives, disturbed, end_of, live, result, wait

TRIAL_STEPS = 40


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("text", type=Path)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--preset", default="transformer")
    parser.add_argument("--steps", type=int, help="instead of as many as the time allows")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("-o", "--output", type=Path, required=True)
    given = parser.parse_args()
    given.output.mkdir(parents=True)
    log, random_state = given.output / "log", random.Random(given.seed)

    def command(name: str, steps: int) -> list[str]:
        settings = {
            "steps": steps,
            "size": 100_000,
            "train.evaluate_every": 100,
            "train.checkpoint_every": 50,
            "train.micro_batch_size": 12,
            "train.average": 0.999,
            "model.dropout": 0.1,
            "data.tokenizer": "bpe",
            "data.vocabulary": 1024,
        }
        options = [word for key, value in settings.items() for word in (f"--{key}", str(value))]
        run = given.output / name
        start = ["train", str(given.text), "--preset", given.preset, "-o", str(run)]
        return [*start, *options, "--resume", "auto"]

    began = time.monotonic()
    assert end_of(live(command("trial", TRIAL_STEPS), log)) == DONE, log.read_text()
    trained = json.loads((given.output / "trial" / "last" / "training.json").read_text())
    pace = trained["seconds"] / TRIAL_STEPS
    steps = given.steps or int(given.minutes * 60 / pace)
    print(f"{given.preset}: {pace * 1000:.0f} ms a step; {steps} steps", flush=True)

    def tell(lives: Lives) -> None:
        place = lives.said[-1].strip().splitlines()[-1:]
        print(f"{time.monotonic() - began:7.0f} s  ended {lives.ends[-1]}  {place}", flush=True)

    until = time.monotonic() + given.minutes * 60
    peaceful = live(command("peace", steps), given.output / "log-of-peace")
    lives = disturbed(
        command("disturbed", steps),
        log,
        lambda child, _: wait(child, random_state.uniform(5.0, 90.0)),
        choose=lambda: random_state.choice([signal.SIGTERM, signal.SIGKILL]),
        enough=lambda _: time.monotonic() > until,
        tell=tell,
    )
    disturbed_seconds = time.monotonic() - until + given.minutes * 60
    assert lives.ends[-1] == DONE, lives.said[-1]
    assert end_of(peaceful) == DONE, (given.output / "log-of-peace").read_text()
    equal = result(given.output / "disturbed") == result(given.output / "peace")
    found = {
        "preset": given.preset,
        "steps": steps,
        "seconds": round(disturbed_seconds),
        "killed": lives.count(-signal.SIGKILL),
        "terminated": lives.count(128 + signal.SIGTERM) + lives.count(-signal.SIGTERM),
        "lives": len(lives.ends),
        "equal": equal,
    }
    print(json.dumps(found))
    return 0 if equal else 1


if __name__ == "__main__":
    raise SystemExit(main())
