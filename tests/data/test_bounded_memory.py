"""What a survey takes does not grow with the file."""

import gzip
import json
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import re, sys
from phalanx.data.check import check_data
from phalanx.data.sources import load_corpus

def peak_after(paths):
    for path in paths:
        corpus = load_corpus(path)
        assert sum(len(piece.text) for piece in corpus.train) == corpus.train.characters
        assert check_data(path).accepted
    # Not ru_maxrss: a process inherits that from the one that started it.
    status = open("/proc/self/status").read()
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", status)[1])

half = len(sys.argv) // 2 + 1
small = peak_after(sys.argv[1:half])
print((peak_after(sys.argv[half:]) - small) >> 10)
"""


def make(folder: Path, megabytes: int) -> list[Path]:
    """One line without white space, a file that gzip made small, and many rows."""
    folder.mkdir()
    long, bomb, rows = folder / "long.txt", folder / "bomb.txt.gz", folder / "rows.jsonl.gz"
    with long.open("wb") as file, gzip.open(bomb, "wb", compresslevel=1) as packed:
        for _ in range(megabytes):
            file.write("🌊é".encode().ljust(1_000_000, b"x"))
            packed.write(b"a" * 1_000_000)
    with gzip.open(rows, "wt", compresslevel=1) as file_of_rows:
        for number in range(megabytes * 300):
            file_of_rows.write(json.dumps({"text": f"{number} " + "word " * 100}) + "\n")
    return [long, bomb, rows]


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no /proc on this system")
@pytest.mark.parametrize("megabytes", [12, pytest.param(120, marks=pytest.mark.slow)])
def test_files_are_streamed(tmp_path: Path, megabytes: int) -> None:
    paths = [*make(tmp_path / "small", 3), *make(tmp_path / "large", megabytes)]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *map(str, paths)],
        capture_output=True,
        text=True,
        check=True,
    )
    growth = int(done.stdout)  # some of the allocator's; read whole, 12 MB would be 48 here
    assert growth < 24, f"{growth} MiB more at {megabytes} MB a file than at 3"
