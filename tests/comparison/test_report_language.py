"""Both catalogues say everything, and every key that the code uses exists."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from string import Formatter

import pytest

import phalanx.comparison.results as results
from phalanx.comparison.report.language import catalogue
from phalanx.comparison.report.verdicts import TONES
from phalanx.pages.language import LANGUAGES, Catalogue

COMPARISON = Path(results.__file__).parent
REPORT = COMPARISON / "report"


def slots(words: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(words) if name is not None}


def test_same_keys_and_same_slots() -> None:
    english, *others = (catalogue(language).sections for language in LANGUAGES)
    for other in others:
        assert english.keys() == other.keys()
        for section, words in english.items():
            if section == "sentence":
                continue
            assert words.keys() == other[section].keys(), section
            for key in words:
                assert slots(words[key]) == slots(other[section][key]), (section, key)


def test_every_unit_has_a_short_form_and_every_verdict_a_tone() -> None:
    sections = catalogue("en").sections
    assert sections["unit"].keys() == sections["unit_short"].keys()
    assert sections["verdict"].keys() == TONES.keys()


def rule_keys(name: str, call: ast.Call) -> Iterator[tuple[str, str, str]]:
    """Yield the unit and the verdicts of ``Rule(unit, cuts, verdicts)`` in the comparison."""
    unit, verdicts = ast.literal_eval(call.args[0]), ast.literal_eval(call.args[2])
    yield name, "unit", unit
    for verdict in verdicts:
        yield name, "verdict", verdict


def verdict_calls() -> Iterator[tuple[str, str, str]]:
    """Yield (file, field, key) of every literal verdict and unit that the comparison makes."""
    for path in COMPARISON.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if (
                isinstance(node, ast.Call)
                and ast.unparse(node.func) == "Rule"
                and len(node.args) == 3
            ):
                yield from rule_keys(path.name, node)
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("Verdict"):
                given = dict(zip(("verdict", "figure", "unit"), node.args, strict=False))
                given |= {keyword.arg: keyword.value for keyword in node.keywords if keyword.arg}
                for field in ("verdict", "unit"):
                    value = given.get(field)
                    if isinstance(value, ast.Constant) and isinstance(value.value, str):
                        yield path.name, field, value.value


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_key_of_a_verdict_is_in_the_catalogue(language: str) -> None:
    sections = catalogue(language).sections
    missing = [call for call in verdict_calls() if call[2] not in sections[call[1]]]
    assert not missing


def test_every_text_that_the_report_asks_for_exists() -> None:
    asked = set()
    for path in (*REPORT.glob("*.py"), *REPORT.glob("*.j2")):
        asked |= set(re.findall(r"\btext\(\s*[\"']([a-z_]+)[\"']", path.read_text("utf-8")))
    for path in REPORT.glob("*.js"):
        asked |= set(re.findall(r"\bwords\.([a-z_]+)", path.read_text("utf-8")))
    assert asked
    assert asked <= catalogue("en").sections["text"].keys()


@pytest.mark.parametrize(
    ("rule", "english", "chinese"),
    [
        (
            "> 0.5 serial, < 0.05 parallel",
            "> 0.5 serial, < 0.05 parallel",
            "> 0.5 串行, < 0.05 并行",
        ),
        ("< 0.05 one_step, otherwise linear", "< 0.05 one step, otherwise grows with T", None),
        ("< 0.5 no, 0.5..0.8 partly, >= 0.8 yes", "< 0.5 no, 0.5–0.8 partly, ≥ 0.8 yes", None),
        (
            "<= 1e-12 independent, otherwise dependent",
            "≤ 1e-12 independent, otherwise dependent",
            None,
        ),
        ("≥ 95 % yes; else no", "≥ 95 % yes; otherwise no", "≥ 95 % 是; 否则否"),
        ("no rule of that kind", "no rule of that kind", "no rule of that kind"),
    ],
)
def test_thresholds_are_put_into_words(rule: str, english: str, chinese: str | None) -> None:
    assert catalogue("en").threshold(rule) == english
    if chinese is not None:
        assert catalogue("zh").threshold(rule) == chinese


def test_sentences_are_translated_by_template() -> None:
    templates = [
        ["Median of {count} repeats at T = {length}.", "在 T = {length} 重复 {count} 次。"]
    ]
    words = Catalogue("zh", {"sentence": templates})
    assert words.sentence("Median of 5 repeats at T = 512.") == "在 T = 512 重复 5 次。"
    both = "Something. Median of 5 repeats at T = 512."
    assert words.sentence(both) == "Something. 在 T = 512 重复 5 次。"
    assert words.sentence("Something else.") == "Something else."


def test_names_are_joined_as_the_language_does() -> None:
    assert catalogue("en").join(["a"]) == "a"
    assert catalogue("en").join(["a", "b", "c"]) == "a, b and c"
    assert catalogue("zh").join(["a", "b", "c"]) == "a、b 和 c"


@pytest.mark.parametrize(
    "words",
    [
        "Traced at T = 32, 64; span of the whole pass 7T + 3; the figure is that of the layer "
        "that adds most. Losses of one pass and of prefixes differ by 0 nats.",
        "Levels: not measured. The budget of 60 s leaves no time for it (at least 1.5 s would be "
        "needed).",
        "lstm trains 2 times as fast as gru here (1 row of 256); predicted crossover at 4 times "
        "this machine's parallel hardware, where work shrinks and the 2.5 ms that lstm waits for "
        "positions stay.",
        "Each of 16 heads computed alone from its slice of the weights, float64. Span: 0 kernels "
        "per added head.",
    ],
)
def test_what_a_study_says_is_said_in_chinese(words: str) -> None:
    said = catalogue("zh").sentence(words)
    assert not re.search(r"[a-z]{3,} [a-z]{2,} [a-z]{2,}", said), said
