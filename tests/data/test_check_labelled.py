"""The report on labelled data: all faults, what is worth knowing and where, and the verdict."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from phalanx.config import DataConfig, Task
from phalanx.data.check_labelled import LabelledReport, check_labelled
from phalanx.data.labelled import load_examples
from phalanx.errors import UsageError

Check = Callable[..., LabelledReport]


@pytest.fixture
def check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Check:
    """Check files that are given as name and content; others validate with ``validation``."""
    monkeypatch.chdir(tmp_path)

    def check(task: Task, files: dict[str, str | bytes], **options: Any) -> LabelledReport:
        for name, content in files.items():
            data = content.encode() if isinstance(content, str) else content
            Path(name).write_bytes(data)
        paths = [name for name in files if name not in options.get("validation_paths", ())]
        report = check_labelled(task, DataConfig(paths=tuple(paths), **options))
        assert json.loads(json.dumps(report.as_dict()))["accepted"] == report.accepted
        return report

    return check


def found(report: LabelledReport) -> dict[str, tuple[int, tuple[str, ...]]]:
    return {each.what: (each.count, each.places) for each in report.found}


ROWS = "".join(f"word {n} and more,{'xy'[n % 2]}\n" for n in range(40))


def test_figures_of_classification(check: Check) -> None:
    odd = 'a,x\na,x\na,y\n"long long long\ntext",z\n'
    report = check("classification", {"t.csv": f"text,label\n{odd}{ROWS}"}, validation_fraction=0.3)
    assert report.accepted
    assert (report.train + report.validation, report.files[0].samples) == (44, 44)
    assert report.split == "by a hash of each text"
    characters, words = report.lengths
    assert (characters.longest, characters.place) == (19, "t.csv:5")
    assert (words.median, words.most, words.longest) == (4.0, 4, 4)
    [balance] = report.balances
    assert {row[0]: row[1] + row[2] for row in balance.rows} == {"x": 22, "y": 21, "z": 1}
    assert [row[1] for row in balance.rows] == sorted((r[1] for r in balance.rows), reverse=True)
    assert balance.rows[-1] == ("z", 1, 0)
    what = found(report)
    assert what["rows exactly as one before"] == (1, ("t.csv:3 (as t.csv:2)",))
    assert what["texts with different labels"] == (1, ("t.csv:2 x; t.csv:4 y",))


def test_labels_that_are_almost_alike(check: Check) -> None:
    rows = "".join(f"text {n},{label}\n" for n, label in enumerate(["Pos", "pos", "neg"] * 9))
    report = check("classification", {"t.csv": f"text,label\n{rows}"})
    assert len(report.remarks) == 1
    assert "'Pos'" in report.remarks[0]
    assert "'pos'" in report.remarks[0]


def test_all_faults_are_collected(check: Check) -> None:
    files: dict[str, str | bytes] = {
        "a.csv": "text,label\n" + "a,\n" * 7 + "b,x,1\n" + ROWS,
        "b.csv": b"text,label\ncaf\xe9,x\n" + ROWS.encode(),
        "c.csv": "",
        "d.csv": "txt,labels\na,b\n",
    }
    report = check("classification", files)
    a, b, c, d = report.files
    assert not report.accepted
    assert (len(a.findings.faults), a.findings.more_faults, a.samples) == (5, 3, 40)
    assert a.findings.faults[0].startswith("a.csv:2, 'label', holds no label")
    assert [fault.split(" has")[0] for fault in b.findings.faults] == [
        "b.csv is not UTF-8 text: b.csv:2"
    ]
    assert (b.findings.replaced, b.samples) == (1, 41)
    assert c.findings.faults == ["c.csv is empty. Expected labelled texts. Give another file."]
    assert "d.csv has the columns 'txt', 'labels'" in d.findings.faults[0]
    assert report.faults == (), "what is left of the files is not judged as a whole"
    with pytest.raises(UsageError, match=r"a\.csv:2"):
        load_examples(DataConfig(paths=tuple(files)))


def test_faults_of_the_whole(check: Check) -> None:
    files: dict[str, str | bytes] = {
        "t.csv": f"text,label\n{ROWS}",
        "v.csv": "text,label\nword 3 and more,y\nnew,z\nnewer,w\nnew,z\n",
    }
    report = check("classification", files, validation_paths=("v.csv",))
    assert not report.accepted
    assert [fault.split(", which")[0] for fault in report.faults] == [
        "v.csv:3 has the label 'z'",
        "v.csv:4 has the label 'w'",
    ]
    shared = "labelled texts to validate on that are also learnt from"
    assert found(report)[shared] == (1, ("v.csv:2",))
    assert [file.side for file in report.files] == ["train", "validation"]
    same = check_labelled(
        "classification", DataConfig(paths=("t.csv",), validation_paths=("t.csv",))
    )
    assert "t.csv is given for training and for validation" in same.faults[0]


def test_figures_of_tagging(check: Check) -> None:
    good = "a\tB-x\nb\tI-x\nc\tO\n\nd\tB-y\n\n"
    ill = "e\tO\nf\tI-x\n\ng\tB-x\nh\tI-y\n\n"
    report = check("tagging", {"t.conll": good * 30 + ill}, validation_fraction=0.4)
    assert (report.accepted, report.scheme) == (True, "bio")
    entities, tags = report.balances
    assert {name: a + b for name, a, b in entities.rows} == {"x": 31, "y": 30}
    assert {name: a + b for name, a, b in tags.rows}["O"] == 31
    what = found(report)
    count, places = what["ill-formed places, which mark no entity in bio"]
    assert count == 2
    assert places[0] == "t.conll:181, word 2 (f): I-x may not follow O in bio"
    assert what["sentences exactly as one before"][0] == 58
    assert report.lengths[0].longest == 3


def test_mixed_tags_are_a_fault_of_the_whole(check: Check) -> None:
    report = check("tagging", {"t.conll": "a\tB-x\n\nb\tI-x\n\nc\tM-x\n\nd\tB-x\n\n"})
    assert (report.accepted, report.scheme) == (False, None)
    assert "letters of several schemes" in report.faults[0]
    assert report.balances[0].of == "tag"


def test_parts_of_speech_mark_no_entities(check: Check) -> None:
    report = check("tagging", {"t.conll": "a\tDET\nb\tNOUN\n\nc\tVERB\nb\tNOUN\n\nb\tNOUN\n"})
    assert report.scheme == "none"
    assert [balance.of for balance in report.balances] == ["tag"]


def test_figures_of_translation(check: Check) -> None:
    rows = "".join(f"a source of {n}\tein Ziel für {n}\n" for n in range(50))
    odd = f"short\t{'very long ' * 20}\nsame\tsame\nsame\tother\n\tempty\n"
    odd += "a source of 1\tein Ziel für 1\n"
    report = check("translation", {"t.tsv": rows + odd})
    assert report.accepted
    what = found(report)
    assert what["pairs exactly as one before"] == (1, ("t.tsv:55 (as t.tsv:2)",))
    assert what["sources with several targets"] == (1, ("t.tsv:52",))
    assert what["targets that equal their source"] == (1, ("t.tsv:52",))
    [ratio] = [each for each in report.found if "further apart" in each.what]
    assert (ratio.count, ratio.places) == (1, ("t.tsv:51 (5 and 200 characters)",))
    assert report.files[0].findings.blank == 1
    assert "1.07" in report.remarks[0]


def test_two_files_have_a_report_each(check: Check) -> None:
    report = check("translation", {"t.en": "a\nb\nc\n", "t.de": b"x\r\ny\r\n"})
    assert [(file.path, file.samples) for file in report.files] == [("t.en", 2), ("t.de", 2)]
    assert report.files[1].findings.line_ends == 2
    assert "t.en has 3 lines and t.de 2" in report.files[0].findings.faults[0]


def test_text_alone_is_no_task_here(check: Check) -> None:
    with pytest.raises(UsageError, match="learns from text alone"):
        check("masked_lm", {"t.txt": "text"})
