"""The page of profiles: self-contained, safe against its own data, complete without JavaScript."""

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
from sample_profile import sample_profiles

from html_page import Page
from phalanx.errors import UsageError
from phalanx.profiling.findings import findings
from phalanx.profiling.report.charts import charts
from phalanx.profiling.report.language import catalogue
from phalanx.profiling.report.page import render_profiles
from phalanx.profiling.report.roof import achieved, rate, roof
from phalanx.profiling.results import Laws, ModuleNode, Pass, Profile, Roofline
from phalanx.profiling.span import Law

ATTACK = "</script><script>alert(1)</script><img src=x onerror=alert(2)>"


def hostile(profile: Profile) -> Profile:
    """Return the profile with the attack in every place where somebody's words arrive."""

    def node(one: ModuleNode) -> ModuleNode:
        children = tuple(node(child) for child in one.children)
        return replace(one, name=ATTACK, kind=ATTACK, children=children)

    def attacked(one: Pass) -> Pass:
        step = replace(one.path[0], module=ATTACK, kind=ATTACK, chain=(ATTACK, "{{ 7 * 7 }}"))
        counts = {ATTACK: 1}
        setting = replace(one.what_if[0], setting=ATTACK)
        return replace(
            one,
            tree=node(one.tree),
            path=(step, *one.path),
            unknown=counts,
            orphans=counts,
            fused=counts,
            what_if=(setting,),
            traced_on=ATTACK,
        )

    assert profile.positions is not None
    assert profile.measured is not None
    return replace(
        profile,
        name=ATTACK,
        kind='" onmouseover="alert(3)',
        passes={mode: attacked(one) for mode, one in profile.passes.items()},
        positions=replace(profile.positions, why_not=ATTACK),
        measured=replace(profile.measured, inconclusive=ATTACK, sentences=(ATTACK,)),
        machine={ATTACK: {ATTACK: ATTACK}},
        findings=(ATTACK,),
        assumptions=(ATTACK,),
    )


def bare(profile: Profile) -> Profile:
    """Return the profile of a pass that nothing optional was found for."""
    one = profile.passes["forward"]
    one = replace(
        one,
        executed=None,
        element_depth=None,
        path=(),
        laws=Laws(),
        points=(),
        roofline=None,
        prediction=None,
        what_if=(),
        saturation={},
        tree=replace(one.tree, children=()),
    )
    return Profile(profile.name, profile.kind, 0, 0, {"forward": one})


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("many", [1, 2])
def test_the_page_is_well_formed_and_asks_for_nothing(language: str, many: int) -> None:
    html = render_profiles(sample_profiles()[:many], language)
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
    page = Page(render_profiles(sample_profiles()))
    policy = next(
        a["content"] or ""
        for tag, a in page.elements
        if tag == "meta" and a.get("http-equiv") == "Content-Security-Policy"
    )
    digest = base64.b64encode(hashlib.sha256(page.scripts[-1][1].encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy


def test_text_of_users_stays_text() -> None:
    page = Page(render_profiles([hostile(profile) for profile in sample_profiles()]))
    assert page.open == []
    assert not [tag for tag, _ in page.elements if tag == "img"]
    assert not any(name.startswith("on") for _, a in page.elements for name in a)
    assert [a.get("type") for a, _ in page.scripts] == ["application/json"] * 3 + [None]
    assert all("<" not in text for a, text in page.scripts if a.get("type"))
    assert page.text().count("<script>alert(1)</script>") > 30
    assert "{{ 7 * 7 }}" in page.text()


def test_the_json_in_the_page_is_the_json_of_the_command() -> None:
    profiles = sample_profiles()
    page = Page(render_profiles(profiles))
    embedded = next(text for a, text in page.scripts if a.get("id") == "profiles")
    assert json.loads(embedded) == [json.loads(profile.to_json()) for profile in profiles]


def test_everything_is_readable_without_javascript() -> None:
    profiles = sample_profiles()
    assert profiles[1].measured is not None
    text = Page(render_profiles(profiles)).text()
    for expected in (
        "transformer trains all positions at once.",
        "lstm waits for each position in turn, in training too.",
        "30 T + 9 dependent kernels",
        "Training waits for layers.*.mixer (LSTM)",
        "49,152 T² + 78,737,408 T",
        "12 log₂ T + 540",
        "kernel launches",
        "188 GFLOP/s",
        "×512 layers.0.mixer LSTM",
        "a tree would need log₂ of their number",
        "×2, each",
        "at least 15 positions away",
        "2 d + 5",
        "4.00 KiB",
        "batch=64",
        "batch 64 length: not in range",
        str(profiles[1].measured.inconclusive),
        "aten.mkldnn_rnn_layer ×2",
        "AMD EPYC 9R14",
        "One multiply-add is 2 FLOPs.",
    ):
        assert expected in text, expected


def test_the_chinese_page_speaks_chinese() -> None:
    profiles = [replace(p, findings=(), assumptions=(), measured=None) for p in sample_profiles()]
    html = render_profiles(profiles, "zh")
    assert '<html lang="zh-Hans">' in html
    text = Page(html).text()
    for word in ("Critical path", "training pass", "kernels", "parallelism", "limited by", "exact"):
        assert word not in text, word
    assert "关键路径" in text


def test_a_language_without_words_is_refused() -> None:
    with pytest.raises(UsageError):
        render_profiles(sample_profiles(), "fr")


def test_what_was_not_found_is_left_out() -> None:
    page = Page(render_profiles([bare(sample_profiles()[0])]))
    assert page.open == []
    sections = [a["id"] for tag, a in page.elements if tag == "section"]
    assert sections == ["figures", "modules", "coverage"]
    assert "Critical path" not in page.text()


def test_a_model_without_any_pass_has_a_page() -> None:
    page = Page(render_profiles([replace(sample_profiles()[0], passes={})]))
    assert page.open == []


def test_a_reason_stands_where_the_map_of_hops_is_missing() -> None:
    first = sample_profiles()[0]
    assert first.positions is not None
    missing = replace(
        first.positions,
        hops_ij=(),
        exchanges_ij=(),
        causal_by_shadow=None,
        receptive_field=None,
        gradient_by_distance=(),
        hops_law=None,
        exchanges_law=None,
        why_not="The inputs are no sequences.",
    )
    page = Page(render_profiles([replace(first, positions=missing)]))
    assert "The inputs are no sequences." in page.text()
    assert "not followed" in page.text()
    assert not [a for _, a in page.elements if a.get("data-chart") == "hops-0"]


def test_figures_that_are_not_finite_are_no_json() -> None:
    first = sample_profiles()[0]
    assert first.positions is not None
    odd = replace(first.positions, gradient_by_distance=(1.0, math.nan, math.inf), leak=math.nan)
    html = render_profiles([replace(first, positions=odd)])
    data = next(t for a, t in Page(html).scripts if a.get("id") == "chart-data")
    assert json.loads(data)["gradient"]["views"][""]["series"][0]["points"] == [[0, 1, None, None]]


def test_equal_names_are_told_apart() -> None:
    first = sample_profiles()[0]
    text = Page(render_profiles([first, first])).text()
    assert "lstm (2)" in text


@pytest.mark.parametrize(
    ("law", "words"),
    [
        (Law(9, 0, 30, 0, ((1, 39), (2, 69))), "waits for each position in turn"),
        (Law(9, 0, 0.1, 0, ((1, 9), (2, 9))), "chunk after chunk"),
        (Law(9, 12, 0, 0, ((1, 9), (2, 21))), "in a depth of log T"),
        (Law(100, 0, 0, 0, ((1, 100), (2, 100))), "all positions at once"),
    ],
)
@pytest.mark.parametrize("mode", ["train", "forward"])
def test_the_headline_follows_from_the_law_of_the_span(law: Law, words: str, mode: str) -> None:
    first = sample_profiles()[0]
    one = first.passes[mode]  # type: ignore[index]
    one = replace(one, laws=replace(one.laws, span=law))
    text = Page(render_profiles([replace(first, passes={mode: one})])).text()
    assert re.search(rf"lstm \w+ {words}|lstm {words}", text)


def test_every_chart_is_on_the_page_and_holds_what_the_profiles_hold() -> None:
    profiles = sample_profiles()
    drawn = charts(profiles, catalogue("en"))
    assert set(drawn) == {
        *("span", "parallelism", "roofline", "gradient", "decode", "times"),
        *("hops-0", "hops-1", "speed_up-0", "speed_up-1"),
    }
    page = Page(render_profiles(profiles))
    assert {a["data-chart"] for _, a in page.elements if "data-chart" in a} == set(drawn)
    span = drawn["span"]["views"]["train|kernels"]["series"]
    assert span[0]["points"][0] == [64, 30 * 64 + 9, None, None]
    assert [s["name"] for s in drawn["span"]["views"]["train|elements"]["series"]] == ["lstm"]
    hops = drawn["hops-0"]["views"]["hops_ij"]
    assert hops["cells"][0][15] == 35
    assert hops["cells"][15][0] is None
    assert drawn["hops-1"]["views"]["hops_ij"]["greatest"] == 35  # one scale for all models
    speed = {s["name"]: s for s in drawn["speed_up-0"]["views"]["train"]["series"]}
    assert speed["measured"]["points"][1][:2] == [2, 1.6]
    assert speed["perfect"]["points"][-1][:2] == [16, 16]
    times = drawn["times"]["views"]["length|train"]["series"]
    assert times[1]["points"][0] == pytest.approx([64, 13.44, 12.768, 14.784], rel=1e-4)


def test_every_view_of_a_chart_is_named_by_its_switches() -> None:
    for chart in charts(sample_profiles(), catalogue("en")).values():
        values = [[o["value"] for o in switch["options"]] for switch in chart["switches"]]
        for key in chart["views"]:
            chosen = key.split("|") if values else []
            assert all(one in options for one, options in zip(chosen, values, strict=True))


def test_the_roof_is_read_off_either_side_of_the_ridge() -> None:
    peak, bandwidth = 188e9, 20e9
    for intensity in (2.0, 30.0):
        line = Roofline(intensity, peak / bandwidth, "memory", min(peak, bandwidth * intensity))
        assert roof(line) == pytest.approx((bandwidth, peak))


def test_a_point_stands_at_the_speed_of_its_predicted_time() -> None:
    one = sample_profiles()[0].passes["train"]
    assert one.prediction is not None
    assert one.executed is not None
    middle, low, high = achieved(one)
    assert middle == one.executed.work / one.prediction.seconds
    assert (low, high) == (
        one.executed.work / one.prediction.high,
        one.executed.work / one.prediction.low,
    )
    assert one.roofline is not None
    assert achieved(replace(one, prediction=None)) == (one.roofline.attainable, None, None)


@pytest.mark.parametrize(
    ("value", "shown"), [(188e9, "188 GFLOP/s"), (950.0, "950 FLOP/s"), (2.5e12, "2.50 TFLOP/s")]
)
def test_a_prefix_stands_with_its_unit(value: float, shown: str) -> None:
    assert rate(value, "FLOP/s") == shown


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
def test_the_script_parses(tmp_path: Path) -> None:
    path = tmp_path / "charts.js"
    path.write_text(Page(render_profiles(sample_profiles())).scripts[-1][1], encoding="utf-8")
    subprocess.run(["node", "--check", str(path)], check=True, capture_output=True, timeout=60)


def test_colours_come_from_the_theme_alone() -> None:
    html = render_profiles(sample_profiles())
    style = html[html.index("<style>") : html.index("</style>")]
    rules = re.sub(r":root[^{]*\{[^}]*\}", "", style)
    assert not re.findall(r"#[0-9a-f]{3,6}\b", rules)


def test_what_is_found_is_said_in_chinese() -> None:
    for profile in sample_profiles():
        for sentence in findings(profile, decode_is_serial=True):
            said = catalogue("zh").sentence(sentence)
            assert not re.search(r"[a-z]{3,} [a-z]{2,} [a-z]{2,}", said), said
