"""The README.md of a model directory: what the model is, and the figures that it reached."""

from typing import TYPE_CHECKING

from phalanx.data.tokenizers import Tokenizer
from phalanx.models import Model

if TYPE_CHECKING:
    from phalanx.training.model_directory import Description


def model_card(name: str, description: "Description", model: Model, tokenizer: Tokenizer) -> str:
    """The card as Markdown, under the title ``name``."""
    total, outside = model.parameter_counts()
    config = description.model
    facts = {
        "task": description.task.replace("_", " "),
        "architecture": f"{config.kind}, {config.layers} layers of {', '.join(config.mixers)}",
        "width": f"{config.width}",
        "context": f"{config.context} tokens",
        "parameters": f"{total:,} ({outside:,} outside the tables of tokens and positions)",
        "tokenizer": f"{tokenizer.kind}, {tokenizer.vocabulary} tokens",
    }
    facts |= {key.replace("_", " "): _words(value) for key, value in description.training.items()}
    figures = {
        key.replace("_", " "): "not finite" if value is None else f"{value:,.6g}"
        for key, value in description.figures.items()
    }
    parts = [f"# {name}", "Trained with phalanx.", _table(facts)]
    if figures:
        parts += ["## Figures", _table(figures)]
    parts += ["## Use", _use(description.task)]
    return "\n\n".join(parts) + "\n"


_CALLS = {
    "language_modelling": 'print(run.generate("Once", max_new_tokens=100))',
    "masked_lm": 'print(run.fill("a text with a [MASK] in it"))',
    "classification": 'print(run.predict("a text"))',
    "tagging": 'print(run.predict("a text"))',
    "translation": 'print(run.translate("a text"))',
}


def _words(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_words(entry)}" for name, entry in value.items())
    return f"{value}"


def _use(task: str) -> str:
    lines = ["import phalanx", 'run = phalanx.load("this/directory")']
    lines += [_CALLS.get(task, "scores = run.model(ids_BT)  # all positions in one pass")]
    return "\n".join(["```python", *lines, "```"])


def _table(rows: dict[str, str]) -> str:
    cells = {key: value.replace("|", "\\|").replace("\n", " ") for key, value in rows.items()}
    return "\n".join(
        ["| | |", "|---|---|", *(f"| {key} | {value} |" for key, value in cells.items())]
    )
