"""``phalanx data check``: its report, its exit codes, and its words."""

import json
from pathlib import Path
from typing import Any

import pytest

from phalanx.cli.main import main

LONG = "some text to divide\n" * 20


@pytest.fixture
def good(tmp_path: Path) -> Path:
    path = tmp_path / "good.txt"
    path.write_text(LONG)
    return path


def said(capsys: pytest.CaptureFixture[str]) -> str:
    captured = capsys.readouterr()
    assert "Traceback" not in captured.out + captured.err
    return captured.out + captured.err


def test_good_text_is_accepted(good: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "check", str(good)]) == 0
    shown = said(capsys)
    assert f"{good}: text" in shown
    assert "1 document, 20 lines, 400 characters, 400 bytes; longest line 19" in shown
    assert "1 document (360 characters) to learn from" in shown
    assert "Training would read this text." in shown


def test_bad_text_is_refused_with_all_its_faults(
    good: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bad.txt").write_bytes(b"one\n\xff\n")
    (tmp_path / "bad.csv").write_text("text,label\na\n" + "b\n" * 9)
    assert main(["data", "check", str(tmp_path)]) == 1
    shown = said(capsys)
    assert "bad.txt:2 has the byte 0xff" in shown
    assert "bad.csv:2 has 1 field" in shown
    assert "refused  5 places more" in shown
    assert "Training would refuse this text: mend what is marked as refused in 2 files." in shown
    assert main(["train", str(tmp_path), "--dry-run"]) == 2, "and so it does"


def test_json_has_all_of_it(good: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "rows.jsonl").write_text('{"body": null}\n' + '{"body": "a line of text"}\n' * 9)
    assert main(["data", "check", str(tmp_path), "--json"]) == 0
    report: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert report["accepted"] is True
    assert [file["format"] for file in report["files"]] == ["text", "JSON lines"]
    assert report["files"][1]["rows_without_value"] == 1
    assert report["total"]["documents"] == 10
    assert report["total"]["duplicate_documents"] == 8
    assert report["split"]["train"]["characters"] > 0


def test_its_settings_are_those_of_training(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = tmp_path / "x.jsonl"
    rows.write_bytes(b'{"verse": "\xff some text to divide"}\n' * 9)
    check = ["data", "check", str(rows)]
    assert main(check) == 1
    assert "Name the column of the text: --text-column NAME" in said(capsys)
    short = ["--text-column", "verse", "--encoding-errors", "replace"]
    dotted = ["--data.text_column", "verse", "--data.encoding_errors", "replace"]
    reports = []
    for words in (short, dotted):
        assert main([*check, *words, "--data.validation_fraction=0.3"]) == 0
        reports.append(said(capsys))
    assert reports[0] == reports[1]
    (tmp_path / "v.txt").write_text("to validate on")
    assert main([*check, *short, "--validation", str(tmp_path / "v.txt")]) == 0
    assert "by given files: 9 documents" in said(capsys)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["check", "absent.txt"], "No such file: absent.txt"),
        (["check"], "No text was given"),
        (["chekc", "x"], 'Did you mean "check"?'),
        (["check", "stdlib", "--encoding-errors", "ignore"], "encoding-errors"),
        (["check", "stdlib", "--data.text_colunm", "x"], "Did you mean 'text_column'?"),
        (["check", "stdlib", "--train.steps", "3"], "--data.KEY"),
    ],
)
def test_wrong_usage_is_explained(
    words: list[str], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["data", *words]) == 2
    assert expected in said(capsys)


def test_many_files_with_nothing_to_remark_are_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(30):
        (tmp_path / f"{number:02d}.txt").write_text(LONG)
    (tmp_path / "99.txt").write_text("\n")
    assert main(["data", "check", str(tmp_path)]) == 0
    shown = said(capsys)
    assert "19.txt: text" in shown
    assert "20.txt: text" not in shown
    assert "and 10 more files with nothing to remark" in shown
    assert "99.txt: text" in shown
    assert "duplicates   29 documents exactly as one before" in shown
