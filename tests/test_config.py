"""Configuration: strict, typed, and helpful about mistakes."""

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phalanx.config import (
    ModelConfig,
    RunConfig,
    TrainingConfig,
    override,
    parse,
    read_yaml,
    to_yaml,
)
from phalanx.errors import UsageError
from phalanx.models import preset

MODEL = {"vocabulary": 9, "context": 8, "width": 4, "layers": 2, "mixers": ["gru"]}


def test_defaults_make_a_run() -> None:
    config = parse(RunConfig, {}, "defaults")
    assert config.preset == "transformer"
    assert config.train == TrainingConfig()


def test_unknown_keys_are_refused_with_the_nearest_known() -> None:
    with pytest.raises(UsageError, match=r"recipe.yaml: train.step: unknown key.*'steps'"):
        parse(RunConfig, {"train": {"step": 5}}, "recipe.yaml")
    with pytest.raises(UsageError, match=r"traim: unknown key.*'train'"):
        parse(RunConfig, {"traim": {}}, "recipe.yaml")
    wrong = MODEL | {"feed_forward": {"width": 4, "activatoin": "relu"}}
    with pytest.raises(UsageError, match=r"feed_forward.activatoin: unknown key.*'activation'"):
        parse(ModelConfig, wrong, "model")


def test_every_mistake_is_named_with_what_was_given() -> None:
    with pytest.raises(UsageError) as error:
        parse(RunConfig, {"train": {"steps": 0, "optimizer": "sgd"}}, "run")
    assert "train.steps" in str(error.value)
    assert "given 0" in str(error.value)
    assert "'adamw' or 'muon'" in str(error.value)
    with pytest.raises(UsageError, match="width: Field required"):
        parse(ModelConfig, {k: v for k, v in MODEL.items() if k != "width"}, "model")


@pytest.mark.parametrize("value", [math.inf, math.nan])
def test_every_number_is_finite(value: float) -> None:
    with pytest.raises(UsageError, match=r"train\.learning_rate: .*finite"):
        parse(RunConfig, {"train": {"learning_rate": value}}, "here")


def test_no_more_sequences_at_a_time_than_a_step_takes() -> None:
    with pytest.raises(UsageError, match="micro_batch_size is 9 and a step takes 4"):
        parse(RunConfig, {"train": {"micro_batch_size": 9, "batch_size": 4}}, "here")
    assert TrainingConfig(micro_batch_size=4, batch_size=4).micro_batch_size == 4


def test_mixers_must_fill_the_layers() -> None:
    assert parse(ModelConfig, MODEL, "model").mixer_names == ("gru", "gru")
    hybrid = parse(ModelConfig, MODEL | {"layers": 4, "mixers": ["gru", "attention"]}, "model")
    assert hybrid.mixer_names == ("gru", "attention", "gru", "attention")
    with pytest.raises(UsageError, match="mixers names 3 layers and layers is 2"):
        parse(ModelConfig, MODEL | {"mixers": ["gru"] * 3}, "model")
    with pytest.raises(UsageError, match="mixers names 0 layers"):
        parse(ModelConfig, MODEL | {"mixers": []}, "model")


def test_tied_weights_need_the_vocabulary_as_outputs() -> None:
    with pytest.raises(UsageError, match="tied weights"):
        parse(ModelConfig, MODEL | {"outputs": 3}, "model")
    assert parse(ModelConfig, MODEL | {"outputs": 3, "tied": False}, "model").outputs == 3


def test_dotted_overrides() -> None:
    values = {"train": {"steps": 5, "clip": 1.0}}
    changed = override(
        values, [("train.steps", "7"), ("train.clip", "null"), ("data.paths", "[a, b]")]
    )
    assert changed == {"train": {"steps": 7, "clip": None}, "data": {"paths": ["a", "b"]}}
    assert values["train"]["steps"] == 5
    with pytest.raises(UsageError, match="'steps' is a value"):
        override(values, [("train.steps.more", "1")])
    with pytest.raises(UsageError, match="cannot read the value"):
        override(values, [("train.steps", "[1")])


def test_yaml_goes_round(tmp_path: Path) -> None:
    config = RunConfig(preset="gru", train=TrainingConfig(steps=3, clip=None))
    path = tmp_path / "run.yaml"
    path.write_text(to_yaml(config), encoding="utf-8")
    assert parse(RunConfig, read_yaml(path), str(path)) == config


@pytest.mark.parametrize("name", ["lstm", "mingru", "transformer", "gpt2"])
def test_model_configurations_go_round(name: str, tmp_path: Path) -> None:
    config = preset(name, 300, 64)
    path = tmp_path / "model.yaml"
    path.write_text(to_yaml(config), encoding="utf-8")
    assert parse(ModelConfig, read_yaml(path), str(path)) == config


def test_files_that_are_no_configuration(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot read the configuration"):
        read_yaml(tmp_path / "missing.yaml")
    path = tmp_path / "wrong.yaml"
    for text, message in (
        ("a: [", "not valid YAML"),
        ("- a", "expected a mapping"),
        ("1: 2", "expected a mapping"),
        ("!!python/object/apply:os.system [x]", "not valid YAML"),
    ):
        path.write_text(text, encoding="utf-8")
        with pytest.raises(UsageError, match=message):
            read_yaml(path)
    path.write_bytes(b"\xff\xfe\xfa")
    with pytest.raises(UsageError, match="not valid YAML"):
        read_yaml(path)
    path.write_text("", encoding="utf-8")
    assert read_yaml(path) == {}


@given(st.text(max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        override({}, [("key", text)])
    except UsageError:
        return
