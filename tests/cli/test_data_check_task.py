"""``phalanx data check --task``: its report in words and in JSON, and its exit codes."""

import json
from pathlib import Path

import pytest

from phalanx.cli.main import main

ROWS = "".join(f"word {n} and more,{'xy'[n % 2]}\n" for n in range(40))


def said(capsys: pytest.CaptureFixture[str]) -> str:
    captured = capsys.readouterr()
    assert "Traceback" not in captured.out + captured.err
    return captured.out + captured.err


def test_classification(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "t.csv"
    path.write_text(f"text,label\n{ROWS}word 1 and more,x\n")
    assert main(["data", "check", str(path), "--task", "classification"]) == 0
    shown = said(capsys)
    assert f"{path}: CSV, 41 read" in shown
    assert "split        by a hash of each text: " in shown
    assert "of 2 kinds; the commonest, " in shown
    assert f"{path}:3 y; {path}:42 x" in shown
    assert "Training would read this data." in shown


def test_columns_and_validation(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train, other = tmp_path / "t.tsv", tmp_path / "v.tsv"
    train.write_text("x\ta\ny\tb\n")
    other.write_text("x\tc\ny\ta\n")
    command = ["data", "check", str(train), "--task", "classification", "--label-column", "1"]
    assert main([*command, "--validation", str(other)]) == 0
    shown = said(capsys)
    assert "by given files: 2 to learn from, 2 to validate on" in shown
    assert "1 labelled texts to validate on that are also learnt from" in shown
    assert main([*command, "--data.text_column", "3"]) == 1
    assert "Expected column 3 there" in said(capsys)


def test_tagging_and_translation_in_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tags, pairs = tmp_path / "t.conll", tmp_path / "t.tsv"
    tags.write_text("a O\nb B-x\n\n" + "".join(f"c{n} O\n\n" for n in range(30)))
    pairs.write_text("".join(f"a{n}\tb{n}\n" for n in range(30)))
    assert main(["data", "check", str(tags), "--task", "tagging", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["scheme"], report["split"]["how"]) == ("bio", "by a hash of each sentence")
    assert report["balance"][0] == {
        "of": "entity",
        "rows": [{"name": "x", "train": 1, "validation": 0}],
    }
    assert main(["data", "check", str(tags), "--task", "tagging"]) == 0
    assert "scheme bio" in said(capsys)
    assert main(["data", "check", str(pairs), "--task", "translation", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["split"]["train"] + report["split"]["validation"] == 30


def test_what_training_would_refuse(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "t.csv"
    path.write_text("text,label\n" + "a,\n" * 8 + ROWS)
    for task in ("classification", "tagging", "translation"):
        assert main(["data", "check", str(path), "--task", task]) == 1
        shown = said(capsys)
        assert "refused" in shown
        assert "mend what is marked as refused in 1 file." in shown
    assert main(["data", "check", str(path), "--task", "classification"]) == 1
    shown = said(capsys)
    assert f"{path}:2, 'label', holds no label" in shown
    assert "3 places more" in shown


def test_text_tasks_have_the_check_of_text(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "t.txt"
    path.write_text("some text to divide\n" * 20)
    for task in ("language-modelling", "masked-lm"):
        assert main(["data", "check", str(path), "--task", task]) == 0
        assert "20 lines, 400 characters" in said(capsys)
    assert main(["data", "check", str(path), "--label-column", "x"]) == 2
    assert "--task classification, tagging or translation" in said(capsys)
