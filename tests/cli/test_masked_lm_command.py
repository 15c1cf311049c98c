"""``phalanx predict`` and ``phalanx evaluate`` with a masked language model."""

import json
from pathlib import Path

import pytest

from phalanx.cli import masked_lm as command
from phalanx.cli.common import EvaluateAsk, PredictAsk
from phalanx.data.tokenizers import train_tokenizer
from phalanx.errors import UsageError
from phalanx.models import build, preset
from phalanx.runs import Run, load
from phalanx.tasks.masked_lm import FILE_NAME, Unigram
from phalanx.training.model_directory import Description, save_model

TEXT = "one two buckle my shoe and three four knock at the door\n" * 5


@pytest.fixture
def run(tmp_path: Path) -> Run:
    tokenizer = train_tokenizer("words", [TEXT], mask=True)
    config = preset(
        "transformer", tokenizer.vocabulary, 16, kind="encoder", width=16, layers=1, init="glorot"
    )
    path = tmp_path / "model"
    save_model(path, build(config, 1), tokenizer, Description(task="masked_lm", model=config))
    return load(path, "cpu")


def test_words_are_told_for_each_hidden_place(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    command.predict(run, PredictAsk(("my [MASK] and [MASK]", "[MASK]"), top=2))
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 5
    filled, first, second, *_ = lines
    assert filled == f"my {first.split()[0]} and {second.split()[0]}"
    assert len(first.split()) == 4, "two words, each with its probability"


def test_as_json_and_from_files(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "texts.csv"
    table.write_text('text\n"my [MASK], and"\n[MASK] two\n')
    command.predict(run, PredictAsk(files=(str(table),), json=True, top=3))
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["text"] for row in rows] == ["my [MASK], and", "[MASK] two"]
    assert [len(row["masks"][0]) for row in rows] == [3, 3]
    best = rows[1]["masks"][0][0]
    assert rows[1]["filled"] == f"{best['text']} two"
    output = tmp_path / "filled.jsonl"
    command.predict(run, PredictAsk(files=(str(table),), output=output, top=3))
    assert [json.loads(line) for line in output.read_text().splitlines()] == rows
    for wrong in (PredictAsk(("[MASK]",), output=tmp_path / "x.csv"), PredictAsk(("a",), ("b",))):
        with pytest.raises(UsageError, match=r"--output|--pair"):
            command.predict(run, wrong)


def test_the_score_stands_beside_guesses_by_frequency(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = tmp_path / "text.txt"
    text.write_text(TEXT)
    command.evaluate(run, EvaluateAsk((str(text),)))
    said = capsys.readouterr()
    assert "by frequency alone" not in said.out
    assert "no baseline" in said.err
    ids = run.tokenizer.encode_array(TEXT)
    (run.path / FILE_NAME).write_bytes(Unigram.fit(run.tokenizer, ids).to_json())
    command.evaluate(run, EvaluateAsk((str(text),)))
    assert capsys.readouterr().out.count("by frequency alone") == 3
    command.evaluate(run, EvaluateAsk((str(text),), json=True))
    values = json.loads(capsys.readouterr().out)
    assert values["baselines"]["unigram"].keys() == {"loss", "accuracy", "perplexity"}
    assert values["tokens"] > 5
    assert values["loss"] > 0
    with pytest.raises(UsageError, match="--label-column: a masked language model is judged"):
        command.evaluate(run, EvaluateAsk((str(text),), {"label_column": "x"}))


def test_a_guess_with_a_line_end_stays_in_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    tokenizer = train_tokenizer("characters", ["a\nb"], mask=True)
    config = preset(
        "transformer", tokenizer.vocabulary, 16, kind="encoder", width=16, layers=1, init="glorot"
    )
    run = Run(Path("m"), "masked_lm", build(config, 1), tokenizer)
    command.predict(run, PredictAsk(("a<|mask|>",), top=9))
    guesses = capsys.readouterr().out.splitlines()[-1]
    assert '"\\n" 0.' in guesses
    assert guesses.count("0.") == 3
