"""The report on data: every finding, not only the first, and training's verdict."""

from functools import partial
from pathlib import Path

import pytest

from phalanx.data import documents, formats
from phalanx.data.check import check_data
from phalanx.data.sources import load_corpus
from phalanx.errors import UsageError

LONG = "some more text to divide\n" * 20


def test_figures_of_a_text(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_bytes(b"\xef\xbb\xbfone\r\ntw\0o\r\n\r\nlonger \xc3\xa9nd")
    [file] = check_data(tmp_path / "x.txt").files
    assert (file.format, file.documents, file.lines) == ("text", 1, 4)
    assert (file.characters, file.bytes) == (20, 21)
    assert (file.longest_line, file.distinct_characters) == (10, 13)
    found = file.findings
    assert (found.mark, found.line_ends, found.nuls) == (True, 3, 1)
    assert len(file.remarks()) == 3
    assert file.faults == ()


def test_lines_are_counted_across_pieces_and_documents(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(formats, "pieces", partial(documents.pieces, size=4))
    (tmp_path / "x.txt").write_text("abcdefghij\n\nab cd\nxyz")
    (tmp_path / "x.jsonl").write_text('"a b"\n"c\\n"\n"\\nd"')
    text, rows = (check_data(tmp_path / name).files[0] for name in ("x.txt", "x.jsonl"))
    assert (text.lines, text.longest_line, text.characters) == (4, 10, 21)
    assert (rows.lines, rows.longest_line, rows.documents) == (4, 3, 3)


def test_it_goes_on_after_a_finding(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"one\n\xff two \xe9\n" + LONG.encode())
    (tmp_path / "b.csv").write_text("text,n\n" + "a\n" * 9 + LONG.replace("\n", ",1\n"))
    (tmp_path / "c.jsonl").write_text('{"text": 1}\nplain\n"good"\n{"txt": ""}\n{"text": null}\n')
    (tmp_path / "d.txt.gz").write_bytes(b"plain")
    (tmp_path / "e.txt").write_text(LONG)
    report = check_data(tmp_path)
    a, b, c, d, e = report.files
    assert len(a.faults) == 1
    assert "a.txt:2 has the byte 0xff" in a.faults[0]
    assert (a.findings.replaced, a.more_faults) == (2, 0)
    assert "a.txt:2" in a.findings.first_replaced
    assert (len(b.faults), b.more_faults, b.documents) == (5, 4, 20)
    assert [fault.split(" ")[0].rsplit("/")[-1] for fault in b.faults] == [
        f"b.csv:{line}" for line in range(2, 7)
    ]
    assert (len(c.faults), c.documents, c.findings.missing) == (3, 1, 1)
    assert "is not whole gzip data" in d.faults[0]
    assert e.faults == ()
    assert report.corpus is None
    with pytest.raises(UsageError, match=r"a\.txt:2"):
        load_corpus(tmp_path)


def test_what_training_would_get_is_what_it_gets(tmp_path: Path) -> None:
    for number in range(30):
        (tmp_path / f"{number}.txt").write_text(f"{number % 10} " + LONG)
    report = check_data(tmp_path, 0.2)
    corpus = load_corpus(tmp_path, 0.2)
    assert report.corpus is not None
    assert report.corpus.digest == corpus.digest
    assert report.duplicates == 20
    train = set(corpus.train.texts())
    expected = sum(text in train for text in corpus.validation.texts())
    assert report.shared == expected > 0
    assert (report.documents, report.characters) == (30, 30 * (2 + len(LONG)))
    assert report.bytes == corpus.bytes
    assert report.lines == 600
    figures = report.as_dict()
    assert figures["split"]["how"] == "by file"
    assert figures["total"]["duplicate_documents"] == 20
    assert figures["split"]["validation"]["also_in_train"] == expected


def test_replaced_bytes_are_accepted_and_counted(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_bytes(b"\xff" + LONG.encode())
    report = check_data(tmp_path / "x.txt", encoding_errors="replace")
    assert report.accepted
    assert report.files[0].findings.replaced == 1
    assert any("U+FFFD" in remark for remark in report.files[0].remarks())


def test_what_no_single_file_is_to_blame_for(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_text("x")
    (tmp_path / "blank.txt").write_text("\n\n")
    assert "too little" in check_data(tmp_path / "x.txt").faults[0]
    assert "No text in" in check_data(tmp_path / "blank.txt").faults[0]
    report = check_data(tmp_path / "x.txt", validation_paths=[str(tmp_path / "x.txt")])
    assert "for training and for validation" in report.faults[0]
    given = check_data(tmp_path / "x.txt", validation_paths=[str(tmp_path / "blank.txt")])
    assert "No text in" in given.faults[0]
    with pytest.raises(UsageError, match="No such file"):
        check_data(tmp_path / "absent.txt")
