"""Which family of Hugging Face models a phalanx model fits, and if none, what it would take."""

import json
import shlex
from typing import Any

from phalanx.config import ModelConfig
from phalanx.errors import UsageError
from phalanx.interop.huggingface.bert import BERT, head_needs
from phalanx.interop.huggingface.families import FAMILIES
from phalanx.interop.huggingface.family import Family, Need


def fitting_family(config: ModelConfig, task: str) -> Family:
    """The family of which a model is one.

    Args:
        config: of the model.
        task: what it was trained to do.

    Raises:
        UsageError: it fits none; says what does not fit the nearest one, and how to train a model
            that does.
    """
    if config.kind == "encoder_decoder":
        raise UsageError(
            "an encoder-decoder of phalanx has no counterpart in transformers. Expected a decoder "
            "or an encoder."
        )
    families = [BERT] if config.kind == "encoder" else [f for f in FAMILIES.values() if f != BERT]
    unmet = [(_unmet(config, family, task), family) for family in families]
    for problems, family in unmet:
        if not problems:
            return family
    problems, nearest = min(unmet, key=lambda pair: len(pair[0]))
    given = _flat(config)
    lines = [
        f"model.{need.key} is {_shown(given[need.key])}; {nearest.model_type} has "
        f"{' or '.join(list(dict.fromkeys(map(_shown, need.values)))[:4])}"
        for need in problems
    ]
    wanted = {need.key: next(iter(need.values)) for need in problems}
    if config.feed_forward is None:
        wanted["feed_forward.width"] = 4 * config.width
    settings = [f"--model.{key} {_typed(value)}" for key, value in wanted.items()]
    raise UsageError(
        f"this model is none that transformers has; the nearest is {nearest.model_type}:\n  "
        + "\n  ".join(lines)
        + f"\nExpected a model that fits. Train one with {' '.join(settings)}"
    )


def plain(config: ModelConfig) -> ModelConfig:
    """The same model, with nothing said that holds anyway."""
    chosen = config.attention
    changes: dict[str, Any] = {}
    if chosen.key_value_heads == chosen.heads:
        changes["key_value_heads"] = None
    if chosen.head_width is not None and chosen.head_width * chosen.heads == config.width:
        changes["head_width"] = None
    if chosen.output_bias == chosen.bias:
        changes["output_bias"] = None
    return config.model_copy(update={"attention": chosen.model_copy(update=changes)})


def _unmet(config: ModelConfig, family: Family, task: str) -> list[Need]:
    given = _flat(plain(config))
    needs = (*family.needs, *(head_needs(task) if family == BERT else ()))
    return [need for need in needs if given[need.key] not in need.values]


def _flat(config: ModelConfig) -> dict[str, Any]:
    """The fields by dotted keys; a mixer that is the same in every layer once."""
    values: dict[str, Any] = {}
    for name, value in config.model_dump(mode="json").items():
        values |= {f"{name}.{k}": v for k, v in value.items()} if isinstance(value, dict) else {}
        values[name] = value
    if len(set(config.mixers)) == 1:
        values["mixers"] = list(config.mixers[:1])
    for name in ("activation", "bias"):
        values.setdefault(f"feed_forward.{name}", None)
    return values


def _shown(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _typed(value: object) -> str:
    """A value as it is typed behind an option."""
    return shlex.quote(_shown(value))
