"""The terminal's tables and the page of a comparison on a task."""

from __future__ import annotations

import io
import json
import re
from dataclasses import fields, replace

import pytest
from rich.cells import cell_len
from rich.console import Console
from sample_task_study import ATTACK, sample_task_study

from phalanx.comparison.report.task_page import render_task_json, render_task_page
from phalanx.comparison.report.task_table import print_task
from phalanx.comparison.tasks.results import TaskStudy


def printed(study: TaskStudy, language: str = "en", width: int = 100) -> str:
    out = io.StringIO()
    print_task(study, Console(file=out, width=width, highlight=False), language)
    return out.getvalue()


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("width", [80, 100])
def test_no_line_is_wider_than_the_console(language: str, width: int) -> None:
    for line in printed(sample_task_study(), language, width).splitlines():
        assert cell_len(line) <= width, line


def test_scores_baselines_calls_verdicts_and_times_are_there() -> None:
    text = printed(sample_task_study())
    for expected in (
        *("31.0%", "42.0%", "52.0%", "majority tag", "80.0%"),
        *("○ no", "● yes", "◐ partly", "0.630–0.770"),
        *("T = 1024", "25.6 ms", "41.0k", "texts of 64"),
        *("32 texts of at most 128 tokens", "The time was too short for three turns."),
    ):
        assert expected in text


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("trained", [True, False])
def test_a_page_is_whole_in_both_languages_at_any_moment(language: str, trained: bool) -> None:
    page = render_task_page(sample_task_study(trained=trained), language)
    assert ATTACK not in page
    assert 'id="one_pass"' in page
    assert 'data-chart="latency"' in page
    assert ('data-chart="quality"' in page) is trained
    data = re.search(r'id="chart-data">(.*?)</script>', page, re.DOTALL)
    assert data is not None
    charts = json.loads(data[1])
    [view] = charts["latency"]["views"].values()
    assert view["x"]["log"]
    assert view["y"]["log"]
    assert [point[0] for point in view["series"][0]["points"]] == [16, 64, 256, 1024]
    if trained:
        view = charts["quality"]["views"]["seconds|f1"]
        assert [line["y"] for line in view["lines"]] == [0.0]
        assert len(view["series"]) == 2


def test_the_best_of_a_loss_is_the_lowest_and_of_a_share_the_highest() -> None:
    study = sample_task_study()
    first, second = study.models
    better = replace(first, equal_tokens={**first.equal_tokens, "loss": 0.01})
    page = render_task_page(replace(study, models=[better, second]))
    [row_of_first, row_of_second] = re.findall(
        r'<tr><th scope="row"><span class="model">.*?</tr>', page, re.DOTALL
    )[:2]
    best = '<span class="best"'
    assert best in cell(row_of_first, "0.010")
    assert best in cell(row_of_second, "42.0%")
    assert best not in cell(row_of_first, "31.0%")


def cell(row: str, figure: str) -> str:
    return next(part for part in row.split("<td") if figure in part)


def test_the_json_has_every_field() -> None:
    read = json.loads(render_task_json(sample_task_study()))
    assert set(read) == {item.name for item in fields(TaskStudy)}
