"""Sections of a configuration that refuse what they do not know, and say so in words."""

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError, ValidationInfo, field_validator

from phalanx.errors import UsageError, did_you_mean


class Strict(BaseModel):
    """A section of the configuration: frozen, finite, and without room for unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _no_truth_value_for_a_number(cls, value: Any, field: ValidationInfo) -> Any:
        # YAML reads yes and on as true, which would pass for 1.
        wanted = cls.model_fields[field.field_name or ""].annotation
        if isinstance(value, bool) and wanted not in (bool, bool | None):
            raise ValueError(f"expected no truth value (given {str(value).lower()})")
        return value


C = TypeVar("C", bound=Strict)


def parse(kind: type[C], values: Mapping[str, Any], source: str) -> C:
    """Check ``values`` against a section.

    Raises:
        UsageError: names every wrong key with what was given, expected, and the nearest known key.
    """
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        raise explain(kind, error, source) from None


def explain(kind: type[BaseModel], error: ValidationError, source: str) -> UsageError:
    """A failed check of a section in words (see ``parse``)."""
    problems = error.errors()
    lines = [_explain(kind, problem) for problem in problems[:_MOST_PROBLEMS]]
    if len(problems) > len(lines):
        lines.append(f"and {len(problems) - len(lines)} more")
    return UsageError(f"{source}: " + "\n  ".join(lines))


_MOST_PROBLEMS = 10
_LONGEST_SHOWN = 200
_EXPECTED = {  # where pydantic speaks of Python
    "tuple_type": "a list, such as [a, b]",
    "too_short": "more in the list",
    "dict_type": "a section of keys and values",
    "model_type": "a section of keys and values",
}


def _explain(kind: type[BaseModel], problem: Any) -> str:
    where = [str(part) for part in problem["loc"]]
    dotted = ".".join(where) or kind.__name__
    if problem["type"] in _EXPECTED:
        return f"{dotted}: expected {_EXPECTED[problem['type']]} (given {_shown(problem['input'])})"
    if problem["type"] == "value_error":  # our own words, which say what was given
        return f"{'.'.join(where)}: {problem['ctx']['error']}".removeprefix(": ")
    if problem["type"] != "extra_forbidden":
        given = "" if problem["type"] == "missing" else f" (given {_shown(problem['input'])})"
        return f"{dotted}: {problem['msg']}{given}"
    section: type[BaseModel] | None = kind
    for part in where[:-1]:
        field = section.model_fields.get(part) if section else None
        section = _section_of(field.annotation) if field else None
    known = section.model_fields if section else kind.model_fields
    return f"{dotted}: unknown key.{did_you_mean(where[-1], known)}"


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]} ..."


def _section_of(annotation: Any) -> type[BaseModel] | None:
    candidates = (annotation, *getattr(annotation, "__args__", ()))
    return next((c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel)), None)
