"""Comparisons on a task: who takes part, what is held equal, claim C9, and what is refused."""

from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest

from phalanx.comparison.contenders import Form, contenders, mismatch
from phalanx.comparison.contest import Contest, run_contest
from phalanx.comparison.listener import Listener
from phalanx.comparison.subjects import Subject
from phalanx.comparison.tasks import inference
from phalanx.comparison.tasks import study as module
from phalanx.comparison.tasks.course import TaskCourse
from phalanx.comparison.tasks.inference import examine
from phalanx.comparison.tasks.python_tags import PythonTags, prepare_python_tags
from phalanx.comparison.tasks.request import TaskRequest, settings
from phalanx.comparison.tasks.study import TaskComparison, form_of
from phalanx.comparison.tuning import rates_of
from phalanx.comparison.work import count_work
from phalanx.config import ModelConfig
from phalanx.data.documents import Document
from phalanx.errors import UsageError
from phalanx.training.prepared import Prepared
from phalanx.training.run import prepare

SOURCE = "def add(a, b):\n    # adds\n    return a + b\n\n\nclass Sum:\n    total = 0.5\n" * 8
LSTM = "width: 16\nlayers: 1\nmixers: [lstm+lstm]\nblock: plain\n"
ATTENTION = (
    "width: 16\nlayers: 1\nmixers: [attention]\npositions: rotary\nfeed_forward: {width: 16}\n"
)
HYBRID = "kind: encoder\nwidth: 16\nlayers: 2\nmixers: [lstm+lstm, attention]\n"


class Silent:
    def show(self, event: object) -> None:
        pass


@pytest.fixture(scope="module")
def tags() -> PythonTags:
    return prepare_python_tags(0, [Document(f"{n}.py", SOURCE) for n in range(20)])


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    for name, text in (("lstm", LSTM), ("attention", ATTENTION), ("hybrid", HYBRID)):
        (tmp_path / f"little-{name}.yaml").write_text(text, encoding="utf-8")
    return {name: str(tmp_path / f"little-{name}.yaml") for name in ("lstm", "attention", "hybrid")}


@pytest.fixture
def table(tmp_path: Path) -> str:
    path = tmp_path / "train.csv"
    words = {"good": "a fine and happy day", "bad": "a dull and sorry night"}
    rows = [f"{text} number {n},{label}" for n in range(60) for label, text in words.items()]
    path.write_text("\n".join(["text,label", *rows]), encoding="utf-8")
    return str(path)


def test_presets_read_both_ways_and_are_matched_in_size(tags: PythonTags) -> None:
    found = contenders(("lstm", "transformer"), 257, 64, 100_000, form_of(tags))
    assert mismatch(found) <= 0.02
    assert [c.config.mixers for c in found] == [("lstm+lstm",), ("attention",)]
    for contender in found:
        assert contender.config.kind == "encoder"
        assert contender.config.outputs == 7


def test_a_file_keeps_its_mixers_and_a_decoder_becomes_the_encoder_of_its_layers(
    files: dict[str, str], tmp_path: Path
) -> None:
    form = Form("encoder", {"outputs": 3, "tied": False, "pooling": "mean"})
    decoder = tmp_path / "decoder.yaml"
    decoder.write_text(LSTM.replace("lstm+lstm", "gru") + "kind: decoder\n", encoding="utf-8")
    hybrid, was = contenders((files["hybrid"], str(decoder)), 99, 64, 100_000, form)
    assert hybrid.config.mixers == ("lstm+lstm", "attention")
    assert (was.config.kind, was.config.mixers) == ("encoder", ("gru+gru",))
    for contender in (hybrid, was):
        assert (contender.config.outputs, contender.config.pooling) == (3, "mean")


def little(mixers: tuple[str, ...], **changes: object) -> Subject:
    config = ModelConfig.model_validate(
        {
            "kind": "encoder",
            "vocabulary": 32,
            "context": 64,
            "width": 16,
            "layers": len(mixers),
            "mixers": mixers,
            "outputs": 3,
            "tied": False,
            **changes,
        }
    )
    return Subject.of("little", config)


@pytest.mark.parametrize("pooling", [None, "mean"])
def test_claim_c9_is_turned_round_by_a_bidirectional_lstm(pooling: str | None) -> None:
    encoder = examine(little(("attention",), pooling=pooling))
    lstm = examine(little(("lstm+lstm",), pooling=pooling))
    assert (encoder.structure.verdict, lstm.structure.verdict) == ("yes", "no")
    assert encoder.span_slope == 0
    assert lstm.span_slope >= 1
    # One call answers for the text in both: the call is the control, its span the difference.
    assert encoder.calls_per_sequence == lstm.calls_per_sequence == 1


def test_one_recurrent_layer_among_others_makes_a_hybrid_wait() -> None:
    assert examine(little(("lstm+lstm", "attention"))).structure.verdict == "no"


def test_all_read_as_many_tokens_of_the_same_samples_and_flops_follow_the_shapes(
    tags: PythonTags, files: dict[str, str]
) -> None:
    models = contenders(
        (files["lstm"], files["attention"]), tags.tokenizer.vocabulary, 64, 1, form_of(tags)
    )
    work = {model.name: count_work(model.config) for model in models}
    course = TaskCourse(tags, {m.name: rates_of("") for m in models}, work, "cpu")
    contest = Contest()
    run_contest(models, course, 2.0, contest, lambda *_: nullcontext(Silent()), lambda: 60.0)
    assert {ran.tokens for ran in contest.equal_tokens.values()} == {contest.tokens}
    for name, ran in contest.equal_tokens.items():
        batches = [tags.batches()(step) for step in range(ran.steps)]
        assert ran.tokens == sum(batch.tokens for batch in batches)
        law = work[name].train
        positions = [batch.inputs_BT.shape for batch in batches]  # type: ignore[attr-defined]
        assert ran.last.flops == pytest.approx(sum(b * float(law.at(t)) for b, t in positions))
        assert set(ran.last.scores) == {"accuracy"}
        assert ran.memory > 0


def prepared_texts(table: str) -> Prepared:
    data, _ = settings(table, {"tokenizer": "bytes"})
    assert data is not None
    return prepare(module.run_config(TaskRequest("classification", (), data)))


def test_any_prepared_task_can_be_compared(table: str, files: dict[str, str]) -> None:
    prepared = prepared_texts(table)
    request = TaskRequest("classification", (files["attention"],), budget=1.0, device="cpu")
    comparison = TaskComparison(replace(request, data=prepared.config.data), prepared=prepared)
    assert {c.config.pooling for c in comparison.models} == {"mean"}
    assert {c.config.outputs for c in comparison.models} == {2}
    study = comparison.run()
    assert [b.name for b in study.baselines] == ["majority", "naive_bayes"]
    assert study.baselines[1].scores["accuracy"] == 1.0
    [one] = study.inference
    assert one.structure.verdict == "yes"
    assert one.machine.verdict == "not_measured"
    assert "budget" in one.machine.how
    assert study.contract["non_embedding_parameters"].keys() == {"little-attention"}


@pytest.mark.slow
def test_a_whole_comparison_beats_the_majority(tags: PythonTags, files: dict[str, str]) -> None:
    names = (files["lstm"], files["attention"])
    request = TaskRequest("tagging", names, budget=25.0, device="cpu")
    study = TaskComparison(request, prepared=tags).run()
    assert study.primary == "accuracy"
    assert [m.name for m in study.models] == ["little-lstm", "little-attention"], study.notes
    for model in study.models:
        assert model.equal_tokens["accuracy"] > study.baselines[0].scores["accuracy"]
        assert model.equal_seconds is not None
    for one in study.inference:
        assert {point.length for point in one.latency} <= set(inference.LENGTHS)
        assert one.machine.figure is not None
        assert one.tokens_per_second


def test_an_interrupted_comparison_shows_what_it_has(
    tags: PythonTags, files: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(inference, "measure", interrupt)
    request = TaskRequest("tagging", (files["attention"],), budget=30.0, device="cpu")
    comparison = TaskComparison(request, Listener(), prepared=tags)
    with pytest.raises(KeyboardInterrupt):
        comparison.run()
    found = comparison.study()
    assert found.inference[0].structure.verdict == "yes"
    assert found.inference[0].machine.verdict == "pending"
    assert found.models == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"task": "translation"}, "expected one of tagging, classification"),
        ({"task": "classification"}, "without --corpus"),
        ({"models": ("transfomer",)}, "Did you mean 'transformer'"),
        ({"models": ()}, "no model"),
        ({"repeats": 2}, "at least 3"),
    ],
)
def test_what_is_wrong_is_said_at_once(change: dict[str, object], said: str) -> None:
    given = {"task": "tagging", "models": ("lstm",), "device": "cpu"} | change
    with pytest.raises(UsageError, match=said):
        TaskComparison(TaskRequest(**given))  # type: ignore[arg-type]  # wrong on purpose


@pytest.mark.parametrize(
    ("corpus", "reading", "overrides", "said"),
    [
        (None, {"tag_column": "2"}, (), "without --corpus"),
        ("a.csv", {}, (("model.width", "9"),), "--data.KEY or --train.KEY"),
        ("a.csv", {}, (("train.steps", "9"),), "the comparison decides it"),
        ("a.csv", {}, (("train.stepz", "9"),), "unknown key"),
    ],
)
def test_settings_that_do_not_fit_are_refused(
    corpus: str | None, reading: dict[str, str], overrides: tuple[tuple[str, str], ...], said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        settings(corpus, reading, overrides)
