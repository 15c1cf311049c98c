"""The terminal report of a profile: fits, folds, loses nothing, and says what is missing."""

import io
from dataclasses import replace
from fractions import Fraction

import pytest
from rich.console import Console
from sample_profile import lstm, sample_profiles, transformer

from phalanx.pages.console import make_console
from phalanx.profiling.report.growth import span_text, work_text
from phalanx.profiling.report.module_tree import join
from phalanx.profiling.report.reach import hop_map, sparkline
from phalanx.profiling.report.terminal import print_profile, print_profiles
from phalanx.profiling.results import Figures, Laws, ModuleNode, Pass, PathStep, Profile
from phalanx.profiling.span import Law, WorkLaw

FIGURES = Figures(1, 1, 1, 1, 2, 2, 8, 4, 0)


def shown(*profiles: Profile, depth: int = 3) -> str:
    file = io.StringIO()
    print_profiles(profiles, make_console(file), depth)
    return file.getvalue()


def with_pass(profile: Profile, **changes: object) -> Profile:
    """The profile with its training pass alone, changed."""
    return replace(profile, passes={"train": replace(profile.passes["train"], **changes)})


def node(name: str, *children: ModuleNode, figures: Figures = FIGURES) -> ModuleNode:
    return ModuleNode(name, "Block", 10, figures, 1, 1, children)


def bare() -> Profile:
    """A profile of which nothing optional is known."""
    one = Pass(
        mode="run",
        batch=1,
        length=4,
        algorithm=FIGURES,
        executed=None,
        useful_work=2,
        fused={},
        coverage=1.0,
        unknown={},
        orphans={},
        element_depth=None,
        element_length=None,
        tree=node(""),
        path=(),
        laws=Laws(),
        points=(),
        traced_on="cpu",
    )
    return Profile("bare", "Thing", 0, 0, {"run": one})


def test_everything_fits_a_hundred_columns_and_is_plain_in_a_pipe() -> None:
    text = shown(*sample_profiles())
    assert max(map(len, text.splitlines())) <= 100
    assert "\x1b" not in text
    assert "…" not in text  # nothing was cut off


def test_a_narrow_terminal_loses_no_mode_and_no_model() -> None:
    file = io.StringIO()
    print_profiles(sample_profiles(), Console(file=file, width=80, highlight=False))
    text = file.getvalue()
    assert max(map(len, text.splitlines())) <= 80
    assert text.count("one token     8 x 512") == 2  # a table of its own for each model
    assert text.split("By module")[1].count("head Linear") >= 2
    assert "predicted\n" in text.split("Forward pass")[0]


def test_every_part_is_there() -> None:
    text = shown(lstm())
    for part in (
        "Training waits for layers.*.mixer",
        "27.4G",  # work
        "15,369",  # span
        "455 (T 64)",  # element chain
        "launches",  # verdict
        "234–366 ms",  # prediction
        "aten.mkldnn_rnn_layer x2",
        "aten.special_op x3",
        "30 T + 9",
        "x512 layers.0.mixer LSTM",
        "addmm -> sigmoid -> mul x2 -> add -> tanh -> mul",
        "(x3: mul -> add)",
        "add *",
        "0-1 Block (x2, each)",
        "4.00 KiB a row",
        "yes by the paths, yes by exact gradients",
        "at least 15 positions",
        "2 d + 5 kernels at distance d",
        "batch=64",
        "1.90x",
        "stops growing at batch 64",
        "1.60",  # measured speed-up
        "Spread of the control kernel",
        "One multiply-add is 2 FLOPs.",
    ):
        assert part in text, part
    assert text.index("Training waits") < text.index("Work, span") < text.index("Assumed")


def test_work_under_the_mask_is_shown_where_it_differs() -> None:
    profile = transformer()
    assert "  useful " in shown(profile)
    whole = profile.passes["train"].algorithm.work
    assert "  useful " not in shown(with_pass(profile, useful_work=whole))


def test_an_inconclusive_measurement_says_so() -> None:
    assert "The times are inconclusive" in shown(transformer())
    assert "inconclusive" not in shown(lstm())


def test_several_models_stand_side_by_side_first() -> None:
    text = shown(*sample_profiles())
    first = text[: text.index("Work, span")]
    assert "Training pass, batch 8, T 512" in first
    assert "30 T + 9" in first
    assert "transformer" in first
    assert "Training pass, batch" not in shown(lstm())


def test_models_of_different_sizes_each_say_theirs() -> None:
    other = with_pass(transformer(), batch=1, length=64)
    text = shown(with_pass(lstm()), other)
    assert "B, T" in text
    assert "1, 64" in text


def test_what_is_not_known_is_left_out() -> None:
    text = shown(bare())
    assert "what ran" in text
    assert "–" in text  # the executed column
    for part in ("Critical path", "Growth", "Predicted", "Position", "Measured", "Assumed"):
        assert part not in text


def test_long_names_and_terminal_escapes_break_nothing() -> None:
    name = "a_directory_with_a_long_name/" * 4 + "\x1b[31mred"
    tree = node("", node("module_with_a_name_that_goes_on_and_on_and_on" * 2))
    step = PathStep(3, "m." * 60, "K" * 40, "forward", ("operator_of_some_length",) * 9, 27)
    profile = replace(with_pass(lstm(), tree=tree, path=(step,) * 3), name=name)
    text = shown(profile, transformer())
    assert max(map(len, text.splitlines())) <= 100
    assert "\x1b" not in text
    assert "operator_of_some_length x9" in text


def test_a_long_path_is_cut_and_the_rest_counted() -> None:
    steps = tuple(PathStep(1, f"m{n}", "K", "forward", (f"op{n}",), 1) for n in range(40))
    text = shown(with_pass(lstm(), path=steps))
    assert "26 more parts" in text
    assert "40 dependent kernels" in text


def test_the_forward_path_is_not_printed_twice() -> None:
    text = shown(lstm())
    assert "Critical path of a training pass" in text
    assert "Critical path of a forward pass" not in text
    alone = replace(lstm(), passes={"forward": lstm().passes["forward"]})
    assert "Critical path of a forward pass" in shown(alone)


def test_equal_siblings_are_one_line_and_others_are_not() -> None:
    other = replace(FIGURES, work=3)
    blocks = [node(str(n), node("norm")) for n in range(6)]
    tree = join([node("", *blocks, node("6", figures=other), node("7"))])
    assert [(branch.name, branch.times) for branch in tree.children] == [
        ("0-5", 6),
        ("6", 1),
        ("7", 1),
    ]


def test_siblings_that_differ_in_one_mode_alone_are_not_folded() -> None:
    trained = node("", node("0"), node("1"))
    decoded = node("", node("0"), node("1", figures=replace(FIGURES, span=2)))
    assert len(join([trained, trained]).children) == 1
    assert len(join([trained, decoded]).children) == 2


def test_a_module_that_one_mode_does_not_run_has_a_dash_there() -> None:
    decode = replace(lstm().passes["decode"], tree=node("", node("embedding")))
    profile = replace(lstm(), passes={"train": lstm().passes["train"], "decode": decode})
    tree = shown(profile).split("By module")[1].splitlines()
    (line,) = [line for line in tree if "head Linear" in line]
    assert line.split()[-2:] == ["–", "–"]


@pytest.mark.parametrize("depth", [0, 1, 2])
def test_the_tree_ends_at_the_depth_asked_for(depth: int) -> None:
    text = shown(lstm(), depth=depth)
    assert ("embedding Embedding  " in text.split("By module")[1]) == (depth >= 1)
    assert ("0-1 Block" in text) == (depth >= 2)
    assert "norm RMSNorm" not in text


def test_laws_are_written_with_all_their_digits() -> None:
    points = {t: 49_152 * t * t + 78_737_408 * t for t in (8, 16, 32, 64)}
    assert work_text(WorkLaw.through(points)) == "49,152 T^2 + 78,737,408 T"
    assert span_text(Law.fit({t: 30 * t - 9 for t in (8, 16, 32)})) == "30 T - 9"
    assert span_text(Law.fit({t: t for t in (8, 16, 32)})) == "T"
    assert span_text(Law.fit(dict.fromkeys((8, 16, 32), 5))) == "5"
    half = WorkLaw(Fraction(0), Fraction(1, 2), Fraction(0), True, ((1, 1),))
    assert work_text(half) == "0.5 T"


def test_the_hop_map_has_a_point_where_no_path_leads() -> None:
    lines = hop_map(((5.0, 7.0), (None, 5.0)))
    assert [line.split() for line in lines] == [["0", "1"], ["0", "5", "7"], ["1", ".", "5"]]


def test_a_large_hop_map_shows_every_few_positions() -> None:
    lines = hop_map([[float(j - i) if j >= i else None for j in range(20)] for i in range(20)])
    assert lines[0].split() == ["0", "3", "6", "9", "12", "15", "18"]
    assert lines[2].split() == ["3", ".", "0", "3", "6", "9", "12", "15"]


def test_the_sparkline_is_logarithmic_and_leaves_zero_blank() -> None:
    assert sparkline([1.0, 0.1, 0.01], "abc") == "cba"
    assert sparkline([1.0, 0.0, 1.0], "abc") == "c c"
    assert sparkline([], "abc") == ""


def test_an_output_without_these_characters_shows_others() -> None:
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding="ascii")
    print_profile(lstm(), make_console(file))
    file.flush()
    assert b"#" in raw.getvalue()


def test_a_terminal_has_colours() -> None:
    file = io.StringIO()
    print_profile(lstm(), Console(file=file, force_terminal=True, color_system="256", width=100))
    assert "\x1b[" in file.getvalue()
