"""``predict`` and ``evaluate`` of a tagger: texts, files in and out, reports, refusals."""

import io
import json
import shutil
from pathlib import Path

import pytest

from phalanx.cli.main import main

Capture = pytest.CaptureFixture[str]
SMALL = ["--model.width", "32", "--train.steps", "60", "--preset", "lstm", "--train.batch_size"]
SMALL += ["8", "--train.evaluate_every", "60", "--data.vocabulary", "300"]
NAMES = ("Ann Lee", "Bob Ray", "Cleo Day")


def conll(tags: tuple[str, str, str]) -> str:
    begin, inside, other = tags
    sentences = []
    for number in range(30):
        one, two = NAMES[number % 3].split()
        words = f"{one}\t{begin}\n{two}\t{inside}\nleft\t{other}\n.\t{other}\n"
        sentences.append(f"so\t{other}\n{words}" if number % 2 else words)
    return "\n".join(sentences)


def trained(folder: Path, tags: tuple[str, str, str]) -> Path:
    table = folder / "train.conll"
    table.write_text(conll(tags))
    path = folder / "run"
    asked = ["train", str(table), "--task", "tagging", "-o", str(path), *SMALL]
    assert main(asked) == 0
    return path


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(tmp_path_factory.mktemp("tagger"), ("B-person", "I-person", "O"))


def test_entities_are_marked(run: Path, capsys: Capture) -> None:
    texts = ["so Ann Lee left.", "", "Bob Ray\tleft."]
    assert main(["predict", str(run), *(part for text in texts for part in ("--text", text))]) == 0
    lines = capsys.readouterr().out.split("\n")
    assert lines == ["so [Ann Lee](person) left.", "", "[Bob Ray](person) left.", ""]


def test_json_has_places_in_the_text(
    run: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"so  Ann Lee left.\n\n")))
    assert main(["predict", str(run), "--json", "--", "-"]) == 0
    found, empty = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert found["text"] == "so  Ann Lee left."
    assert found["tokens"] == ["so", "Ann", "Lee", "left", "."]
    assert found["offsets"] == [[0, 2], [4, 7], [8, 11], [12, 16], [16, 17]]
    assert found["tags"] == ["O", "B-person", "I-person", "O", "O"]
    [entity] = found["entities"]
    assert (entity["type"], entity["text"]) == ("person", "Ann Lee")
    assert found["text"][entity["start"] : entity["end"]] == "Ann Lee"
    assert entity["score"] == pytest.approx(sum(found["scores"][1:3]) / 2, abs=1e-5)
    assert empty["entities"] == empty["tokens"] == []


def test_files_in_and_out(run: Path, tmp_path: Path, capsys: Capture) -> None:
    words = tmp_path / "words.conll"
    words.write_text("so\nAnn\nLee\nleft\n\nBob\nRay\n")
    out = tmp_path / "out.conll"
    assert main(["predict", str(run), str(words), "-o", str(out)]) == 0
    tags = "so\tO\nAnn\tB-person\nLee\tI-person\nleft\tO\n\nBob\tB-person\nRay\tI-person\n"
    assert out.read_text() == tags
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"text": "so Ann Lee left."}\n{"text": "left"}\n')
    out = tmp_path / "out.jsonl"
    assert main(["predict", str(run), str(rows), "-o", str(out)]) == 0
    found = [json.loads(line) for line in out.read_text().splitlines()]
    assert found[0]["entities"][0]["text"] == "Ann Lee"
    assert found[1]["entities"] == []
    # What was written can be read again.
    assert main(["evaluate", str(run), "--data", str(out), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["f1"] == 1.0


def test_lists_of_words_and_chinese_text(run: Path, tmp_path: Path, capsys: Capture) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"tokens": ["so", "Ann", "Lee"]}\n{"tokens": ["我", "们", "a"]}\n')
    assert main(["predict", str(run), str(rows), "--json"]) == 0
    texts = [json.loads(line)["text"] for line in capsys.readouterr().out.splitlines()]
    assert texts == ["so Ann Lee", "我们 a"]


def test_a_report_in_the_terminal_in_json_and_in_files(
    run: Path, tmp_path: Path, capsys: Capture
) -> None:
    table = tmp_path / "dev.conll"
    table.write_text("Ann\tB-person\nLee\tI-person\nleft\tO\n\nso\tB-band\nleft\tO\n")
    folder = tmp_path / "report"
    assert main(["evaluate", str(run), "--data", str(table), "-o", str(folder)]) == 0
    out = capsys.readouterr().out
    assert "most frequent tag" in out
    assert "majority tag" in out
    assert "tags that training had not" in out
    assert "B-band (1)" in out
    assert "worst mistakes" in out
    assert main(["evaluate", str(run), "--data", str(table), "--json"]) == 0
    values = json.loads(capsys.readouterr().out)
    assert (values["precision"], values["recall"]) == (1.0, 0.5)
    assert values["types"]["band"]["support"] == 1
    assert json.loads((folder / "report.json").read_text())["f1"] == values["f1"]
    assert (folder / "confusion.svg").read_bytes().startswith(b"<?xml")
    assert len((folder / "mistakes.jsonl").read_text().splitlines()) == 1


def test_parts_of_speech_stand_behind_their_words(tmp_path: Path, capsys: Capture) -> None:
    run = trained(tmp_path, ("FIRST", "LAST", "OTHER"))
    capsys.readouterr()
    assert main(["predict", str(run), "--text", "so Ann Lee"]) == 0
    assert capsys.readouterr().out == "so/OTHER Ann/FIRST Lee/LAST\n"
    assert main(["evaluate", str(run), "--data", str(tmp_path / "train.conll")]) == 0
    assert "F1" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        (["--text", "a", "--pair", "b"], "--pair: a tagger"),
        (["--text", "a", "--top", "2"], "--top: a tagger"),
        (["--text", "a", "-o", "out.csv"], "expected a file that ends in .conll"),
        (["--text", "a", "-o", "out.jsonl", "--json"], "expected one of them"),
        (["missing.txt"], "missing.txt"),
    ],
)
def test_what_cannot_be_done_is_said(
    run: Path,
    asked: list[str],
    says: str,
    capsys: Capture,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["predict", str(run), *asked]) == 2
    assert says in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_column_of_another_task_is_refused(tmp_path: Path, capsys: Capture) -> None:
    table = tmp_path / "some.conll"
    table.write_text(conll(("B-person", "I-person", "O")))
    asked = ["data", "check", str(table), "--task", "tagging"]
    assert main([*asked, "--tag-column", "2"]) == 0
    assert main([*asked, "--label-column", "2"]) == 2
    assert "--label-column: tagging has no such column" in capsys.readouterr().err


def test_a_scheme_of_another_name_is_refused(run: Path, tmp_path: Path, capsys: Capture) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(run / "best", copy)
    (copy / "manifest.json").unlink()
    config = (copy / "config.json").read_text()
    (copy / "config.json").write_text(config.replace('"scheme": "bio"', '"scheme": "foo"'))
    assert main(["predict", str(copy), "--text", "a"]) == 2
    assert "scheme 'foo' is not known. Expected one of bio" in capsys.readouterr().err
