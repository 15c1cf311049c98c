import json
from pathlib import Path

import pytest

from phalanx.cli.main import main

MODEL = (
    "vocabulary: 2\ncontext: 64\nwidth: 16\nlayers: 1\nmixers: [attention]\npositions: rotary\n"
    "feed_forward: {width: 16}\n"
)


@pytest.fixture
def given(tmp_path: Path) -> tuple[str, str]:
    model, text = tmp_path / "little.yaml", tmp_path / "text.py"
    model.write_text(MODEL, encoding="utf-8")
    text.write_text("def add(a, b):\n    return a + b\n" * 400, encoding="utf-8")
    return str(model), str(text)


def test_a_comparison_writes_its_report_and_its_data(
    given: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, text = given
    output = tmp_path / "out"
    words = ["compare", model, "--corpus", text, "--budget", "1s", "-o", str(output), "--json"]
    assert main([*words, "--device", "cpu"]) == 0
    said = capsys.readouterr()
    study = json.loads(said.out)
    assert study == json.loads((output / "study.json").read_text(encoding="utf-8"))
    assert study["budget_seconds"] == 1.0
    assert list(study["rows"][0]["cells"]) == ["little"]
    assert (output / "report.html").stat().st_size < 1_000_000
    assert "little" in said.err


def test_the_structure_alone_in_chinese(
    given: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    model, text = given
    words = ["compare", model, "--corpus", text, "--only", "structure", "--lang", "zh"]
    assert main(words) == 0
    assert "核心" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["transfomer"], "Did you mean 'transformer'"),
        ([], "no model"),
        (["rnn", "--corpus", "nowhere.txt"], "No such file"),
        (["rnn", "--budget", "soon"], "wall time"),
        (["rnn", "--lang", "fr"], "language"),
        (["rnn", "--only", "speed"], "structure"),
        (["rnn", "--size", "12"], "larger size"),
        (["rnn", "--size", "0", "--only", "structure"], "size 0: expected"),
        (["rnn", "--seed", "-1", "--only", "structure"], "seed -1: expected"),
        (["rnn", "--seed", "99999999999999999999", "--only", "structure"], "seed 9999"),
        ([""], "neither a preset"),
    ],
)
def test_wrong_usage_is_one_line_and_code_2(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", *words]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert "phalanx: " in error


def test_an_output_that_is_a_file_is_refused(
    given: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    model, text = given
    assert main(["compare", model, "--output", text]) == 2
    assert "is a file" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--output", "--picture"])
def test_a_place_that_cannot_be_written_is_refused_before_any_work(
    given: tuple[str, str], capsys: pytest.CaptureFixture[str], option: str
) -> None:
    model, text = given
    words = ["compare", model, "--corpus", text, "--only", "structure"]
    assert main([*words, option, f"{text}/below/a.svg"]) == 2
    out, err = capsys.readouterr()
    assert f"{option}: cannot write into" in err
    assert out == ""


def test_an_error_in_a_file_names_the_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "odd.yaml"
    path.write_text(MODEL.replace("width: 16\nl", "width: 18\nl"), encoding="utf-8")
    assert main(["compare", "rnn", str(path), "--only", "structure"]) == 2
    said = capsys.readouterr().err
    assert f"{path}: mixer attention" in said


@pytest.mark.parametrize(("stop", "code"), [(KeyboardInterrupt(), 130), (SystemExit(143), 143)])
def test_an_interruption_prints_what_is_done_and_exits_so(
    given: tuple[str, str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    stop: BaseException,
    code: int,
) -> None:
    def interrupt(*_: object) -> None:
        raise stop

    monkeypatch.setattr("phalanx.comparison.study.measure_machine", interrupt)
    model, text = given
    assert main(["compare", model, "--corpus", text, "--budget", "30"]) == code
    said = capsys.readouterr()
    assert "little" in said.out
    assert "interrupted" in said.err


TAGGER = "width: 16\nlayers: 1\nmixers: [attention]\npositions: rotary\n"


def test_a_task_is_compared_and_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, data, output = tmp_path / "little.yaml", tmp_path / "train.conll", tmp_path / "out"
    model.write_text(TAGGER, encoding="utf-8")
    sentences = [f"Ann{n} B-person\nwalks O\nhome{n} O\n" for n in range(60)]
    data.write_text("\n".join(sentences), encoding="utf-8")
    words = ["compare", str(model), "--task", "tagging", "--corpus", str(data), "--budget", "1s"]
    assert main([*words, "--tokenizer", "bytes", "--json", "-o", str(output)]) == 0
    said = capsys.readouterr()
    study = json.loads(said.out)
    assert study == json.loads((output / "study.json").read_text(encoding="utf-8"))
    assert study["inference"][0]["structure"]["verdict"] == "yes"
    assert {"f1", "accuracy"} <= set(study["baselines"][0]["scores"])
    assert "C9" in said.err
    assert "claim C9" in (output / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--task", "classification"], "without --corpus"),
        (["--task", "translation"], "expected one of tagging, classification"),
        (["--task", "tagging", "--picture", "a.svg"], "--picture"),
        (["--label-column", "2"], "--task tagging or"),
        (["--train.batch_size", "9"], "--task tagging or"),
    ],
)
def test_what_a_task_lacks_is_said(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", "lstm", *words]) == 2
    assert said in capsys.readouterr().err
