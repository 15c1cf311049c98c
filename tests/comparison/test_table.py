"""The terminal's tables: widths, folding, languages, marks without colour, escapes."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from rich.cells import cell_len
from rich.console import Console
from sample_study import MODELS, sample_study

from phalanx.comparison.report.five_rows import print_structure
from phalanx.comparison.report.table import print_samples, print_tables
from phalanx.comparison.results import Verdict
from phalanx.errors import UsageError
from phalanx.pages.console import make_console


def printed(study=None, language=None, width=100) -> str:
    out = io.StringIO()
    console = Console(file=out, width=width, highlight=False)
    print_tables(study or sample_study(), console, language)
    return out.getvalue()


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("width", [60, 80, 100])
def test_no_line_is_wider_than_the_console(language: str, width: int) -> None:
    for line in printed(language=language, width=width).splitlines():
        assert cell_len(line) <= width, line


def test_five_models_fit_in_one_table_of_100_columns() -> None:
    lines = printed().splitlines()
    header = [line for line in lines if all(model in line for model in MODELS)]
    assert header
    assert sum("Core dependency" in line and "Does a position" in line for line in lines) == 1


def test_more_models_fold_into_further_tables() -> None:
    names = tuple(f"model-{i}" for i in range(7))
    text = printed(sample_study(names))
    assert text.count("Does a position wait") == 2
    for name in names:
        assert name in text


def test_both_verdicts_figures_intervals_and_thresholds_are_there() -> None:
    text = printed()
    for expected in (
        "○ serial",
        "● parallel",
        "◐ log depth",
        "? inconclusive",
        "· not measured",
        "1.97 1.93–2.04",
        "> 0.5 serial, < 0.05 parallel",
        "< 0.05 one step, > 0.5 grows with T",
        "The control kernel varied by 61 %",
        "41.5× 38.9–44.2",
        "results differ",
        "17.7–18.8k",
    ):
        assert expected in text, expected


def test_taggers_are_shown_with_their_baseline_and_times() -> None:
    study = sample_study()
    text = printed(study)
    for tagger in study.taggers:
        assert tagger.name.split()[0] in text
        assert f"{tagger.accuracy:.1%}" in text
        assert f"{tagger.majority_accuracy:.1%}" in text
    assert "Tagging without generating" not in printed(replace(study, taggers=[]))


def test_an_unequal_level_shows_no_time() -> None:
    study = sample_study()
    wrong = replace(study.levels[0], equal=False, max_difference=0.5)
    text = printed(replace(study, levels=[wrong], taggers=[]))
    assert "2.10 ms" not in text
    assert "results differ" in text


def test_chinese_has_no_english_verdict_left() -> None:
    text = printed(replace(sample_study(), notes=[]), language="zh")
    for word in (
        "serial",
        "parallel",
        "inconclusive",
        "Core dependency",
        "tokens/s",
        "not measured",
    ):
        assert word not in text, word
    assert "○ 串行" in text
    assert "> 0.5 串行, < 0.05 并行" in text


def test_unknown_language_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="expected one of en, zh"):
        printed(language="fr")


def test_no_escape_codes_in_a_pipe_and_none_from_a_model() -> None:
    out = io.StringIO()
    console = make_console(out)
    assert console.width == 100
    study = sample_study()
    models = [replace(study.models[0], sample="def parse(\x1b[2J\x07", name="evil\x1b[31m")]
    print_samples(models, console)
    print_tables(replace(study, models=models, notes=["\x1b]0;title\x07"]), console)
    assert "\x1b" not in out.getvalue()


def test_without_colour_the_marks_remain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    out = io.StringIO()
    study = sample_study()
    print_structure(study.rows, MODELS, Console(file=out, force_terminal=True, width=100))
    assert "\x1b[3" not in out.getvalue()
    assert "○ serial" in out.getvalue()


def test_an_output_of_ascii_alone_shows_ascii_marks() -> None:
    raw = io.BytesIO()
    console = make_console(io.TextIOWrapper(raw, encoding="ascii"))
    print_structure(sample_study().rows, MODELS, console)
    console.file.flush()
    text = raw.getvalue().decode("ascii")
    assert "- serial" in text
    assert "+ parallel" in text


def test_structure_alone_says_that_the_machine_is_pending() -> None:
    out = io.StringIO()
    print_structure(sample_study().rows, MODELS, Console(file=out, width=100))
    text = out.getvalue()
    assert "pending" in text
    assert "> 1.6 serial" not in text


def test_unknown_keys_are_shown_as_they_came() -> None:
    study = sample_study()
    cells = {"new": {"": replace(study.rows[0].cells["rnn"][""])}}
    odd = Verdict("half_parallel", 1.0, "new_unit", "when it feels so")
    cells["new"][""] = replace(cells["new"][""], structure=odd)
    row = replace(study.rows[0], cells=cells)
    out = io.StringIO()
    print_structure([row], ["new"], Console(file=out, width=100))
    assert "half parallel" in out.getvalue()
    assert "new unit" in out.getvalue()


def test_a_study_without_models_still_prints() -> None:
    empty = replace(sample_study(), models=[], levels=[], rows=[], contract={}, notes=[])
    assert printed(empty)
