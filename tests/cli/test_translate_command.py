"""``phalanx translate``: one line in, one line out, whatever the lines are."""

import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import phalanx
from phalanx.cli.lines import LineReader
from phalanx.cli.main import main
from phalanx.config import TrainingConfig
from phalanx.data.samples import Pair
from phalanx.data.tokenizers import train_tokenizer
from phalanx.errors import UsageError
from phalanx.inference import translating
from phalanx.inference.translating import Translator, translate
from phalanx.models import EncoderDecoder, build, preset
from phalanx.runs import load
from phalanx.tasks.translation import TokenPairs, total
from phalanx.training.model_directory import Description, save_model
from phalanx.training.trainer import Trainer

WORDS = {"one": "eins", "two": "zwei", "three": "drei", "four": "vier"}
PAIRS = [
    Pair(" ".join(words), " ".join(WORDS[word] for word in reversed(words)), "pairs.tsv:1")
    for words in ("one", "two", "three", "four", "two two", "one two three", "three one four")
    for words in [words.split()]
]
TOKENIZER = train_tokenizer("words", [" ".join([*WORDS, *WORDS.values()])])
CONTEXT = 12
LINES = ["one two three", "", "four", "  ", "two two", "three one four two one"]


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that has learned a few sentences by heart."""
    path = tmp_path_factory.mktemp("models") / "mine"
    config = preset(
        "gru", TOKENIZER.vocabulary, CONTEXT, kind="encoder_decoder", width=32, layers=1
    )
    model = build(config, 1)
    tokens = TokenPairs.of(TOKENIZER, PAIRS, CONTEXT)
    batch = tokens.batch(np.arange(len(PAIRS)), TOKENIZER.end_id)
    training = TrainingConfig(
        steps=60, batch_size=16, learning_rate=0.02, decay="constant", precision="float32"
    )
    for _ in Trainer(model, training, lambda step: batch, total=total).events():
        pass
    save_model(path, model.eval(), TOKENIZER, Description(task="translation", model=config))
    return path


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "in.txt"
    path.write_text("\n".join(LINES) + "\n")
    return path


def run(capsys: pytest.CaptureFixture[str], *words: object, code: int = 0) -> tuple[str, str]:
    assert main(["translate", *map(str, words)]) == code
    captured = capsys.readouterr()
    return captured.out, captured.err


def expected(directory: Path, lines: list[str] = LINES, **options: Any) -> list[str]:
    opened = load(directory)
    assert isinstance(opened.model, EncoderDecoder)
    return [one.text for one in translate(opened.model, opened.tokenizer, lines, **options)]


def put_on_stdin(monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(data), encoding="ascii"))


def test_each_line_has_its_line(
    directory: Path, file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out, err = run(capsys, directory, "--input", file)
    texts = out.split("\n")
    assert texts == [*expected(directory), ""]
    assert texts[:5] == ["drei zwei eins", "", "vier", "", "zwei zwei"]
    assert err == ""
    put_on_stdin(monkeypatch, file.read_bytes())
    assert run(capsys, directory)[0] == out
    # As others write their files: a byte order mark, CR LF, and no end of the last line.
    put_on_stdin(monkeypatch, b"\xef\xbb\xbf" + "\r\n".join(LINES).encode())
    assert run(capsys, directory, "-i", "-")[0] == out


@pytest.mark.parametrize("batch", [1, 2, 32])
def test_lines_come_in_their_order_whatever_is_done_together(
    directory: Path,
    file: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    batch: int,
) -> None:
    alone = [expected(directory, [line])[0] for line in LINES]
    monkeypatch.setattr(translating, "_WINDOW", 2)
    out, _ = run(capsys, directory, "-i", file, "--batch-size", batch)
    assert out.split("\n")[:-1] == alone


def test_options_of_the_search_reach_it(
    directory: Path, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = {"beam": 2, "length_penalty": 3.0, "max_new_tokens": 2}
    words = ["--beam", 2, "--length-penalty", 3, "--max-new-tokens", 2]
    out, _ = run(capsys, directory, "-i", file, *words)
    assert out.split("\n")[:-1] == expected(directory, **options)
    assert out.split("\n")[:-1] != expected(directory)


def test_several_translations_are_numbered_by_their_line(
    directory: Path, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, _ = run(capsys, directory, "-i", file, "--n", 2)
    rows = [line.split("\t") for line in out.split("\n")[:-1]]
    assert [row[0] for row in rows] == ["1", "1", "3", "3", "5", "5", "6", "6"]
    assert [row[2] for row in rows[::2]] == [text for text in expected(directory) if text]
    scores = [float(row[1]) for row in rows]
    assert all(best >= other for best, other in zip(scores[::2], scores[1::2], strict=True))


def test_json_has_score_and_tokens(
    directory: Path, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, _ = run(capsys, directory, "-i", file, "--json", "--n", 2)
    records = [json.loads(line) for line in out.split("\n")[:-1]]
    assert [record["source"] for record in records] == LINES
    assert [record["text"] for record in records] == expected(directory)
    for record in records:
        if not record["text"]:
            assert (record["score"], record["tokens"], record["candidates"]) == (None, [], [])
            continue
        penalty = ((5 + len(record["tokens"])) / 6) ** 0.6
        assert record["score"] == pytest.approx(record["log_probability"] / penalty)
        assert record["ended"] == (record["tokens"][-1] == TOKENIZER.end_id)
        assert record["candidates"][0]["text"] == record["text"]
        assert len(record["candidates"]) == 2


def test_a_new_file_is_written_and_none_replaced(
    directory: Path, file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "out.txt"
    assert run(capsys, directory, "-i", file, "-o", target) == ("", "")
    assert target.read_text().split("\n")[:-1] == expected(directory)
    before = target.read_bytes()
    _, err = run(capsys, directory, "-i", file, "-o", target, code=2)
    assert "exists already" in err
    assert target.read_bytes() == before


def test_long_lines_are_cut_with_a_count(
    directory: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    long = " ".join(["one two three four"] * 5)
    kept = " ".join(long.split()[: CONTEXT - 1])
    put_on_stdin(monkeypatch, f"one\n{long}\ntwo five\n".encode())
    out, err = run(capsys, directory)
    assert out.split("\n")[1] == expected(directory, [kept])[0]
    assert "1 of 3 lines are longer than 12 tokens" in err
    assert "without their end: 2\n" in err
    assert "words of the lines that the model does not know: 1" in err


def test_attention_is_written_as_data_and_as_a_picture(
    directory: Path, file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(capsys, directory, "-i", file, "--attention", tmp_path / "maps.json")
    maps = json.loads((tmp_path / "maps.json").read_text())
    assert [one["text"] for one in maps] == [line for line in LINES if line.strip()]
    assert [one["translation"] for one in maps] == [text for text in expected(directory) if text]
    first = maps[0]
    assert first["source"] == ["one", "two", "three", "end"]
    weights = torch.tensor(first["layers"])  # layers, heads, target, source
    assert weights.shape == (1, 1, len(first["target"]), 4)
    assert torch.allclose(weights.sum(-1), torch.ones(()), atol=1e-3)
    run(capsys, directory, "-i", file, "--attention", tmp_path / "maps.svg")
    picture = (tmp_path / "maps.svg").read_text()
    assert "<svg" in picture
    for name, said in (("maps.svg", "exists already"), ("maps.png", ".json or .svg")):
        _, err = run(capsys, directory, "-i", file, "--attention", tmp_path / name, code=2)
        assert said in err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--beam", "0"], "beam 0"),
        (["--n", "5"], "5 answers of a beam of 4"),
        (["--batch-size", "0"], "--batch-size 0"),
        (["--max-new-tokens", "0"], "max_new_tokens 0"),
        (["-i", "nowhere.txt"], "nowhere.txt: No such file"),
    ],
)
def test_what_cannot_be_done_is_said_before_anything_is_written(
    directory: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    out, err = run(capsys, directory, *words, code=2)
    assert out == ""
    assert said in err


def test_a_model_of_another_task_does_not_translate(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = preset("gru", TOKENIZER.vocabulary, 8, width=16)
    save_model(tmp_path / "other", build(config, 0), TOKENIZER, Description(model=config))
    _, err = run(capsys, tmp_path / "other", code=2)
    assert "trained for language modelling does not translate" in err


def test_a_line_that_is_no_text_ends_what_was_done_before_it(
    directory: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    put_on_stdin(monkeypatch, b"one two\nfour\n\xff\xfe\none\n")
    out, err = run(capsys, directory, code=2)
    assert out.split("\n")[:-1] == expected(directory, ["one two", "four"])
    assert "stdin:3: not UTF-8 text, byte 0xff" in err


class _Pieces(io.BytesIO):
    """A stream that gives what it has piece by piece."""

    def __init__(self, *pieces: bytes) -> None:
        self.pieces = [*pieces]

    def read1(self, size: int | None = -1, /) -> bytes:
        return self.pieces.pop(0) if self.pieces else b""


def test_lines_are_handed_on_as_they_come() -> None:
    stream = _Pieces(b"\xef\xbb\xbfon", b"e\n", b"tw\xc3", b"\xb6\r\nthree\n\nfo", b"ur")
    assert list(LineReader(stream, "it")) == [["one"], ["twö", "three", ""], ["four"]]
    assert list(LineReader(_Pieces(), "it")) == []
    lines = iter(LineReader(_Pieces(b"one\n", b"two\n\xff\n"), "it"))
    assert [next(lines), next(lines)] == [["one"], ["two"]]
    with pytest.raises(UsageError, match="it:3: not UTF-8"):
        next(lines)


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["SIGINT", "SIGTERM"]
)
def test_an_interruption_keeps_what_is_done_whole(
    directory: Path,
    file: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    number: signal.Signals,
    code: int,
) -> None:
    monkeypatch.setattr(translating, "_WINDOW", 1)
    plain, batches = Translator._batch, []

    def spy(self: Translator, sources: list[list[int]]) -> Any:
        batches.append(sources)
        if len(batches) == 2:
            os.kill(os.getpid(), number)
        return plain(self, sources)

    monkeypatch.setattr(Translator, "_batch", spy)
    out, err = run(capsys, directory, "-i", file, "--batch-size", 2, code=code)
    # Two windows of two lines were begun, and both came to their end.
    assert out.split("\n")[:-1] == expected(directory)[:4]
    assert f"{number.name}: what was translated so far is kept" in err


def test_a_signal_ends_the_wait_for_a_line_and_a_reader_may_leave(directory: Path) -> None:
    source = str(Path(phalanx.__file__).parents[1])
    command = [sys.executable, "-m", "phalanx", "translate", str(directory)]
    environment = {**os.environ, "PYTHONPATH": source, "PYTHONIOENCODING": "utf-8"}
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"one two three\n")  # and nothing more: it is answered all the same
        process.stdin.flush()
        assert process.stdout.readline().decode().strip() == expected(directory)[0]
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
    full = subprocess.run(
        f"printf 'one\\n%.0s' $(seq 200) | {' '.join(command)} --beam 1 | head -n 1",
        shell=True,
        capture_output=True,
        env=environment,
        timeout=60,
        check=False,
    )
    assert full.stdout.decode().strip() == expected(directory, ["one"], beam=1)[0]
    assert b"Traceback" not in full.stderr


def test_predict_reads_the_column_named_and_writes_what_the_ending_says(
    directory: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table, output = tmp_path / "some.csv", tmp_path / "out.txt"
    table.write_text("number,output,note\n1,four,x\n")
    asked = ["predict", str(directory), str(table), "--text-column", "output"]
    assert main([*asked, "-o", str(tmp_path / "out.csv")]) == 2
    assert "a file that ends in .txt" in capsys.readouterr().err
    assert main([*asked, "-o", str(output)]) == 0
    assert output.read_text().splitlines() == expected(directory, ["four"])


def test_predict_reads_commands_as_training_does(
    directory: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "scan.txt").write_text("IN: four OUT: vier\nIN: two two OUT: zwei zwei\n")
    assert main(["predict", str(directory), str(tmp_path / "scan.txt")]) == 0
    assert capsys.readouterr().out.splitlines() == expected(directory, ["four", "two two"])


def test_a_map_without_a_place_is_refused_before_anything_is_translated(
    directory: Path, file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / "missing" / "maps.svg"
    assert main(["translate", str(directory), "-i", str(file), "--attention", str(place)]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert f"there is no folder {place.parent}" in said.err
