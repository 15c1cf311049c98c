"""Ctrl-C, SIGTERM and readers that leave: what was written stays, and the exit code says why."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

import phalanx
from phalanx.cli.main import main
from phalanx.data.tokenizers import train_tokenizer
from phalanx.inference import Decoding
from phalanx.models import build, preset
from phalanx.training.model_directory import Description, save_model

ENDLESS = ["--max-new-tokens", "1000000000"]


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recurrent model that never ends a document."""
    path = tmp_path_factory.mktemp("models") / "endless"
    tokenizer = train_tokenizer("bytes", [])
    config = preset(
        "gru", tokenizer.vocabulary, 16, width=16, layers=1, tied=False, output_bias=True
    )
    model = build(config, seed=1)
    assert model.output is not None
    torch.nn.init.zeros_(model.output.bias)
    with torch.no_grad():
        model.output.bias[tokenizer.end_id] = -1e9
        model.output.bias[ord("a") : ord("z")] = 20  # whole characters
    save_model(path, model, tokenizer, Description(model=config))
    return path


@pytest.fixture
def at_step(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, Callable[[], None]], None]:
    """Do something in the middle of a generation."""

    def install(number: int, act: Callable[[], None]) -> None:
        step, count = Decoding.step, [0]

        def spy(self: Decoding, tokens_B: Tensor, active_B: Tensor | None = None) -> Tensor:
            count[0] += 1
            if count[0] == number:
                act()
            return step(self, tokens_B, active_B)

        monkeypatch.setattr(Decoding, "step", spy)

    return install


AtStep = Callable[[int, Callable[[], None]], None]
signals = pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["SIGINT", "SIGTERM"]
)


@signals
def test_a_streamed_text_ends_with_its_line(
    directory: Path,
    capsys: pytest.CaptureFixture[str],
    at_step: AtStep,
    number: signal.Signals,
    code: int,
) -> None:
    before = signal.getsignal(number)
    at_step(4, lambda: signal.raise_signal(number))
    assert main(["generate", str(directory), "--prompt", "Hi", *ENDLESS]) == code
    out, err = capsys.readouterr()
    assert out.startswith("Hi")
    assert out.endswith("\n")
    assert len(out) == len("Hi") + 5 + 1  # the step under way is finished
    assert number.name in err
    assert signal.getsignal(number) is before


@signals
def test_json_holds_what_was_written(
    directory: Path,
    capsys: pytest.CaptureFixture[str],
    at_step: AtStep,
    number: signal.Signals,
    code: int,
) -> None:
    at_step(4, lambda: signal.raise_signal(number))
    words = ["generate", str(directory), "--json", "--n", "5", "--batch-size", "2", *ENDLESS]
    assert main(words) == code
    samples = json.loads(capsys.readouterr().out)["samples"]
    # What was not begun is not there.
    assert [(s["sample"], s["ended"], len(s["tokens"])) for s in samples] == [
        (0, "interrupted", 5),
        (1, "interrupted", 5),
    ]


def test_lines_hold_what_was_written(directory: Path, tmp_path: Path, at_step: AtStep) -> None:
    (tmp_path / "prompts.txt").write_text("one\ntwo\nthree\n")
    out = tmp_path / "out.jsonl"
    words = ["generate", str(directory), "--prompts", str(tmp_path / "prompts.txt")]
    at_step(7, lambda: signal.raise_signal(signal.SIGTERM))
    words += ["-o", str(out), "--batch-size", "2", "--max-new-tokens", "6"]
    assert main(words) == 143
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert [(line["prompt"], line["ended"], len(line["tokens"])) for line in lines] == [
        ("one", "length", 6),
        ("two", "length", 6),
        ("three", "interrupted", 3),
    ]


@signals
def test_a_second_signal_leaves_at_once(
    directory: Path,
    capsys: pytest.CaptureFixture[str],
    at_step: AtStep,
    number: signal.Signals,
    code: int,
) -> None:
    reached = []

    def twice() -> None:
        signal.raise_signal(number)
        signal.raise_signal(number)
        reached.append(True)

    at_step(4, twice)
    assert main(["generate", str(directory), *ENDLESS]) == code
    assert not reached
    assert "Traceback" not in capsys.readouterr().err


def command(*words: str, **variables: str) -> subprocess.Popen[bytes]:
    source = str(Path(phalanx.__file__).parents[1])
    return subprocess.Popen(
        [sys.executable, "-m", "phalanx", "generate", *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": source, "OMP_NUM_THREADS": "1", **variables},
    )


@pytest.mark.slow
@signals
def test_a_signal_from_outside(directory: Path, number: signal.Signals, code: int) -> None:
    with command(str(directory), "--prompt", "Hi", *ENDLESS) as process:
        assert process.stdout is not None
        begun = process.stdout.read(10)  # it comes as it is written, though this is a pipe
        process.send_signal(number)
        rest, err = process.communicate(timeout=60)
        assert process.returncode == code
    assert (begun + rest).startswith(b"Hi")
    assert rest.endswith(b"\n")
    assert b"Traceback" not in err


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    [
        ["--prompt", "-", *ENDLESS],
        ["--prompt", "-", "--n", "1000000", "--max-new-tokens", "9"],
        ["--prompts", "-", "--n", "1000000", "--max-new-tokens", "9"],
    ],
    ids=["stream", "samples", "lines"],
)
def test_a_reader_that_leaves_early_ends_it_quietly(directory: Path, words: list[str]) -> None:
    with command(str(directory), *words, LC_ALL="C") as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdin.write("hé\n".encode())
        process.stdin.close()
        process.stdout.read(3)
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(60) == 1
