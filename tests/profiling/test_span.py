"""Laws in T: exact where they are, and the slopes that the verdicts rest on."""

from collections.abc import Callable
from fractions import Fraction

import pytest
import torch
from plain_models import PlainGPT, doubling_scan, recurrent
from torch import nn
from torch.nn import functional as F  # noqa: N812

from phalanx.profiling.span import Law, WorkLaw, span_law, work_law
from phalanx.profiling.tracing.trace import trace

LENGTHS = (4, 8, 16, 32)


def _stack(kind: type[nn.RNNBase], train: bool) -> Callable[[int], Callable[[], object]]:
    table, layer, head = nn.Embedding(20, 16), kind(16, 16, 2, batch_first=True), nn.Linear(16, 20)
    modules = nn.ModuleList([table, layer, head])

    def build(length: int) -> Callable[[], object]:
        ids = torch.zeros(1, length, dtype=torch.long)

        def run() -> object:
            modules.zero_grad(set_to_none=True)
            with torch.set_grad_enabled(train):
                loss = F.cross_entropy(head(layer(table(ids))[0]).flatten(0, 1), ids[0])
            return loss.backward() if train else loss

        return run

    return build


@pytest.mark.parametrize(
    ("kind", "train", "slope"),
    [
        (nn.RNN, False, 6), (nn.LSTM, False, 14), (nn.GRU, False, 18),
        (nn.RNN, True, 12), (nn.LSTM, True, 30), (nn.GRU, True, 36),
    ],
)  # fmt: skip
def test_recurrent_spans_grow_with_length(kind: type[nn.RNNBase], train: bool, slope: int) -> None:
    law = span_law(_stack(kind, train), LENGTHS)
    assert law.exact
    assert (law.slope, law.logarithm) == (slope, 0)
    assert law.mean_slope == law.last_slope == slope
    assert 1.8 < law.doubling <= 2.1


@pytest.mark.parametrize("train", [False, True])
def test_attention_spans_do_not(train: bool) -> None:
    model = PlainGPT(20, 64, 16, 2, 2)

    def build(length: int) -> Callable[[], object]:
        ids = torch.zeros(1, length, dtype=torch.long)

        def run() -> object:
            model.zero_grad(set_to_none=True)
            with torch.set_grad_enabled(train):
                loss = F.cross_entropy(model(ids).flatten(0, 1), ids[0])
            return loss.backward() if train else loss

        return run

    law = span_law(build, LENGTHS)
    assert (law.slope, law.logarithm, law.exact) == (0, 0, True)
    assert law.constant > 10
    scalar = Law.fit({t: trace(build(t)).scalar_span for t in LENGTHS})
    assert scalar.slope == 0
    if not train:  # two layers: softmax takes 2 log2 T, the weighted sum log2 T, the loss log2 T
        assert scalar.logarithm == 7


@pytest.mark.parametrize("kind", ["stacked", "reserved"])
def test_a_loop_in_python_is_serial(kind: str) -> None:
    w, h = torch.ones(4, 4), torch.ones(2, 4)

    def build(length: int) -> Callable[[], object]:
        x = torch.ones(2, length, 4)
        return lambda: recurrent(kind, x, h, w)

    law = span_law(build, LENGTHS)
    assert (law.slope, law.exact) == (3, True)


def test_a_scan_by_doubling_is_logarithmic() -> None:
    def build(length: int) -> Callable[[], object]:
        x = torch.ones(2, length, 4)
        return lambda: doubling_scan(x)

    law = span_law(build, LENGTHS)
    assert (law.slope, law.logarithm, law.exact) == (0, 2, True)
    assert law.doubling < 1.4


def test_fitting() -> None:
    assert str(Law.fit({t: 6 * t + 5 for t in LENGTHS})) == "6T + 5"
    assert str(Law.fit({8: 3, 16: 4, 32: 5})) == "log2 T"
    both = Law.fit({8: 24 + 9, 16: 48 + 12, 32: 96 + 15, 64: 192 + 18})
    assert str(both) == "3T + 3 log2 T"
    assert str(Law.fit(dict.fromkeys(LENGTHS, 49))) == "49"
    assert str(Law.fit({t: 3 * t - 2 for t in LENGTHS})) == "3T - 2"
    rough = Law.fit({8: 10, 16: 21, 32: 38, 64: 81})
    assert not rough.exact
    assert "within" in str(rough)
    assert rough.residual == pytest.approx(max(abs(rough.at(t) - v) for t, v in rough.points))
    falling = Law.fit({8: 30, 16: 20, 32: 10})
    assert (falling.slope, falling.logarithm) == (0, 0)  # no negative growth is fitted
    assert falling.residual == pytest.approx(10)
    with pytest.raises(ValueError, match="three lengths"):
        Law.fit({8: 1, 16: 2})


def test_work_is_recovered_exactly() -> None:
    law = WorkLaw.through({t: 7 + 3 * t + 5 * t * t for t in (3, 8, 20, 31)})
    assert (law.constant, law.linear, law.quadratic, law.exact) == (7, 3, 5, True)
    assert str(law) == "5T^2 + 3T + 7"
    assert law.at(100) == 50_307
    assert not WorkLaw.through({t: t**3 for t in (3, 8, 20, 31)}).exact
    with pytest.raises(ValueError, match="four lengths"):
        WorkLaw.through({3: 1, 8: 2, 20: 3})


def test_work_of_gpt_is_its_closed_form() -> None:
    model = PlainGPT(50, 64, 16, 2, 3).to("meta")

    def build(length: int) -> Callable[[], object]:
        ids = torch.zeros(1, length, dtype=torch.long, device="meta")
        return lambda: model(ids)

    law = work_law(build, (5, 9, 16, 33))
    assert law.exact
    assert law.quadratic == 3 * 4 * 16
    assert law.linear == 3 * 24 * 16**2 + 2 * 16 * 50
    assert law.constant == Fraction(0)
