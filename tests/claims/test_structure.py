"""The structure verdicts of the five models that the comparison shows, and what they rest on."""

import planted
import pytest
import torch

from phalanx.comparison import claims
from phalanx.comparison.figures import Figures
from phalanx.comparison.growth import growth, lengths_of, pass_of
from phalanx.comparison.reach import reach
from phalanx.comparison.structure import ROWS, Structure, examine, structure_rows
from phalanx.comparison.subjects import Subject, on_meta, on_numbers
from phalanx.models import preset
from phalanx.profiling.tracing.trace import trace

PLACES = ("core", "training", "autoregressive", "one pass", "distance", "hardware")
EXPECTED = {
    "rnn": ("serial", "no", "no", "no", "linear", "low"),
    "lstm": ("serial", "no", "no", "no", "linear", "low"),
    "gru": ("serial", "no", "no", "no", "linear", "low"),
    "mingru": ("chunked", "chunked", "no", "chunked", "chunked", "high"),
    "transformer": ("parallel", "yes", "no", "yes", "one_step", "high"),
}


@pytest.fixture(scope="module")
def structures() -> dict[str, Structure]:
    # At the size of the comparison: the verdict on hardware depends on the width.
    return {name: examine(Subject.of(name, preset(name, 512, 256))) for name in EXPECTED}


@pytest.mark.parametrize("name", EXPECTED)
def test_the_table_of_the_five_models(structures: dict[str, Structure], name: str) -> None:
    found = tuple(verdict.verdict for verdict in structures[name].cells.values())
    assert dict(zip(PLACES, found, strict=True)) == dict(zip(PLACES, EXPECTED[name], strict=True))


def test_rows_hold_every_model_and_wait_for_the_machine(structures: dict[str, Structure]) -> None:
    rows = structure_rows(structures.values())
    assert [row.key for row in rows] == list(dict.fromkeys(row for row, _ in ROWS))
    for row in rows:
        assert list(row.cells) == list(EXPECTED)
        assert all(
            cell.machine.verdict == "pending" for c in row.cells.values() for cell in c.values()
        )


def test_every_figure_says_how_it_was_obtained(structures: dict[str, Structure]) -> None:
    for structure in structures.values():
        for verdict in (*structure.cells.values(), *structure.claims.values()):
            assert verdict.how
            assert verdict.threshold or verdict.verdict == "not_applicable"


def _answers(figures: Figures, claims_too: bool = True) -> list[tuple[str, float | None]]:
    judges = [*ROWS.values(), *(claims.STRUCTURE.values() if claims_too else ())]
    judged = [judge(figures) for judge in judges]
    return [(verdict.verdict, verdict.figure) for verdict in judged]


def test_ten_runs_give_one_answer() -> None:
    small = {"layers": 1, "width": 32}
    first = _answers(Figures(planted.subject("mingru", **small)))
    for seed in range(1, 10):
        torch.manual_seed(seed)  # whatever was drawn before must not matter
        again = Figures(planted.subject("mingru", **small))
        assert _answers(again, claims_too=False) == first[: len(ROWS)]


@pytest.mark.slow
@pytest.mark.parametrize("name", EXPECTED)
def test_ten_runs_of_the_five_models_give_one_answer(name: str) -> None:
    first = _answers(Figures(planted.subject(name)))
    for seed in range(1, 10):
        torch.manual_seed(seed)
        assert _answers(Figures(planted.subject(name))) == first


@pytest.mark.parametrize("mode", ["forward", "train"])
@pytest.mark.parametrize("name", ["rnn", "gru", "lstm", "mingru", "transformer"])
def test_a_narrow_copy_has_the_span_of_the_model(name: str, mode: str) -> None:
    subject = planted.subject(name)
    wide, narrow = on_meta(subject), on_numbers(subject, torch.float32)
    assert wide.config.width > narrow.config.width
    for length in (32, 48):
        spans = [trace(pass_of(model, mode, length)).span for model in (wide, narrow)]
        assert spans[0] == spans[1]


def _core(name: str, **changes: object) -> str:
    return claims.core_dependency(Figures(planted.subject(name, **changes))).verdict


def test_one_recurrent_layer_among_attention_is_still_a_chain() -> None:
    mixers = ("attention", "attention", "attention", "gru")
    assert _core("transformer", mixers=mixers) == "serial"


def test_a_deep_stack_of_scans_does_not_add_up_to_a_chain() -> None:
    subject = planted.subject("mingru", layers=12)
    assert Figures(subject).train.whole.slope > 1
    assert claims.recurrence_is_serial(Figures(subject)).verdict == "chunked"


@pytest.mark.parametrize("chunk", [64, 256])
def test_a_long_chunk_is_neither_a_chain_nor_flat(chunk: int) -> None:
    assert _core("mingru", layers=1, mingru={"chunk": chunk}) == "chunked"


def test_a_scan_that_is_run_position_by_position_is_a_chain() -> None:
    serial = planted.subject("mingru", layers=1, mingru={"schedule": "serial"})
    assert claims.recurrence_is_serial(Figures(serial)).verdict == "serial"
    assert claims.recurrence_by_a_scan(Figures(serial)).verdict == "fails"


def test_grouped_queries_are_independent_heads_too() -> None:
    grouped = planted.subject("transformer", layers=1, attention={"key_value_heads": 2})
    assert claims.heads_are_independent(Figures(grouped)).verdict == "independent"


def test_a_window_within_reach_lengthens_the_path() -> None:
    subject = planted.subject("transformer", layers=5, attention={"window": 64})
    assert claims.any_two_positions(Figures(subject)).verdict == "chunked"


def test_paths_do_not_depend_on_the_width() -> None:
    subject = planted.subject("lstm", layers=1, width=24)
    narrow = reach(on_numbers(subject, torch.float32), (8, 12, 16))
    with torch.random.fork_rng(devices=[]):
        wide = reach(subject.build(), (8, 12, 16))
    assert narrow == wide


def test_an_encoder_has_no_answer_where_none_is_due() -> None:
    found = Figures(planted.subject("transformer", layers=1, kind="encoder"))
    assert claims.generation(found).verdict == "not_applicable"
    assert claims.teacher_forcing_is_one_pass(found).verdict == "not_applicable"
    assert claims.training(found).verdict == "yes"


def test_growth_of_the_whole_is_explained_by_its_layers() -> None:
    model = on_numbers(planted.subject("gru"), torch.float32)
    found = growth(model, "forward", lengths_of(model))
    assert found.whole.slope == pytest.approx(sum(found.layers[:-1]))
    assert found.layers[-1] == 0
