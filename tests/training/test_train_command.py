"""`phalanx train` and `phalanx evaluate` from the command line."""

import json
import os
import signal
import threading
import time
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file
from small_runs import RHYME

from phalanx import runs
from phalanx.cli.main import main
from phalanx.durable import MANIFEST

QUICK = ["--model.width", "16", "--model.layers", "1", "--train.sequence_length", "16"]
QUICK += ["--train.batch_size", "4", "--train.evaluate_every", "4"]
Capture = pytest.CaptureFixture[str]


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "rhyme.txt"
    path.write_text(RHYME * 40)
    return path


def train(text: Path, *more: str) -> int:
    return main(["train", str(text), *QUICK, *more])


def test_train_then_evaluate_then_load(text: Path, tmp_path: Path, capsys: Capture) -> None:
    path = tmp_path / "run"
    assert train(text, "-o", str(path), "--steps", "10", "--preset", "gru", "--json") == 0
    printed = capsys.readouterr()
    *events, result = map(json.loads, printed.out.splitlines())
    assert (result["kind"], result["steps"], result["tokens"]) == ("summary", 10, 640)
    assert result["ended"] == "steps"
    assert "step 8" in printed.err
    names = {"config.yaml", "metrics.jsonl", "checkpoints", "best", "last", ".lock"}
    assert {entry.name for entry in path.iterdir()} == names
    lines = [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]
    assert lines == events
    assert [line["kind"] for line in lines].count("step") == 10
    assert [line["step"] for line in lines if line["kind"] == "validation"] == [4, 8, 10]
    assert min(v["loss"] for v in lines if v["kind"] == "validation") == result["best"]["loss"]

    # The best model on the validation side alone gives the figure that training printed.
    side = tmp_path / "validation.txt"
    side.write_text((RHYME * 40)[int(0.9 * len(RHYME * 40) + 1e-9) :])
    assert main(["evaluate", str(path), "--data", str(side), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["loss"] == pytest.approx(result["best"]["loss"], rel=1e-6)
    assert found["bits_per_byte"] == pytest.approx(result["best"]["bits_per_byte"], rel=1e-6)
    assert runs.load(path).path == path / "best"


def test_the_saved_configuration_repeats_the_run(
    text: Path, tmp_path: Path, capsys: Capture
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    assert train(text, "-o", str(first), "--steps", "6") == 0
    again = ["train", "--config", str(first / "config.yaml"), "-o", str(second)]
    assert main(again) == 0
    weights = [runs.load(path / "last").model.state_dict() for path in (first, second)]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    assert (first / "config.yaml").read_text() == (second / "config.yaml").read_text()


def test_flags_go_over_the_file_and_overrides_over_flags(
    text: Path, tmp_path: Path, capsys: Capture
) -> None:
    file = tmp_path / "recipe.yaml"
    values = {"preset": "lstm", "seed": 5, "train": {"steps": 70, "batch_size": 9}}
    file.write_text(yaml.safe_dump(values))
    command = ["train", str(text), "-c", str(file), "--steps", "60", "--size", "5000", "--dry-run"]
    assert main([*command, "--train.steps", "50", "--model.dropout=0.5", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["steps"] == 50
    assert found["config"]["preset"] == "lstm"
    assert found["config"]["seed"] == 5
    assert found["config"]["train"]["batch_size"] == 9
    assert found["config"]["model"]["dropout"] == 0.5
    assert found["config"]["data"]["paths"] == [str(text)]
    assert found["tokens_per_step"] == 9 * 128
    assert found["flops_per_step"] > 0


def test_a_dry_run_writes_nothing(
    text: Path, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.iterdir())
    assert train(text, "--dry-run") == 0
    assert sorted(tmp_path.iterdir()) == before
    out = capsys.readouterr().out
    head, _, resolved = out.partition("\n\n")
    assert all(word in head for word in ("parameters", "GFLOP", "MiB", "steps", "tokens"))
    assert yaml.safe_load(resolved)["model"]["width"] == 16


def test_the_run_is_named_after_the_text(
    text: Path, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert train(text, "--steps", "1") == 0
    assert (tmp_path / "runs" / "rhyme" / "best" / "config.json").is_file()


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--train.stepz", "5"], "Did you mean 'steps'"),
        (["--train.steps", "many"], "train.steps"),
        (["--train.steps", "0"], "train.steps"),
        (["--model.widht", "5"], "Did you mean 'width'"),
        (["--model.attention.heads", "3"], "multiple of heads"),
        (["--model.kind", "encoder"], "kind: decoder"),
        (["--model.vocabulary", "7"], "model.vocabulary"),
        (["--model.context", "8"], "model.context 8"),
        (["--size", "100000"], "size and model.width"),
        (["--preset", "transfomer"], "Did you mean 'transformer'"),
        (["--tokenizer", "word"], "data.tokenizer"),
        (["--device", "tpu"], "device"),
        (["--train.sequence_length", "100000"], "tokens"),
        (["--config", "nowhere.yaml"], "nowhere.yaml"),
        (["missing.txt"], "missing.txt"),
        ([""], "No text was given"),
        (["--data.paths", "[]"], "data.paths"),
        (["--data.paths", "a.txt"], "expected a list"),
        (["--train.steps", "yes"], "train.steps: expected no truth value (given true)"),
        (["--train.steps", "2020-99-99"], "--train.steps: cannot read"),
        (["--train.betas", "[2, 3]"], "train.betas"),
        (["--seed", "99999999999999999999"], "seed"),
        (["--model.context", "0"], "model: context: Input should be greater"),
        (["--model.context", "abc"], "model: context: Input should be a valid integer"),
        (["--model.width", "0"], "model: width: Input should be greater"),
        (["--train.sequence_length", "99999999999"], "model: context: Input should be less"),
    ],
)
def test_what_cannot_be_trained_is_said_in_one_line(
    text: Path, tmp_path: Path, capsys: Capture, more: list[str], said: str
) -> None:
    assert train(text, "-o", str(tmp_path / "run"), *more) == 2
    printed = capsys.readouterr()
    assert said in printed.err
    assert "Traceback" not in printed.err
    assert not printed.out
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("train:\ndata:\n", "'train' is a value, not a section (given None)"),
        ("train: 5\n", "'train' is a value, not a section (given 5)"),
        ("train: {steps: 5}\ndata: foo\n", "'data' is a value, not a section (given 'foo')"),
        ("seed: 2020-01-01\n", "Put dates in quotes"),
        ("seed: !!binary aGVsbG8=\n", "no plain data"),
        ("model: &a\n  x: *a\n", "no plain data"),
        ("x: !!python/object/apply:os.getcwd []\n", "not valid YAML"),
    ],
)
def test_a_configuration_file_that_is_none_is_said_in_words(
    text: Path, tmp_path: Path, capsys: Capture, content: str, said: str
) -> None:
    file = tmp_path / "recipe.yaml"
    file.write_text(content)
    assert main(["train", str(text), "-c", str(file), "--steps", "4", "--dry-run"]) == 2
    assert said in capsys.readouterr().err


def test_a_wrong_pattern_of_mixers_is_said_without_the_whole_model(
    text: Path, tmp_path: Path, capsys: Capture
) -> None:
    assert main(["train", str(text), "--model.mixers", "[gru, rnn, gru]", "--dry-run"]) == 2
    said = capsys.readouterr().err
    assert "mixers names 3 layers and layers is 4" in said
    assert "vocabulary" not in said


@pytest.mark.parametrize("width", ["16.0", "'16'"])
def test_a_width_counts_in_whatever_form_it_is_given(
    text: Path, capsys: Capture, width: str
) -> None:
    assert main(["train", str(text), "--model.width", width, "--dry-run", "--json"]) == 0
    config = json.loads(capsys.readouterr().out)["config"]["model"]
    assert (config["width"], config["feed_forward"]["width"]) == (16, 64)


def test_overrides_may_have_hyphens_as_other_options_have(text: Path, capsys: Capture) -> None:
    assert train(text, "--train.batch-size", "7", "--dry-run", "--json") == 0
    assert json.loads(capsys.readouterr().out)["config"]["train"]["batch_size"] == 7


def test_a_size_that_cannot_be_met_is_warned_of(text: Path, capsys: Capture) -> None:
    assert main(["train", str(text), "--size", "1", "--dry-run"]) == 0
    assert "warning: 1 parameters were asked for" in capsys.readouterr().err
    assert main(["train", str(text), "--size", "20000", "--dry-run"]) == 0
    assert "warning" not in capsys.readouterr().err
    assert main(["train", str(text), "--size", str(10**18), "--dry-run"]) == 2
    assert "size 1000000000000000000: expected" in capsys.readouterr().err


def test_a_directory_that_holds_something_is_left_alone(
    text: Path, tmp_path: Path, capsys: Capture
) -> None:
    path = tmp_path / "run"
    path.mkdir()
    (path / "notes.txt").write_text("mine")
    assert train(text, "-o", str(path), "--steps", "1") == 2
    said = capsys.readouterr().err
    assert "--output" in said
    assert "rm " not in said  # it is not ours to delete
    assert [entry.name for entry in path.iterdir()] == ["notes.txt"]


def test_divergence_names_the_step(text: Path, tmp_path: Path, capsys: Capture) -> None:
    rates = ["--train.optimizer", "adamw", "--train.learning_rate", "1e30"]
    code = train(text, "-o", str(tmp_path / "run"), "--preset", "gru", "--steps", "40", *rates)
    assert code == 1
    assert "at step " in capsys.readouterr().err


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signals_finish_the_step_and_save(
    text: Path, tmp_path: Path, capsys: Capture, number: signal.Signals, code: int
) -> None:
    path = tmp_path / "run"
    before = signal.getsignal(signal.SIGINT)  # ignored where the tests run in the background

    def interrupt() -> None:
        log = path / "metrics.jsonl"
        while not (log.is_file() and log.read_text().count("\n") > 2):
            time.sleep(0.01)
        os.kill(os.getpid(), number)

    thread = threading.Thread(target=interrupt)
    thread.start()
    try:
        result = train(text, "-o", str(path), "--steps", "100000")
    finally:
        thread.join()
    assert result == code
    steps = json.loads((path / "last" / "config.json").read_text())["figures"]["steps"]
    lines = [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]
    assert lines[-1] == {**lines[-1], "kind": "end", "reason": "interrupted", "step": steps}
    assert steps >= 2
    assert f"--resume {path}" in capsys.readouterr().err
    runs.load(path / "last")
    assert signal.getsignal(signal.SIGINT) is before


def test_unknown_characters_are_counted_and_warned_of(
    text: Path, tmp_path: Path, capsys: Capture
) -> None:
    path = tmp_path / "run"
    assert train(text, "-o", str(path), "--steps", "1") == 0
    other = tmp_path / "other.txt"
    other.write_text("ONE two Ω")
    capsys.readouterr()
    assert main(["evaluate", str(path), "--data", str(other)]) == 0
    printed = capsys.readouterr()
    assert "3 of 8 tokens stand for characters that are unknown" in printed.err
    assert "perplexity" in printed.out


def test_a_diverged_model_is_not_evaluated(text: Path, tmp_path: Path, capsys: Capture) -> None:
    path = tmp_path / "run"
    assert train(text, "-o", str(path), "--steps", "1") == 0
    weights = path / "best" / "model.safetensors"
    (path / "best" / MANIFEST).unlink()
    broken = {name: t * float("nan") for name, t in load_file(weights).items()}
    save_file(broken, weights, metadata={"format": "pt"})
    capsys.readouterr()
    assert main(["evaluate", str(path), "--data", str(text), "--json"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert "not numbers" in err


def test_evaluate_refuses_what_is_no_model(tmp_path: Path, capsys: Capture) -> None:
    for path in (tmp_path / "nowhere", tmp_path):
        assert main(["evaluate", str(path), "--data", "stdlib"]) == 2
        assert "phalanx train" in capsys.readouterr().err
