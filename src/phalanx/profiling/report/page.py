"""One self-contained HTML page of profiles: what sets each model's limit, and where."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from markupsafe import Markup

from phalanx.jsonable import finite
from phalanx.pages.figures import NOTHING, bytes_, duration, many, percent, significant
from phalanx.pages.language import Catalogue
from phalanx.pages.page import embed, render
from phalanx.profiling.findings import verdict
from phalanx.profiling.report.charts import charts
from phalanx.profiling.report.critical_path import runs
from phalanx.profiling.report.growth import span_text, work_text
from phalanx.profiling.report.language import catalogue
from phalanx.profiling.report.module_tree import Branch, join
from phalanx.profiling.report.roof import rate
from phalanx.profiling.report.words import whole
from phalanx.profiling.results import Figures, Laws, Pass, Profile
from phalanx.profiling.span import Law, WorkLaw

FIGURES: dict[str, Callable[[Figures], str]] = {
    "work": lambda f: many(f.work),
    "matmul_share": lambda f: percent(f.matmul_share),
    "bytes_moved": lambda f: bytes_(f.bytes_moved),
    "intensity": lambda f: significant(f.intensity),
    "kernels": lambda f: whole(f.kernels),
    "span": lambda f: whole(f.span),
    "scalar_span": lambda f: whole(f.scalar_span),
    "schedule_span": lambda f: whole(f.schedule_span),
    "parallelism": lambda f: many(f.parallelism),
    "kernel_parallelism": lambda f: significant(f.kernel_parallelism),
    "peak_bytes": lambda f: bytes_(f.peak_bytes),
    "syncs": lambda f: whole(f.syncs),
}
"""Rows of the table of two columns: name in the catalogue, and what it shows of a column."""

LAWS = ("work", "useful", "span", "scalar_span", "element_depth")
CHART_WORDS = ("heat_help", "heat_from", "heat_to", "heat_none")
KINDS = {  # verdict of the span's law -> key of the sentence, from all at once to in turn
    "constant": "parallel",
    "logarithmic": "log",
    "partly serial": "chunked",
    "serial": "serial",
}


def render_profiles(profiles: Sequence[Profile], language: str = "en") -> str:
    """Return the profiles as one HTML page that needs no network.

    Args:
        profiles: of one model or more, in the order of the page.
        language: ``en`` or ``zh``.

    Raises:
        UsageError: no catalogue for the language.
    """
    words = catalogue(language)
    profiles = _distinct(profiles)
    drawn = charts(profiles, words)
    names = [profile.name for profile in profiles]
    passes = [one for profile in profiles for one in profile.passes.values()]
    context = {
        "profiles": profiles,
        "passes": [(p, list(p.passes.values())) for p in profiles],
        "index_of": names.index,
        "timed": any(one.prediction or one.roofline for one in passes),
        "headline": _headline(profiles, words),
        "cards": [card for profile in profiles if (card := _card(profile, words))],
        "contents": _contents(profiles, drawn, words),
        "charts": drawn,
        "figures": FIGURES,
        "laws": _laws,
        "law_names": [key for key in LAWS if any(key in _laws(one.laws) for one in passes)],
        "law_text": _law_text,
        "residual": lambda law: significant(getattr(law, "residual", 0.0)),
        "reach": lambda law: f"{law.points[0][0]}–{law.points[-1][0]}",
        "tree": lambda one: join([one.tree]),
        "lines_of": _lines,
        "part": lambda share: percent(share) if share >= 0.001 or not share else "<0.1%",
        "chain": lambda step: runs(step.chain),
        "total": lambda one: max(sum(step.kernels for step in one.path), 1),
        "machines": _machines(profiles),
        "profile_data": embed([finite(asdict(profile)) for profile in profiles]),
        "many": many,
        "rate": rate,
        "bytes": bytes_,
        "duration": duration,
        "percent": percent,
        "significant": significant,
        "whole": whole,
        "nothing": NOTHING,
    }
    return render(
        "phalanx.profiling.report",
        "profile.html.j2",
        words,
        drawn,
        context,
        style="profile.css",
        scripts=("heat.js",),
        chart_words=CHART_WORDS,
    )


def _distinct(profiles: Sequence[Profile]) -> list[Profile]:
    """Return the profiles with equal names told apart: ``lstm``, ``lstm (2)``."""
    seen: dict[str, int] = {}
    found = []
    for profile in profiles:
        count = seen[profile.name] = seen.get(profile.name, 0) + 1
        found.append(profile if count == 1 else replace(profile, name=f"{profile.name} ({count})"))
    return found


@dataclass(frozen=True)
class _Sentence:
    words: Markup
    kind: str


@dataclass(frozen=True)
class _Card:
    """A model's figure at the head of the page."""

    model: str
    mode: str
    parallelism: str
    span: str


def _main(profile: Profile) -> Pass | None:
    """The pass that the head of the page speaks of: training, else the full pass, else any."""
    known = {str(mode): one for mode, one in profile.passes.items()}
    return known.get("train") or known.get("forward") or next(iter(known.values()), None)


def _headline(profiles: Sequence[Profile], words: Catalogue) -> list[_Sentence]:
    """Say in one sentence a group how many positions of a sequence go at once."""
    names = [profile.name for profile in profiles]
    groups: dict[tuple[str, str], list[str]] = {}
    for profile in profiles:
        one = _main(profile)
        if one is not None and one.mode in ("train", "forward") and one.laws.span is not None:
            groups.setdefault((one.mode, KINDS[verdict(one.laws.span)]), []).append(profile.name)
    lines = []
    for kind in KINDS.values():
        for mode in ("train", "forward"):
            found = groups.get((mode, kind), [])
            if found:
                key = f"headline_{mode}_{kind}" + ("_one" if len(found) == 1 else "")
                joined = Markup(words.join([str(_named(name, names)) for name in found]))
                lines.append(_Sentence(Markup(words.text(key)).format(models=joined), kind))
    return lines


def _named(name: str, names: Sequence[str]) -> Markup:
    return Markup('<span class="model series-{}">{}</span>').format(names.index(name) % 8, name)


def _card(profile: Profile, words: Catalogue) -> _Card | None:
    one = _main(profile)
    if one is None:
        return None
    law = one.laws.span
    span = whole(one.algorithm.span) if law is None else _law_text(law)
    return _Card(profile.name, one.mode, many(one.algorithm.parallelism), span)


def _contents(
    profiles: Sequence[Profile], drawn: dict[str, Any], words: Catalogue
) -> list[tuple[str, str]]:
    passes = [one for profile in profiles for one in profile.passes.values()]
    sections = (
        ("figures", bool(passes)),
        ("growth", "span" in drawn or any(_laws(one.laws) for one in passes)),
        ("roofline", "roofline" in drawn),
        ("path", any(one.path for one in passes)),
        ("modules", bool(passes)),
        ("positions", any(p.positions for p in profiles)),
        ("decode", any(one.mode == "decode" for one in passes)),
        ("prediction", any(one.prediction or one.what_if for one in passes)),
        ("measured", any(p.measured for p in profiles)),
        ("coverage", True),
    )
    return [(key, words.name("nav", key)) for key, present in sections if present]


def _laws(laws: Laws) -> dict[str, Law | WorkLaw]:
    """The laws that were found, by name; the useful work only where it is another."""
    found = {key: getattr(laws, key) for key in LAWS}
    if laws.useful == laws.work:
        del found["useful"]
    return {key: law for key, law in found.items() if law is not None}


def _law_text(law: Law | WorkLaw) -> str:
    text = work_text(law) if isinstance(law, WorkLaw) else span_text(law)
    return text.replace("T^2", "T²").replace("log2", "log₂")


def _lines(tree: Branch) -> int:
    return 1 + sum(_lines(child) for child in tree.children)


def _machines(profiles: Sequence[Profile]) -> list[dict[str, Any]]:
    """The machines that figures rest on; one for profiles made together."""
    found: list[dict[str, Any]] = []
    for profile in profiles:
        if profile.machine and profile.machine not in found:
            found.append(profile.machine)
    return found
