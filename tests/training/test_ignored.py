"""What is given and does nothing is said."""

from pathlib import Path

import pytest

from phalanx.config import RunConfig, override, parse, read_yaml
from phalanx.training.ignored import ignored

RECIPES = Path(__file__).parents[2] / "recipes"


@pytest.mark.parametrize(
    ("key", "given"),
    [
        ("train.decay_fraction", {"train.decay_fraction": "0.5", "train.decay": "constant"}),
        ("train.final_fraction", {"train.final_fraction": "0.1", "train.decay": "constant"}),
        ("train.momentum", {"train.momentum": "0.8", "train.optimizer": "adamw"}),
        ("train.muon_learning_rate", {"train.muon_learning_rate": "1", "train.optimizer": "adamw"}),
        ("train.patience", {"train.patience": "4", "train.steps": "1000"}),
        ("data.vocabulary", {"data.vocabulary": "300", "data.tokenizer": "bytes"}),
        ("data.text_column", {"data.text_column": "words", "task": "translation"}),
    ],
)
def test_each_is_named_where_it_does_nothing(key: str, given: dict[str, str]) -> None:
    def found(**other: str) -> list[str]:
        values = override({}, list({**given, **other}.items()))
        return ignored(parse(RunConfig, values, "here"))

    (said,) = found()
    assert said.startswith(f"{key} is {given[key]}")
    effect = {
        "train.decay": "linear",
        "train.optimizer": "muon",
        "train.steps": "1001",
        "data.tokenizer": "bpe",
        "task": "classification",
    }
    assert found(**effect) == []


@pytest.mark.parametrize("recipe", sorted(RECIPES.glob("*.yaml")), ids=lambda path: path.stem)
def test_recipes_say_nothing_in_vain(recipe: Path) -> None:
    assert ignored(parse(RunConfig, read_yaml(recipe), recipe.name)) == []


def test_the_defaults_say_nothing_in_vain() -> None:
    assert ignored(RunConfig()) == []
