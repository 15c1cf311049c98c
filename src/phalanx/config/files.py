"""Configurations as text: YAML, then dotted overrides. Nothing here imports code by name."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from phalanx.config.strict import Strict
from phalanx.errors import UsageError

LARGEST_FILE = 2**20
"""Bytes of a configuration; also characters of what its anchors unfold to."""
# PyYAML lets through whatever its constructors come upon: KeyError for !!bool x, IndexError for
# !!int '', AttributeError for !!timestamp x, OverflowError for a long 1:1:1.5.
_NOT_YAML = (
    yaml.YAMLError,
    ValueError,
    RecursionError,
    LookupError,
    AttributeError,
    ArithmeticError,
    TypeError,
)


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file.

    Raises:
        UsageError: the file is missing, unreadable, too large, not YAML or not a mapping.
    """
    try:
        values = _parse_yaml(read_text(path))
    except OSError as error:
        raise UsageError(f"{path}: cannot read the configuration: {error.strerror}") from None
    except _NOT_YAML as error:
        raise UsageError(f"{path}: not valid YAML: {error}") from None
    if values is None:
        return {}
    if not isinstance(values, dict) or not all(isinstance(key, str) for key in values):
        raise UsageError(f"{path}: expected a mapping of keys to values at the top level")
    try:
        plain: dict[str, Any] = json.loads(_unfolded(values))
    except (TypeError, ValueError, RecursionError) as error:
        raise UsageError(
            f"{path}: a value is no plain data: {error}. Expected numbers, text, true, false, "
            "null, lists and mappings. Put dates in quotes."
        ) from None
    return plain


class _Loader(yaml.SafeLoader):
    """Plain YAML. Merge keys are refused: a few lines of them unfold to more than any memory."""

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        for key, _ in node.value:
            if key.tag == "tag:yaml.org,2002:merge":
                raise yaml.YAMLError("it merges (<<). Write out what is merged")
        super().flatten_mapping(node)


def _parse_yaml(text: str) -> Any:
    loader = _Loader(text)
    try:
        return loader.get_single_data()
    finally:
        loader.dispose()


def read_text(path: Path) -> str:
    """The text of a configuration.

    Raises:
        OSError: it cannot be read.
        ValueError: it is not UTF-8, or has more than ``LARGEST_FILE`` bytes.
    """
    with path.open("rb") as file:
        data = file.read(LARGEST_FILE + 1)
    if len(data) > LARGEST_FILE:
        raise ValueError(f"it has more than {LARGEST_FILE // 2**20} MiB")
    return data.decode("utf-8")


def _unfolded(values: object) -> str:
    """Values as JSON: a few anchors that repeat one another could fill any memory."""
    parts, size = [], 0
    for part in json.JSONEncoder().iterencode(values):
        parts.append(part)
        size += len(part)
        if size > LARGEST_FILE:
            raise ValueError(f"its anchors unfold to more than {LARGEST_FILE // 2**20} MiB")
    return "".join(parts)


def override(values: Mapping[str, Any], dotted: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """``values`` with dotted overrides, ``("train.steps", "500")``; the texts are YAML scalars.

    Raises:
        UsageError: an override descends into something that is not a section, or is not YAML.
    """
    result: dict[str, Any] = json.loads(json.dumps(values))
    for key, text in dotted:
        try:
            value = _parse_yaml(text)
        except _NOT_YAML:
            raise UsageError(f"--{key}: cannot read the value {text!r}") from None
        put(result, key, value)
    return result


def put(values: dict[str, Any], key: str, value: object) -> None:
    """Set a dotted key; sections that are not there are made.

    Raises:
        UsageError: the key descends into something that is not a section.
    """
    *sections, last = key.split(".")
    place = values
    for part in sections:
        place = place.setdefault(part, {})
        if not isinstance(place, dict):
            raise UsageError(
                f"{key}: {part!r} is a value, not a section (given {place!r}). Expected keys "
                f"below it. Remove {part!r} from the configuration file, or give it keys."
            )
    place[last] = value


def to_yaml(config: Strict) -> str:
    """The resolved configuration as YAML, defaults included."""
    text: str = yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
    return text
