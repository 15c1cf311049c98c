"""The page: self-contained, safe against its own data, complete without JavaScript, bilingual."""

from __future__ import annotations

import base64
import hashlib
import json
import math
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from sample_study import ATTACK, MODELS, sample_study

from html_page import Page
from phalanx.comparison.report import render_json, render_page
from phalanx.comparison.report.charts import charts
from phalanx.comparison.report.language import catalogue
from phalanx.comparison.results import Study, Verdict
from phalanx.errors import UsageError


def hostile() -> Study:
    """Return a study with the attack in every place where a user's or a model's text arrives."""
    names = (ATTACK, '" onmouseover="alert(3)', "{{ 7 * 7 }}")
    study = sample_study(names)
    models = [
        replace(m, prompt=ATTACK, sample=ATTACK * 2, optimizer=ATTACK, config={ATTACK: ATTACK})
        for m in study.models
    ]
    return replace(
        study,
        models=models,
        corpus={"name": ATTACK, ATTACK: ATTACK, "train_tokens": 1, "validation_tokens": 1},
        machine={ATTACK: {ATTACK: ATTACK}},
        contract={ATTACK: ATTACK},
        taggers=[replace(t, name=ATTACK) for t in study.taggers],
        levels=[replace(level, model=ATTACK) for level in study.levels],
    )


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_page_is_well_formed_small_and_asks_for_nothing(language: str) -> None:
    html = render_page(sample_study(language=language))
    assert len(html.encode()) < 1_000_000
    page = Page(html)
    assert page.open == []
    for tag, attributes in page.elements:
        for name in ("src", "href", "action", "srcset", "data"):
            target = attributes.get(name)
            if target is not None:
                assert target.startswith(("#", "data:image/svg+xml,")), (tag, target)
    style = html[html.index("<style>") : html.index("</style>")]
    assert "url(" not in style
    assert "@import" not in style
    script = page.scripts[-1][1]
    for call in ("fetch(", "XMLHttpRequest", "import(", "WebSocket", "eval(", "innerHTML"):
        assert call not in script
    ids = [a["id"] for _, a in page.elements if "id" in a]
    assert len(ids) == len(set(ids))
    for _, attributes in page.elements:
        target = attributes.get("href") or ""
        if target.startswith("#"):
            assert target[1:] in ids, target


def test_the_policy_allows_our_script_alone() -> None:
    page = Page(render_page(sample_study()))
    policy = next(
        a["content"] or ""
        for tag, a in page.elements
        if tag == "meta" and a.get("http-equiv") == "Content-Security-Policy"
    )
    digest = base64.b64encode(hashlib.sha256(page.scripts[-1][1].encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy
    assert not any(name.startswith("on") for _, a in page.elements for name in a)


def test_text_of_users_and_models_stays_text() -> None:
    page = Page(render_page(hostile()))
    assert page.open == []
    assert not [tag for tag, _ in page.elements if tag == "img"]
    assert not any(name.startswith("on") for _, a in page.elements for name in a)
    kinds = [a.get("type") for a, _ in page.scripts]
    assert kinds == ["application/json"] * 3 + [None]
    assert all("alert(" not in text or a.get("type") for a, text in page.scripts)
    assert "<script>alert(1)</script>" in page.text()
    assert "{{ 7 * 7 }}" in page.text()


def test_the_json_in_the_page_is_the_json_of_the_command() -> None:
    study = hostile()
    page = Page(render_page(study))
    embedded = next(text for a, text in page.scripts if a.get("id") == "study")
    assert "<" not in embedded
    assert json.loads(embedded) == json.loads(render_json(study))


def test_figures_that_are_not_finite_become_null() -> None:
    study = sample_study()
    lost = replace(study.models[0], loss_at_equal_tokens=math.nan, bits_per_byte=math.inf)
    curve = [replace(p, loss=math.nan) for p in lost.curve]
    study = replace(study, models=[replace(lost, curve=curve), *study.models[1:]])
    record = json.loads(render_json(study))
    assert record["models"][0]["loss_at_equal_tokens"] is None
    assert record["models"][0]["bits_per_byte"] is None
    assert "nan" in render_page(study)
    names = [
        s["name"] for s in charts(study, catalogue("en"))["curves"]["views"]["tokens"]["series"]
    ]
    assert names == list(MODELS[1:])


def test_every_verdict_is_readable_without_javascript() -> None:
    text = Page(render_page(sample_study())).text()
    for expected in (
        "transformer trains all positions at once.",
        "rnn , lstm and gru wait for each position in turn.",
        "> 0.5 serial, < 0.05 parallel",
        "1.97 1.93–2.04",
        "The control kernel varied by 61 %",
        "41.5× 38.9–44.2",
        "results differ",
        "Some recurrences train in parallel",
        "Traced at T = 64, 128, 256",
        "exact (traced)",
        "within 0.8 %",
        "phalanx compare rnn lstm gru",
    ):
        assert expected in text, expected


def test_chinese_page_speaks_chinese() -> None:
    html = render_page(replace(sample_study(language="zh"), notes=[]))
    assert '<html lang="zh-Hans">' in html
    text = Page(html).text()
    for word in ("inconclusive", "not measured", "this machine", "Learning curves", "tokens/s"):
        assert word not in text, word
    assert "核心依赖" in text


def test_the_language_can_be_given() -> None:
    assert "核心依赖" in render_page(sample_study(), "zh")
    with pytest.raises(UsageError):
        render_page(sample_study(), "fr")


def test_machine_verdicts_that_differ_from_the_structure_are_marked() -> None:
    study = sample_study(("transformer",))
    assert render_page(study).count('class="differs"') > 1
    row = study.rows[0]
    cell = row.cells["transformer"][""]
    same = replace(cell, machine=replace(cell.machine, verdict="parallel"))
    unknown = replace(cell, machine=Verdict("inconclusive", None, "time_growth", ""))
    for machine in (same, unknown):
        only = replace(row, cells={"transformer": {"": machine}})
        assert render_page(replace(study, rows=[only])).count('class="differs"') == 1  # legend


def test_a_study_with_nothing_measured_still_has_a_page() -> None:
    study = replace(
        sample_study(),
        **{
            key: []
            for key in (
                *("models", "rows", "levels", "claims", "scaling", "distances"),
                *("taggers", "notes"),
            )
        },
        contract={},
    )
    page = Page(render_page(study))
    assert page.open == []
    assert "No model was trained" in page.text()


def test_charts_hold_what_the_study_holds() -> None:
    study = sample_study()
    drawn = charts(study, catalogue("en"))
    assert set(drawn) == {
        *("curves", "race", "span", "time", "gradient", "recall", "hops", "tagging", "sizes"),
    }
    assert set(drawn["curves"]["views"]) == {"tokens", "flops", "seconds"}
    assert set(drawn["time"]["views"]) == {"train", "forward", "decode"}
    point = next(p for p in study.scaling if p.model == "gru" and p.mode == "train")
    series = drawn["time"]["views"]["train"]["series"][2]
    assert series["name"] == "gru"
    assert series["points"][0] == pytest.approx(
        [point.length, point.seconds * 1e3, point.low * 1e3, point.high * 1e3], rel=1e-5
    )
    assert drawn["recall"]["views"][""]["lines"][0]["y"] == study.recall_chance
    assert set(drawn["gradient"]["views"]) == {"fresh", "trained", "radius"}
    size = study.sizes[0]
    [first, *_] = drawn["sizes"]["views"][""]["series"][0]["points"]
    assert first == pytest.approx([size.parameters, size.share, size.low, size.high])


def test_the_race_is_read_off_the_measured_lengths() -> None:
    study = sample_study()
    lanes = charts(study, catalogue("en"))["race"]["views"]["depth"]["series"]
    for lane in lanes:
        known = {
            p.length: p.span
            for p in study.scaling
            if p.model == lane["name"] and p.mode == "forward"
        }
        positions = [t for _, t in lane["points"]]
        assert positions[0] == min(known)
        assert positions[-1] == max(known)
        for depth, t in lane["points"]:
            if t in known:
                assert depth == pytest.approx(known[t])
    upright = next(lane for lane in lanes if lane["name"] == "transformer")
    assert len({depth for depth, _ in upright["points"]}) == 1


def test_more_models_than_colours() -> None:
    html = render_page(sample_study(tuple(f"model-{i}" for i in range(11))))
    assert "series-7" in html
    assert "series-8" not in html


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
def test_the_script_parses(tmp_path: Path) -> None:
    script = Page(render_page(sample_study())).scripts[-1][1]
    path = tmp_path / "charts.js"
    path.write_text(script, encoding="utf-8")
    subprocess.run(["node", "--check", str(path)], check=True, capture_output=True, timeout=60)


def test_colours_come_from_the_theme_alone() -> None:
    html = render_page(sample_study())
    style = html[html.index("<style>") : html.index("</style>")]
    rules = re.sub(r":root[^{]*\{[^}]*\}", "", style)
    assert not re.findall(r"#[0-9a-f]{3,6}\b", rules)
