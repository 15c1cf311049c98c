"""Prompts from files, and results as lines: what goes in comes out, in order, whatever happens."""

import errno
import io
import json
import os
from pathlib import Path

import pytest
import torch

from phalanx import runs
from phalanx.cli import generated
from phalanx.cli.main import main
from phalanx.cli.prompts import Prompt, read_prompts
from phalanx.data.tokenizers import train_tokenizer
from phalanx.errors import UsageError
from phalanx.inference import Decoding
from phalanx.models import build, preset
from phalanx.training.model_directory import Description, save_model

CONTEXT = 32
Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "mine"
    tokenizer = train_tokenizer("bytes", [])
    config = preset("transformer", tokenizer.vocabulary, CONTEXT, width=32, layers=1)
    save_model(path, build(config, seed=1), tokenizer, Description(model=config))
    return path


@pytest.fixture(autouse=True)
def _rounding_decides_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    load = runs.load

    def exact(path: Path, device: str) -> runs.Run:
        run = load(path, device)
        run.model.double()
        return run

    monkeypatch.setattr(runs, "load", exact)


def written(path: Path, content: str | bytes) -> str:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return str(path)


def lines(text: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.parametrize(
    ("name", "content", "texts", "places"),
    [
        ("a.txt", "one\ntwo\n", ["one", "two"], [1, 2]),
        ("a.txt", "\ufeffone\r\n\r\n  \r\ntwo", ["one", "  ", "two"], [1, 3, 4]),
        ("a.txt", '{"prompt": "x"}\n', ['{"prompt": "x"}'], [1]),
        ("a.jsonl", '{"prompt": "x\\ny"}\n\n  \n{"prompt": ""}\n', ["x\ny", ""], [1, 4]),
        ("a.JSONL", '\ufeff{"prompt": "漢\\u6f22"}\r\n', ["漢漢"], [1]),
    ],
)
def test_a_line_is_a_prompt(
    tmp_path: Path, name: str, content: str, texts: list[str], places: list[int]
) -> None:
    path = written(tmp_path / name, content)
    expected = [Prompt(text, f"{path}:{at}") for text, at in zip(texts, places, strict=True)]
    assert read_prompts(path) == expected


@pytest.mark.parametrize(
    ("content", "texts"),
    [("one\n{}\n", ["one", "{}"]), ('\n{"prompt": "one", "id": 1}\n', ["one"]), ("[1]", ["[1]"])],
)
def test_stdin_and_pipes_may_hold_lines_or_objects(
    monkeypatch: pytest.MonkeyPatch, content: str, texts: list[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content.encode()), "ascii"))
    assert [prompt.text for prompt in read_prompts("-")] == texts
    reader, writer = os.pipe()  # as in `--prompts <(command)`
    os.write(writer, content.encode())
    os.close(writer)
    assert [prompt.text for prompt in read_prompts(f"/dev/fd/{reader}")] == texts
    os.close(reader)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"prompt": "a"}\n{"prompt": \n', ":2: this is not JSON .*at column"),
        (b'{"prompt": "a", "x": NaN}\n', ":1: this is not JSON .*NaN"),
        (b'{"prompt": "a", "x": ' + b"9" * 5000 + b"}", ":1: this is not JSON"),
        (b'{"prompt": "a", "x": 1e999}', ":1: this is not JSON"),
        (b"[" * 100_000, ":1: this is not JSON"),
        (b'\n["a"]', ":2: this is a JSON array"),
        (b"3", ":1: this is a JSON number"),
        (b"null", ":1: this is a JSON null"),
        (b'{"promt": "a"}', ":1: the object has no key \"prompt\" but 'promt'"),
        (b"{}", ':1: the object has no key "prompt"'),
        (b'{"prompt": 3}', ':1: "prompt" is a JSON number'),
        (b'{"prompt": "a", "text": "b"}', ':1: the output has a key "text" of its own'),
        (b'{"prompt": "a\\ud800"}', ":1: a lone surrogate, U\\+D800"),
        (b'{"prompt": "a", "id": "\\udc00"}', ":1: a lone surrogate"),
        (b'{"prompt": "a"}\n\xff', ":2: not UTF-8 text, byte 0xff"),
        (b"", "no prompts"),
        (b"\n \n", "no prompts"),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(UsageError, match=rf"wrong\.jsonl{message}|wrong\.jsonl: {message}"):
        read_prompts(written(tmp_path / "wrong.jsonl", content))


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file"):
        read_prompts(str(tmp_path / "none.txt"))
    with pytest.raises(UsageError, match="directory"):
        read_prompts(str(tmp_path))


def test_a_line_comes_out_for_each_prompt_and_sample(
    directory: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(
        tmp_path / "a.jsonl",
        '{"id": 7, "prompt": "Hi", "deep": {"é": [1, null]}}\n{"prompt": "漢"}\n',
    )
    words = ["generate", str(directory), "--prompts", path, "--n", "2", "--max-new-tokens", "5"]
    assert main([*words, "--seed", "3"]) == 0
    found = lines(capsys.readouterr().out)
    assert [(line["prompt"], line["sample"], line["seed"]) for line in found] == [
        ("Hi", 0, 3),
        ("Hi", 1, 3),
        ("漢", 0, 3),
        ("漢", 1, 3),
    ]
    assert (found[1]["id"], found[1]["deep"]) == (7, {"é": [1, None]})
    assert list(found[2]) == ["prompt", "sample", "seed", "text", "tokens", "ended"]
    assert {line["ended"] for line in found} <= {"length", "end"}
    # Each is what it is alone.
    single = ["generate", str(directory), "--max-new-tokens", "5", "--seed", "3"]
    assert main([*single, "--prompt", "漢", "--json", "--samples", "2"]) == 0
    alone = json.loads(capsys.readouterr().out)["samples"]
    assert [sample["tokens"] for sample in alone] == [line["tokens"] for line in found[2:]]


def test_neither_batch_size_nor_number_of_samples_changes_a_line(
    directory: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(tmp_path / "a.txt", "one\ntwo is longer\n3\n")
    words = ["generate", str(directory), "--prompts", path, "--when-full", "slide"]
    words += ["--max-new-tokens", "40", "--repetition-penalty", "1.3", "--min-p", "0.001"]

    def run(n: int, batch_size: int) -> list[dict[str, object]]:
        assert main([*words, "--n", str(n), "--batch-size", str(batch_size)]) == 0
        return lines(capsys.readouterr().out)

    whole = run(2, 16)
    assert run(2, 4) == run(2, 1) == whole
    assert run(1, 16) == [line for line in whole if line["sample"] == 0]


def test_the_same_command_twice_gives_the_same_bytes(
    directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["generate", str(directory), "--n", "3", "--max-new-tokens", "4", "--seed"]
    printed = []
    for seed in ("5", "5", "6"):
        assert main([*words, seed]) == 0
        printed.append(capsys.readouterr().out)
    assert printed[0] == printed[1] != printed[2]


def test_results_may_go_to_a_new_file(
    directory: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(tmp_path / "a.txt", "one\ntwo\n")
    words = ["generate", str(directory), "--max-new-tokens", "4", "--prompts", path]
    out = tmp_path / "out.jsonl"
    assert main([*words, "-o", str(out)]) == 0
    assert capsys.readouterr().out == ""
    assert main([*words, "-o", "-"]) == 0
    assert capsys.readouterr().out == out.read_text(encoding="utf-8")
    before = out.read_bytes()
    assert main([*words, "-o", str(out), "--seed", "9"]) == 2
    assert "exists already" in capsys.readouterr().err
    assert out.read_bytes() == before
    assert main([*words, "-o", str(tmp_path / "no" / "out.jsonl")]) == 2
    assert "No such file" in capsys.readouterr().err
    single = ["generate", str(directory), "--prompt", "x", "--max-new-tokens", "2"]
    assert main([*single, "-o", str(tmp_path / "b.jsonl")]) == 0
    assert [line["prompt"] for line in lines((tmp_path / "b.jsonl").read_text())] == ["x"]


def test_no_prompt_is_continued_before_all_can_be(
    directory: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(tmp_path / "a.txt", "one\n" + "x" * (CONTEXT + 1) + "\n")
    out = tmp_path / "out.jsonl"
    words = ["generate", str(directory), "--prompts", path, "-o", str(out), "--batch-size", "1"]
    assert main([*words, "--when-full", "stop"]) == 2
    assert f"a.txt:2: A prompt has {CONTEXT + 1} tokens" in capsys.readouterr().err
    assert not out.exists()
    assert main([*words, "--when-full", "slide", "--max-new-tokens", "3"]) == 0
    assert len(lines(out.read_text())) == 2


def test_lines_are_written_batch_by_batch(
    directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, out = written(tmp_path / "a.txt", "one\ntwo\nthree\n"), tmp_path / "out.jsonl"
    there: list[int] = []
    prefill = Decoding.prefill

    def spy(self: Decoding) -> torch.Tensor:
        there.append(len(out.read_text().splitlines()))
        return prefill(self)

    monkeypatch.setattr(Decoding, "prefill", spy)
    words = ["generate", str(directory), "--prompts", path, "--max-new-tokens", "2"]
    assert main([*words, "-o", str(out), "--batch-size", "2", "--n", "2"]) == 0
    assert there == [0, 2, 4]


def test_stop_strings_and_the_context_end_a_text(
    directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["generate", str(directory), "--prompt", "Hi", "--json", "--when-full", "stop"]

    def sample(*more: str) -> dict[str, object]:
        assert main([*words, *more]) == 0
        [only] = json.loads(capsys.readouterr().out)["samples"]
        return only  # type: ignore[no-any-return]

    free = sample()
    assert free["ended"] == "length"
    assert len(free["tokens"]) == CONTEXT - 1  # type: ignore[arg-type]
    text = str(free["text"])
    stop = text[9:11]
    stopped = sample("--stop", "nowhere to be found", "--stop", stop)
    assert stopped["ended"] == "stop"
    assert stopped["text"] == text[: text.index(stop)]
    assert main(["generate", str(directory), "--prompt", "Hi", "--stop", stop]) == 0
    assert capsys.readouterr().out == "Hi" + str(stopped["text"]) + "\n"


def test_a_policy_for_a_context_without_an_end_is_warned_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tokenizer = train_tokenizer("bytes", [])
    config = preset("gru", tokenizer.vocabulary, CONTEXT, width=16)
    save_model(tmp_path / "gru", build(config), tokenizer, Description(model=config))
    words = ["generate", str(tmp_path / "gru"), "--max-new-tokens", "2"]
    assert main([*words, "--when-full", "slide"]) == 0
    assert "--when-full changes nothing" in capsys.readouterr().err


def test_a_million_samples_begin_at_once(
    directory: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    prefill, batches = Decoding.prefill, []

    def third_fails(self: Decoding) -> torch.Tensor:
        batches.append(1)
        if len(batches) == 3:
            raise UsageError("enough")
        return prefill(self)

    monkeypatch.setattr(Decoding, "prefill", third_fails)
    words = ["generate", str(directory), "--n", "1000000", "--max-new-tokens", "1"]
    assert main(words) == 2
    assert capsys.readouterr().out.count("--- sample") == 32


def test_a_full_disk_is_named_and_an_empty_file_does_not_stay(
    directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    out = tmp_path / "out.jsonl"
    words = ["generate", str(directory), "--max-new-tokens", "2", "-o", str(out)]

    def full(*given: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(generated, "_put", full)
        assert main(words) == 1
    assert f"{out}: cannot be written: No space left" in capsys.readouterr().err
    assert not out.exists()
    assert main(words) == 0  # the same command again
    assert len(lines(out.read_text())) == 1


def test_a_terminal_without_the_characters_loses_none(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for form in (["--json"], ["-o", "-"]):
        narrow = io.TextIOWrapper(io.BytesIO(), "ascii", write_through=True)
        monkeypatch.setattr("sys.stdout", narrow)
        words = ["generate", str(directory), "--prompt", "春天", "--max-new-tokens", "1", *form]
        assert main(words) == 0
        assert json.loads(narrow.buffer.getvalue())["prompt"] == "春天"  # type: ignore[attr-defined]
