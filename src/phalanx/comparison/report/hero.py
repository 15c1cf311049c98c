"""The head of a page: what was found in a sentence a group of models, and who did best."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from markupsafe import Markup

from phalanx.comparison.report.view import best
from phalanx.pages.language import Catalogue


class Named(Protocol):
    """A model's results."""

    @property
    def name(self) -> str:
        """The model's name."""
        ...


N = TypeVar("N", bound=Named)


@dataclass(frozen=True)
class Sentence:
    """A sentence on some models, and its kind: the key of its words without ``headline_``."""

    words: Markup
    kind: str


@dataclass(frozen=True)
class Winner:
    """Who did best in one respect, and who came next."""

    title: str
    model: str
    figure: str
    unit: str
    next: str


def sentences(
    groups: Mapping[str, str | None],
    order: Sequence[str],
    models: Sequence[str],
    words: Catalogue,
) -> list[Sentence]:
    """Return one sentence a group of models.

    Args:
        groups: model -> the key of its sentence, as ``headline_serial``; None: nothing is said.
        order: of the keys. A sentence on a single model has the key with ``_one`` added.
        models: all of them, for their colours.
        words: of the page.
    """
    lines = []
    for key in order:
        names = [model for model, chosen in groups.items() if chosen == key]
        if names:
            template = words.text(key if len(names) > 1 else f"{key}_one")
            joined = Markup(words.join([str(_named(name, models)) for name in names]))
            kind = key.removeprefix("headline_")
            lines.append(Sentence(Markup(template).format(models=joined), kind))
    return lines


def winner(
    title: str,
    models: Sequence[N],
    value: Callable[[N], float | None],
    shown: Callable[[float], str],
    unit: str,
    words: Catalogue,
) -> Winner | None:
    """Return the model with the smallest value, and the next one; None where nobody competes.

    Args:
        title: key of its words.
        models: results of each.
        value: what is smallest at the best; None where there is none.
        shown: the value in words.
        unit: of the value, in words.
        words: of the page.
    """
    first = best(models, value)
    if first is None:
        return None
    rest = [model for model in models if model is not first]
    known = [(v, m.name) for m in rest if (v := value(m)) is not None and math.isfinite(v)]
    figure = value(first)
    assert figure is not None
    second = min(known) if known else None
    following = words.text("runner_up", model=second[1], figure=shown(second[0])) if second else ""
    return Winner(words.text(title), first.name, shown(figure), unit, following)


def _named(model: str, models: Sequence[str]) -> Markup:
    index = models.index(model) % 8
    return Markup('<span class="model series-{}">{}</span>').format(index, model)
