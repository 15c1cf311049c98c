"""A comparison from end to end, small: its data, its budget, and what it refuses."""

import json
import math
import time
from dataclasses import asdict, fields, replace
from pathlib import Path

import pytest

import phalanx
from phalanx.comparison import budget
from phalanx.comparison import study as module
from phalanx.comparison.listener import Listener
from phalanx.comparison.record import Request
from phalanx.comparison.report.page import render_json, render_page
from phalanx.comparison.results import Study
from phalanx.comparison.study import Comparison
from phalanx.errors import UsageError

TEXT = "def add(a, b):\n    # adds\n    return a + b\n\n\nclass Sum:\n    total = 0.5\n" * 300


@pytest.fixture
def corpus(tmp_path: Path) -> str:
    path = tmp_path / "text.py"
    path.write_text(TEXT, encoding="utf-8")
    return str(path)


@pytest.fixture
def models(tmp_path: Path) -> tuple[str, ...]:
    for name, mixer, more in (
        ("little-rnn", "rnn", "block: plain\n"),
        ("little-transformer", "attention", "feed_forward: {width: 16}\npositions: rotary\n"),
    ):
        (tmp_path / f"{name}.yaml").write_text(
            f"vocabulary: 2\ncontext: 64\nwidth: 16\nlayers: 1\nmixers: [{mixer}]\n{more}",
            encoding="utf-8",
        )
    return str(tmp_path / "little-rnn.yaml"), str(tmp_path / "little-transformer.yaml")


class Ear(Listener):
    def __init__(self) -> None:
        self.heard: list[str] = []

    def say(self, text: str) -> None:
        self.heard.append(text)

    def structure(self, rows: object, models: object) -> None:
        self.heard.append("structure")


@pytest.fixture
def _every_part_but_tagging(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every part run in a moment, whatever it needs; tagging has a test of its own."""
    parts = [
        replace(part, least=math.inf)
        if part.name == "tagging"
        else replace(part, least=0.0, most=part.most if part.name == "training" else 1.0)
        for part in budget.PARTS
    ]
    monkeypatch.setattr(budget, "PARTS", tuple(parts))


@pytest.mark.usefixtures("_every_part_but_tagging")
def test_a_whole_comparison_fits_its_budget_and_is_plain_data(
    corpus: str, models: tuple[str, ...]
) -> None:
    ear, start = Ear(), time.perf_counter()
    request = Request(models=models, corpus=corpus, budget=18.0, device="cpu")
    found = Comparison(request, ear).run()
    assert time.perf_counter() - start < 30
    assert "structure" in ear.heard
    assert [row.key for row in found.rows] == [
        "core_dependency",
        "parallel_training",
        "parallel_inference",
        "long_range_dependency",
        "hardware_friendliness",
    ]
    names = ["little-rnn", "little-transformer"]
    for row in found.rows:
        assert list(row.cells) == names
        for cells in row.cells.values():
            for cell in cells.values():
                assert cell.machine.verdict != "pending"
                assert cell.machine.figure is not None or cell.machine.how
    assert {level.key for level in found.levels} == {
        *("positions", "heads", "feed_forward_positions", "batch_rows")
    }
    assert {claim.id for claim in found.claims} >= {f"C{n}" for n in range(1, 13)}
    efficiency = [claim.machine for claim in found.claims if claim.id == "C12"]
    assert all(verdict is not None and verdict.how for verdict in efficiency)
    assert {point.kind for point in found.distances} == {"hops", "gradient", "recall"}
    assert {point.mode for point in found.scaling} == {"train", "forward", "decode"}
    assert [model.name for model in found.models] == names, found.notes
    tokens = {model.tokens for model in found.models}
    assert len(tokens) == 1
    for model in found.models:
        assert model.curve[-1].tokens == model.tokens
        assert model.loss_at_equal_tokens == model.curve[-1].loss
        assert model.sample.startswith(model.prompt)
        assert model.peak_memory_bytes
    assert found.contract["tuning_trials"] == dict.fromkeys(names, 0)
    read = json.loads(render_json(found))
    assert set(read) == {item.name for item in fields(Study)}
    assert read["rows"] == json.loads(json.dumps([asdict(row) for row in found.rows]))
    assert "<html" in render_page(found)


def test_without_time_everything_says_why(corpus: str, models: tuple[str, ...]) -> None:
    found = Comparison(Request(models, corpus, budget=1.0, device="cpu")).run()
    for row in found.rows:
        for cells in row.cells.values():
            for cell in cells.values():
                assert cell.structure.verdict != "not_measured"
                assert cell.machine.verdict == "not_measured"
                assert "budget" in cell.machine.how
    assert found.models == []
    assert all(level.ratio is None for level in found.levels)
    assert any("Training: not measured" in note for note in found.notes)
    assert render_page(found)


def test_structure_alone(corpus: str, models: tuple[str, ...]) -> None:
    found = phalanx.compare(models, corpus=corpus, only_structure=True, budget="60s", device="cpu")
    assert found.rows
    assert found.levels == []
    assert found.contract == {}


def test_an_interrupted_comparison_shows_what_it_has(
    corpus: str, models: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "measure_machine", interrupt)
    comparison = Comparison(Request(models, corpus, budget=30.0, device="cpu"))
    with pytest.raises(KeyboardInterrupt):
        comparison.run()
    found = comparison.study()
    assert found.rows
    assert render_page(found)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"models": ("transfomer",)}, "Did you mean 'transformer'"),
        ({"models": ()}, "no model"),
        ({"corpus": "nowhere.txt"}, "No such file"),
        ({"tokenizer": "syllables"}, "tokenizer"),
        ({"size": 10}, "Choose a larger size"),
        ({"repeats": 2}, "at least 3"),
        ({"device": "tpu"}, "device"),
        ({"budget": "a while"}, "wall time"),
    ],
)
def test_what_is_wrong_is_said_at_once(corpus: str, change: dict[str, object], said: str) -> None:
    given = {"models": ("rnn", "transformer"), "corpus": corpus, "device": "cpu"} | change
    with pytest.raises(UsageError, match=said):
        phalanx.compare(**given)


def test_cuda_without_a_gpu_is_refused(corpus: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(UsageError, match="no GPU"):
        phalanx.compare(("rnn",), corpus=corpus, device="cuda")


def test_a_text_shorter_than_a_window_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "short.txt"
    path.write_text("too short to train on", encoding="utf-8")
    with pytest.raises(UsageError, match="context of 64"):
        phalanx.compare(("rnn",), corpus=str(path), device="cpu")
