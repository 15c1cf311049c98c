"""The page of a study, and its JSON."""

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from phalanx.comparison.report.charts import charts
from phalanx.comparison.report.hero import Sentence, Winner, sentences, winner
from phalanx.comparison.report.language import StudyWords, catalogue
from phalanx.comparison.report.verdicts import tone
from phalanx.comparison.report.view import best, obtained, open_cells, row_parts
from phalanx.comparison.results import Basis, Claim, Level, Study, Trained, Verdict
from phalanx.jsonable import finite
from phalanx.pages.figures import NOTHING, duration, many
from phalanx.pages.page import embed, render
from phalanx.pages.values import plain

BASES: tuple[Basis, ...] = ("structure", "machine")
HEADLINES = {  # verdict of the row "parallel training" -> its sentence, from all at once to in turn
    "yes": "headline_parallel",
    "parallel": "headline_parallel",
    "logarithmic": "headline_log",
    "chunked": "headline_chunked",
    "no": "headline_serial",
    "serial": "headline_serial",
}
RACE_WORDS = ("race_play", "race_pause", "race_done", "race_clock")


def render_json(study: Study) -> str:
    """Return the study as JSON, the page's own data; a figure that is not finite is null."""
    return json.dumps(finite(asdict(study)), ensure_ascii=False, indent=2, default=str)


def render_page(study: Study, language: str | None = None) -> str:
    """Return the study as one HTML page that needs no network.

    Args:
        study: what the comparison found.
        language: ``en`` or ``zh``; the study's own when None.

    Raises:
        UsageError: no catalogue for the language.
    """
    words = catalogue(language or study.language)
    models = _models(study)
    drawn = charts(study, words)
    context = {
        "study": study,
        "models": models,
        "index_of": lambda name: models.index(name) if name in models else len(models),
        "headline": _headline(study, models, words),
        "winners": _winners(study.models, words),
        "meta": _meta(study, words),
        "contents": _contents(study, drawn, words),
        "five": _five(study, models),
        "missing": open_cells(study.rows, BASES),
        "levels": _levels(study.levels),
        "claims": _claims(study.claims, models),
        "obtained": obtained(study.rows, BASES),
        "charts": drawn,
        "best_tokens": best(study.models, lambda m: m.loss_at_equal_tokens),
        "best_seconds": best(study.models, lambda m: m.loss_at_equal_seconds),
        "continuation": lambda m: m.sample.removeprefix(m.prompt),
        "study_data": embed(finite(asdict(study))),
        "threshold": words.threshold,
        "loss": lambda value: NOTHING if value is None else f"{value:.3f}",
        "tone": tone,
    }
    return render(
        "phalanx.comparison.report",
        "study.html.j2",
        words,
        drawn,
        context,
        style="study.css",
        scripts=("race.js",),
        chart_words=RACE_WORDS,
    )


@dataclass(frozen=True)
class _Line:
    """One basis of one row of the five: a verdict a model, its units and rules said once."""

    basis: Basis
    units: list[str]
    thresholds: list[str]
    cells: dict[str, Verdict | None]
    differs: dict[str, bool]


def _models(study: Study) -> list[str]:
    names = [model.name for model in study.models]
    for row in study.rows:
        names += row.cells
    return list(dict.fromkeys(names))


def _headline(study: Study, models: Sequence[str], words: StudyWords) -> list[Sentence]:
    """Say in one sentence a group which models train in parallel, as the structure has it."""
    row = next((row for row in study.rows if row.key == "parallel_training"), None)
    found = {}
    for model in models:
        for cell in list(row.cells.get(model, {}).values())[:1] if row else []:
            found[model] = HEADLINES.get(cell.structure.verdict)
    return sentences(found, list(dict.fromkeys(HEADLINES.values())), models, words)


def _winners(models: Sequence[Trained], words: StudyWords) -> list[Winner]:
    nats, rate = words.text("nats_per_token"), words.text("tokens_a_second")
    of_losses: dict[str, Callable[[Trained], float | None]] = {
        "headline_equal_tokens": lambda m: m.loss_at_equal_tokens,
        "headline_equal_seconds": lambda m: m.loss_at_equal_seconds,
    }
    found = [
        winner(title, models, value, lambda v: f"{v:.3f}", nats, words)
        for title, value in of_losses.items()
    ]
    found.append(
        winner(
            "headline_fastest",
            models,
            lambda m: -m.tokens_per_second,
            lambda v: many(-v),
            rate,
            words,
        )
    )
    return [one for one in found if one is not None]


def _meta(study: Study, words: StudyWords) -> list[str]:
    facts = [study.created.replace("T", " ").split("+")[0]]
    corpus = study.corpus
    if {"name", "train_tokens", "validation_tokens"} <= corpus.keys():
        facts.append(
            words.text(
                "trained_on",
                corpus=corpus["name"],
                tokens=plain(corpus["train_tokens"], words),
                validation=plain(corpus["validation_tokens"], words),
            )
        )
    times = {"budget": study.budget_seconds, "elapsed": study.elapsed_seconds}
    facts.append(words.text("budget", **{key: duration(value) for key, value in times.items()}))
    return facts


def _contents(study: Study, drawn: dict[str, Any], words: StudyWords) -> list[tuple[str, str]]:
    sections = (
        ("table", bool(study.rows)),
        ("levels", bool(study.levels)),
        ("training", bool(study.models)),
        ("curves", "curves" in drawn),
        ("race", "race" in drawn),
        ("scaling", "span" in drawn or "time" in drawn),
        ("distances", bool({"gradient", "recall", "hops"} & drawn.keys())),
        ("samples", bool(study.models)),
        ("tagging", bool(study.taggers)),
        ("claims", bool(study.claims)),
        ("contract", bool(study.contract)),
        ("machine", True),
        ("obtained", bool(study.rows)),
    )
    return [(key, words.name("nav", key)) for key, present in sections if present]


def _five(study: Study, models: Sequence[str]) -> list[dict[str, Any]]:
    groups = []
    for row in study.rows:
        for part in row_parts(row, models):
            cells = {model: row.cells.get(model, {}).get(part) for model in models}
            verdicts: dict[Basis, dict[str, Verdict | None]] = {
                basis: {m: getattr(c, basis) if c else None for m, c in cells.items()}
                for basis in BASES
            }
            lines = []
            for basis in BASES:
                known = [v for v in verdicts[basis].values() if v is not None]
                measured = [v for v in known if v.figure is not None] or known
                lines.append(
                    _Line(
                        basis=basis,
                        units=[u for u in dict.fromkeys(v.unit for v in measured) if u],
                        thresholds=[t for t in dict.fromkeys(v.threshold for v in known) if t],
                        cells=verdicts[basis],
                        differs={
                            m: basis == "machine" and _differ(verdicts["structure"][m], v)
                            for m, v in verdicts[basis].items()
                        },
                    )
                )
            groups.append({"key": row.key, "part": part, "lines": lines})
    return groups


def _differ(structure: Verdict | None, machine: Verdict | None) -> bool:
    if structure is None or machine is None:
        return False
    tones = {tone(structure.verdict), tone(machine.verdict)}
    return len(tones) == 2 and not tones & {"open", "none"}


def _levels(levels: Sequence[Level]) -> list[dict[str, Any]]:
    """Return the levels with a bar each: its length is the logarithm of the ratio."""
    ratios = [level.ratio for level in levels if level.equal and level.ratio]
    longest = max([math.log(max(ratio, 1.0)) for ratio in ratios], default=0.0) or 1.0
    rows = []
    for level in levels:
        bar = None
        if level.equal and level.ratio:
            bar = round(100 * math.log(max(level.ratio, 1.0)) / longest, 1)
        rows.append(asdict(level) | {"bar": bar})
    return rows


@dataclass(frozen=True)
class _Claims:
    id: str
    items: list[Claim]
    by: dict[str, Claim | None]


def _claims(claims: Sequence[Claim], models: Sequence[str]) -> list[_Claims]:
    found: dict[str, list[Claim]] = {}
    for claim in claims:
        found.setdefault(claim.id, []).append(claim)
    return [
        _Claims(key, items, dict.fromkeys(models) | {claim.model: claim for claim in items})
        for key, items in found.items()
    ]
