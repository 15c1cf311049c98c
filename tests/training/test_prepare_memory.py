"""Memory does not grow with the text: measured in a process of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

GOLDEN = Path(__file__).parents[1] / "goldens" / "corpus.txt"
MEASURE = """
import json, resource, sys
from phalanx.config import RunConfig
from phalanx.training.run import prepare

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

before = peak()
data = {"paths": [sys.argv[1]], "tokenizer": sys.argv[2]}
run = prepare(RunConfig.model_validate({"data": data, "device": "cpu"}))
run.windows.batch(0, 16)
print(json.dumps({"before": before, "peak": peak(), "tokens": len(run.tokens)}))
"""


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["characters", "bpe"])
@pytest.mark.parametrize("shape", ["words", "one line"])
def test_a_hundred_megabytes_are_prepared_in_bounded_memory(
    kind: str, shape: str, tmp_path: Path
) -> None:
    text = GOLDEN.read_text(encoding="utf-8")
    path = tmp_path / "text.txt"
    with path.open("w", encoding="utf-8") as file:
        number = written = 0
        while written < 100_000_000:
            part = text.replace(" the ", f" the{number:x} ")  # words that differ
            number += 1
            written += file.write(part if shape == "words" else "".join(part.split()))
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, str(path), kind],
        env={**os.environ, "PHALANX_CACHE": str(tmp_path / "cache")},
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(done.stdout)
    assert found["tokens"] > 10_000_000
    assert found["peak"] < 1_000_000_000, "the process whole, torch included"
    assert found["peak"] - found["before"] < 450_000_000
