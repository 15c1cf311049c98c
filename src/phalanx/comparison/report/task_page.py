"""The page of a comparison on a task, and its JSON."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from phalanx.comparison.report.hero import Sentence, Winner, sentences, winner
from phalanx.comparison.report.language import StudyWords, catalogue
from phalanx.comparison.report.task_charts import charts
from phalanx.comparison.report.task_view import best_model, lowest, score_text, scores_of
from phalanx.comparison.report.verdicts import tone
from phalanx.comparison.tasks.results import Inference, TaskStudy
from phalanx.jsonable import finite
from phalanx.pages.figures import duration, many
from phalanx.pages.page import embed, render

HEADLINES = {  # structure verdict of claim C9 -> its sentence, from all at once to in turn
    "yes": "headline_answers_at_once",
    "logarithmic": "headline_answers_log",
    "chunked": "headline_answers_chunked",
    "no": "headline_answers_in_turn",
}


def render_task_json(study: TaskStudy) -> str:
    """Return the study as JSON, the page's own data; a figure that is not finite is null."""
    return json.dumps(finite(asdict(study)), ensure_ascii=False, indent=2, default=str)


def render_task_page(study: TaskStudy, language: str | None = None) -> str:
    """Return the study as one HTML page that needs no network.

    Args:
        study: what the comparison found.
        language: ``en`` or ``zh``; the study's own when None.

    Raises:
        UsageError: no catalogue for the language.
    """
    words = catalogue(language or study.language)
    models = models_of(study)
    drawn = charts(study, models, words)
    scored = bool(study.models or study.baselines)
    context = {
        "study": study,
        "models": models,
        "index_of": lambda name: models.index(name) if name in models else len(models),
        "headline": _headline(study.inference, models, words),
        "winners": _winners(study, words),
        "meta": _meta(study, words),
        "contents": _contents(study, drawn, words),
        "charts": drawn,
        "scores": scores_of(study) if scored else [],
        "score_text": score_text,
        "is_best": lambda m, score, timed: m is best_model(study.models, score, timed=timed),
        "lengths": lengths_of(study.inference),
        "batch": next((i.batch for i in study.inference if i.tokens_per_second), None),
        "study_data": embed(finite(asdict(study))),
        "threshold": words.threshold,
        "tone": tone,
    }
    return render(
        "phalanx.comparison.report", "task.html.j2", words, drawn, context, style="study.css"
    )


def models_of(study: TaskStudy) -> list[str]:
    """Return the models' names in their order, trained or not."""
    return [one.model for one in study.inference] or [model.name for model in study.models]


def lengths_of(found: Sequence[Inference]) -> list[int]:
    """Return the lengths that any model was timed at."""
    return sorted({point.length for one in found for point in one.latency})


def _headline(
    found: Sequence[Inference], models: Sequence[str], words: StudyWords
) -> list[Sentence]:
    groups = {one.model: HEADLINES.get(one.structure.verdict) for one in found}
    return sentences(groups, list(HEADLINES.values()), models, words)


def _winners(study: TaskStudy, words: StudyWords) -> list[Winner]:
    score = study.primary
    found = []
    for title, timed in (("headline_best_tokens", False), ("headline_best_seconds", True)):
        value = lowest(score, timed=timed)
        name = words.name("score", score)
        found.append(
            winner(title, study.models, value, lambda v: score_text(score, abs(v)), name, words)
        )
    rate = words.text("tokens_a_second")
    fastest = "headline_fastest"
    found.append(
        winner(
            fastest,
            study.models,
            lambda m: -m.tokens_per_second,
            lambda v: many(-v),
            rate,
            words,
        )
    )
    return [one for one in found if one is not None]


def _meta(study: TaskStudy, words: StudyWords) -> list[str]:
    times = {"budget": study.budget_seconds, "elapsed": study.elapsed_seconds}
    return [
        study.created.replace("T", " ").split("+")[0],
        words.text("task_on", task=words.name("task", study.task), data=study.data["name"]),
        words.text("budget", **{key: duration(value) for key, value in times.items()}),
    ]


def _contents(study: TaskStudy, drawn: dict[str, Any], words: StudyWords) -> list[tuple[str, str]]:
    sections = (
        ("quality", bool(study.models or study.baselines)),
        ("curves", "quality" in drawn),
        ("one_pass", bool(study.inference)),
        ("latency", "latency" in drawn),
        ("contract", bool(study.contract)),
        ("machine", True),
    )
    return [(key, words.name("nav", key)) for key, present in sections if present]
