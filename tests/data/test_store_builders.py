"""Builders of one token store that are killed, and two at once: in processes of their own."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from phalanx import durable
from phalanx.data.sources import Corpus, load_corpus
from phalanx.data.store import open_store

# Says so when it comes to a place, and waits there for a line.
BUILDER = """
import sys
from phalanx.data import store as stores
from phalanx.data.sources import load_corpus

place, name, text = sys.argv[1:]
module = stores if hasattr(stores, place) else stores.durable
original = getattr(module, place)

def pausing(*given):
    if any(str(path).endswith(name) for path in given):
        print("there", flush=True)
        sys.stdin.readline()
    return original(*given)

setattr(module, place, pausing)
store = stores.open_store(load_corpus(text), "characters")
print(store.path, len(store.train), int(store.train.sum()), flush=True)
"""
# A function and the end of the path it is given: while encoding, while files are made to last,
# before the rename, at it and after it.
PLACES = [
    ("_write_stream", "validation.bin"),
    ("_sync", "train.bin"),
    ("_sync_directory", "-store"),
    ("_rename", "/store"),
    ("_map", "/store"),
]
RENAME, ENCODING, NOWHERE = PLACES[3], ("_write_stream", "train.bin"), ("_map", "nowhere")


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "text.txt"
    path.write_text("one two three, four five six. " * 200)
    return path


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    monkeypatch.setenv("PHALANX_CACHE", str(tmp_path / "cache"))
    return dict(os.environ)


def start(
    place: tuple[str, str], text: Path, environment: dict[str, str]
) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", BUILDER, *place, str(text)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )


def line(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def expected_tokens(corpus: Corpus) -> list[int]:
    store = open_store(corpus, "characters")
    return store.tokenizer.encode_documents(corpus.train.texts()).tolist()


@pytest.mark.parametrize("place", PLACES)
def test_a_killed_builder_is_replaced(
    place: tuple[str, str],
    text: Path,
    environment: dict[str, str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    with start(place, text, environment) as builder:
        assert line(builder) == "there"
        builder.send_signal(signal.SIGKILL)
        builder.communicate()
    corpus = load_corpus(text)
    store = open_store(corpus, "characters")
    assert capsys.readouterr().err == "", "a part is not taken for a damaged store"
    assert store.train.tolist() == expected_tokens(corpus)
    assert {entry.name for entry in store.path.parent.iterdir()} == {"lock", "store"}
    durable.verify(store.path)


def test_of_two_builders_the_second_takes_what_the_first_made(
    text: Path, environment: dict[str, str]
) -> None:
    with start(RENAME, text, environment) as first:
        assert line(first) == "there"
        with start(ENCODING, text, environment) as second:
            assert second.stderr is not None
            assert "waiting" in second.stderr.readline()
            first_line, _ = first.communicate("\n")
            # The second would say "there" if it came to encode anything.
            second_line, _ = second.communicate()
    assert first.returncode == second.returncode == 0
    assert first_line.strip() == second_line.strip() != ""


def test_a_waiting_builder_goes_on_when_the_first_is_killed(
    text: Path, environment: dict[str, str]
) -> None:
    with start(RENAME, text, environment) as first:
        assert line(first) == "there"
        with start(NOWHERE, text, environment) as second:
            time.sleep(0.2)
            first.kill()
            first.communicate()
            printed, _ = second.communicate()
    store = open_store(load_corpus(text), "characters")
    assert printed.split() == [str(store.path), str(len(store.train)), str(store.train.sum())]
