"""``predict`` and ``evaluate`` of a classifier: texts, files in and out, reports, refusals."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest

from phalanx.cli.main import main

Capture = pytest.CaptureFixture[str]
SMALL = ["--model.width", "16", "--model.layers", "1", "--train.steps", "60", "--preset", "gru"]
SMALL += ["--train.batch_size", "8", "--train.evaluate_every", "60", "--data.vocabulary", "300"]
ROWS = [(f"{word} {n} times, {other}", "up" if word == "rise" else "down") for n in range(12)
        for word in ("rise", "fall") for other in ("today", "again")]  # fmt: skip


def write(path: Path, rows: list[tuple[str, str]], header: tuple[str, ...]) -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return path


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("classifier")
    table = write(folder / "train.csv", ROWS, ("text", "label"))
    path = folder / "run"
    asked = ["train", str(table), "--task", "classification", "-o", str(path), *SMALL]
    assert main(asked) == 0
    return path


@pytest.fixture
def table(tmp_path: Path) -> Path:
    rows = [("fall 3 times\nagain", "7"), ("rise, 3 times", "8"), ('say "rise"', "9")]
    return write(tmp_path / "new.csv", rows, ("text", "number"))


def test_texts_of_the_command_line(run: Path, capsys: Capture) -> None:
    assert (
        main(["predict", str(run), "--text", "rise 3 times", "--text", "fall", "--text", ""]) == 0
    )
    lines = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert [line[0] for line in lines[:2]] == ["up", "down"]
    assert len(lines) == 3
    assert all(len(line) == 2 and 0.5 <= float(line[1]) <= 1 for line in lines)
    assert main(["predict", str(run), "--text", "rise", "--top", "5"]) == 0
    [line] = capsys.readouterr().out.splitlines()
    first, share, second, rest = line.split("\t")
    assert (first, second) == ("up", "down")
    assert float(share) + float(rest) == pytest.approx(1, abs=2e-4)


def test_json_and_stdin(run: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    stdin = io.TextIOWrapper(io.BytesIO("rise 3\r\n\nfall é".encode()))
    monkeypatch.setattr("sys.stdin", stdin)
    assert main(["predict", str(run), "--json", "--", "-"]) == 0
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [one["text"] for one in found] == ["rise 3", "", "fall é"]
    assert [found[0]["label"], found[2]["label"]] == ["up", "down"]
    for one in found:
        assert sum(one["probabilities"].values()) == pytest.approx(1)
        assert one["probabilities"][one["label"]] == one["probability"]


@pytest.mark.parametrize("ending", ["csv", "tsv"])
def test_a_table_keeps_its_columns(run: Path, table: Path, tmp_path: Path, ending: str) -> None:
    output = tmp_path / f"out.{ending}"
    assert main(["predict", str(run), str(table), "-o", str(output)]) == 0
    with output.open(newline="") as file:
        rows = list(csv.DictReader(file, delimiter="," if ending == "csv" else "\t"))
    assert list(rows[0]) == ["text", "number", "label", "probability"]
    assert [(row["text"], row["number"]) for row in rows] == [
        ("fall 3 times\nagain", "7"), ("rise, 3 times", "8"), ('say "rise"', "9")
    ]  # fmt: skip
    assert [row["label"] for row in rows] == ["down", "up", "up"]


def test_what_is_there_is_not_overwritten(run: Path, tmp_path: Path, capsys: Capture) -> None:
    lines = [{"text": "rise", "label": "?", "more": {"a": [1, None]}}, {"text": "fall"}]
    table = tmp_path / "in.jsonl"
    table.write_text("".join(json.dumps(line) + "\n" for line in lines))
    output = tmp_path / "out.jsonl"
    assert main(["predict", str(run), str(table), "-o", str(output), "--top", "1"]) == 0
    found: list[Any] = [json.loads(line) for line in output.read_text().splitlines()]
    assert found[0]["label"] == "?"
    assert found[0]["more"] == {"a": [1, None]}
    assert found[0]["predicted_label"] == "up"
    assert list(found[0]["predicted_probabilities"]) == ["up"]
    assert found[1]["predicted_label"] == "down"
    assert main(["predict", str(run), str(table), "-o", str(tmp_path / "out.csv")]) == 0
    cells = list(csv.DictReader(io.StringIO((tmp_path / "out.csv").read_text())))
    assert cells[0]["more"] == '{"a": [1, null]}'
    before = table.read_bytes()
    capsys.readouterr()
    assert main(["predict", str(run), str(table), "-o", str(table)]) == 2
    assert "is an input too" in capsys.readouterr().err
    assert table.read_bytes() == before


def test_lines_of_plain_text(run: Path, tmp_path: Path, capsys: Capture) -> None:
    text = tmp_path / "in.txt"
    text.write_text("rise again\nfall again\n")
    assert main(["predict", str(run), str(text)]) == 0
    answers = capsys.readouterr().out.splitlines()
    assert [line.split("\t")[0] for line in answers] == ["up", "down"]
    assert main(["predict", str(run), str(text), "-o", str(tmp_path / "out.csv")]) == 0
    assert (tmp_path / "out.csv").read_text().startswith("text,label,probability\nrise again,up,")


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["-o", "out.xlsx"], "ends in .csv, .tsv, .jsonl"),
        (["-o", "out.csv", "--json"], "expected one of them"),
        (["--text-column", "txet"], "Did you mean 'text'"),
    ],
)
def test_what_cannot_be_done_is_said(
    run: Path, table: Path, more: list[str], said: str, capsys: Capture
) -> None:
    assert main(["predict", str(run), str(table), *more]) == 2
    printed = capsys.readouterr()
    assert said in printed.err
    assert not printed.out


def test_an_evaluation_with_its_report(run: Path, tmp_path: Path, capsys: Capture) -> None:
    rows = [("rise 1 times, today", "up"), ("fall twice", "down"), ("rise", "down")]
    table = write(tmp_path / "dev.csv", rows, ("text", "label"))
    folder = tmp_path / "a/report"
    assert main(["evaluate", str(run), "--data", str(table), "-o", str(folder)]) == 0
    shown = capsys.readouterr().out
    assert "3 rows" in shown
    for name in ("this model", "naive Bayes", "majority", "worst mistakes", "dev.csv:4"):
        assert name in shown, name
    assert {path.name for path in folder.iterdir()} == {
        "confusion.svg", "report.json", "mistakes.jsonl"
    }  # fmt: skip
    report = json.loads((folder / "report.json").read_text())
    assert report["rows"] == 3
    assert report["accuracy"] == pytest.approx(2 / 3)
    assert report["confusion"] == {"down": {"down": 1, "up": 1}, "up": {"up": 1}}
    assert report["baselines"]["naive_bayes"]["accuracy"] == pytest.approx(2 / 3)
    [mistake] = map(json.loads, (folder / "mistakes.jsonl").read_text().splitlines())
    assert (mistake["text"], mistake["label"], mistake["given"]) == ("rise", "down", "up")
    assert main(["evaluate", str(run), "--data", str(table), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == report


def test_a_label_unseen_in_training_is_refused(run: Path, tmp_path: Path, capsys: Capture) -> None:
    table = write(tmp_path / "dev.csv", [("rise", "up"), ("fall", "dwon")], ("text", "label"))
    folder = tmp_path / "report"
    assert main(["evaluate", str(run), "--data", str(table), "-o", str(folder)]) == 2
    said = capsys.readouterr().err
    assert "dev.csv:3: the label 'dwon'" in said
    assert "Did you mean 'down'?" in said
    assert not folder.exists()


def test_baselines_that_were_damaged_are_refused(run: Path, tmp_path: Path) -> None:
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(run / "best", copy)
    (copy / "manifest.json").unlink()
    (copy / "baseline.json").write_text("{}")
    table = write(tmp_path / "dev.csv", [("rise", "up")], ("text", "label"))
    assert main(["evaluate", str(copy), "--data", str(table)]) == 2
    (copy / "baseline.json").unlink()  # as of a model that came without
    assert main(["evaluate", str(copy), "--data", str(table)]) == 0


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--text", "rise", "--text-column", "a"], "--text-column: Texts (--text) have no columns"),
        (["--text", "rise", "--encoding-errors", "replace"], "have no encoding of their own"),
        (["--text-column", "a"], "--text-column: Lines of stdin have no columns"),
        (["--text", "rise", "-o", "nowhere/it.csv"], "nowhere is no directory"),
    ],
)
def test_an_option_that_nothing_reads_is_refused(
    run: Path,
    words: list[str],
    complaint: str,
    capsys: Capture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"rise")))
    assert main(["predict", str(run), *words]) == 2
    out, err = capsys.readouterr()
    assert (out, complaint in err) == ("", True)


def test_lines_of_stdin_that_are_not_utf8_are_replaced_on_request(
    run: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    for option, code in ([], 2), (["--encoding-errors", "replace"], 0):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"rise\nf\xe9ll")))
        assert main(["predict", str(run), "--json", *option]) == code
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["text"] == "f\ufffdll"


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--tag-column", "number"], "classification has no such column. Leave it out"),
        (["--source-column", "number"], "--source-column: "),
        (["-o", "TABLE/report"], "cannot be made in"),
    ],
)
def test_evaluate_refuses_what_it_would_not_use(
    run: Path, table: Path, words: list[str], complaint: str, capsys: Capture
) -> None:
    words = [word.replace("TABLE", str(table)) for word in words]
    assert main(["evaluate", str(run), "--data", str(table), *words]) == 2
    assert complaint in capsys.readouterr().err
