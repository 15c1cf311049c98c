"""FLOPs against closed forms and torch's own counter. One multiply-add is 2 FLOPs."""

from collections.abc import Callable

import pytest
import torch
from plain_models import PlainGPT, gpt_forward_flops
from torch import nn
from torch.nn import functional as F  # noqa: N812
from torch.utils.flop_counter import FlopCounterMode

from phalanx.profiling.span import work_law
from phalanx.profiling.tracing.trace import Tracer, trace


@pytest.mark.parametrize(("kind", "gates"), [(nn.RNN, 1), (nn.GRU, 3), (nn.LSTM, 4)])
def test_recurrent_layers_exactly(kind: type[nn.RNNBase], gates: int) -> None:
    # forward 2 gates B T H (D + H); training thrice that, less the gradients of x and of h_0
    width = hidden = length = 512
    layer = kind(width, hidden, batch_first=True, device="meta")

    def build(train: bool) -> Callable[[int], Callable[[], object]]:
        def at(steps: int) -> Callable[[], object]:
            x = torch.ones(1, steps, width, device="meta")
            return lambda: layer(x)[0].sum().backward() if train else layer(x)

        return at

    lengths = (2, 3, 5, 9)  # affine in T, so three lengths tell and a fourth checks
    forward, training = (work_law(build(train), lengths) for train in (False, True))
    assert forward.exact
    assert training.exact
    assert forward.at(length) == 2 * gates * length * hidden * (width + hidden)
    unneeded = 2 * gates * (length * width * hidden + hidden * hidden)
    assert training.at(length) == 3 * forward.at(length) - unneeded
    if kind is nn.LSTM:
        assert (forward.at(length), training.at(length)) == (2**31, 5_366_611_968)


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_two_lstm_layers_exactly(device: str) -> None:
    layer = nn.LSTM(32, 64, 2, batch_first=True, device=device)
    x = torch.ones(2, 16, 32, device=device)
    assert trace(lambda: layer(x)).matmul_work == 3_670_016
    assert trace(lambda: layer(x)[0].sum().backward()).matmul_work == 10_354_688


def test_a_fused_recurrent_layer_is_not_free_and_not_parallel() -> None:
    layer, x = nn.LSTM(32, 64, batch_first=True), torch.ones(2, 16, 32)
    with FlopCounterMode(display=False) as naive:
        layer(x)
    assert naive.get_total_flops() == 0  # the trap
    with Tracer(layer, x, algorithm=False) as tracer:
        y = layer(x)[0]
        forward = tracer.result()
        y.sum().backward()
    assert forward.fused == {"mkldnn_rnn_layer": 1}
    assert forward.matmul_work == 8 * 2 * 16 * 64 * (32 + 64)
    assert forward.span >= 7 * 16
    assert tracer.result().fused["mkldnn_rnn_layer_backward"] == 1
    assert tracer.result().matmul_work == 3 * forward.matmul_work


@pytest.mark.parametrize("algorithm", [True, False])
def test_attention_on_cpu_is_not_free(algorithm: bool) -> None:
    q = torch.ones(2, 3, 16, 8, requires_grad=True)
    k = torch.ones(2, 3, 24, 8, requires_grad=True)
    scores = 2 * 3 * 16 * 24
    with Tracer(q, k, algorithm=algorithm) as tracer:
        y = F.scaled_dot_product_attention(q, k, k)
        forward = tracer.result()
        y.sum().backward()
    assert forward.matmul_work == 2 * 2 * scores * 8
    backward = tracer.result().matmul_work - forward.matmul_work
    # four products, and the scores once more where they were not kept
    assert backward == (4 if algorithm else 5) * 2 * scores * 8
    names = str(tracer.result().path)
    assert ("flash" in names) != algorithm


def test_the_encoder_fast_path_is_not_free() -> None:
    layer = nn.TransformerEncoderLayer(768, 12, 3072, batch_first=True, device="meta")
    encoder = nn.TransformerEncoder(layer, 12, enable_nested_tensor=False).eval()
    x = torch.empty(1, 128, 768, device="meta")
    with torch.no_grad():
        assert trace(encoder, x).matmul_work == 22_347_251_712  # BERT-base, closed form


def test_gpt2_124m_exactly() -> None:
    with torch.device("meta"):
        model = PlainGPT(50_257, 1024, 768, 12, 12)
        ids = torch.zeros(1, 1024, dtype=torch.long)
    assert sum(p.numel() for p in model.parameters()) == 124_439_808
    for length, flops in ((32, 7_943_798_784), (1024, 291_648_307_200)):
        assert gpt_forward_flops(50_257, 768, 12, length) == flops
        with torch.no_grad():
            assert trace(model, ids[:, :length]).matmul_work == flops
    found = trace(lambda: F.cross_entropy(model(ids).flatten(0, 1), ids[0]).backward())
    assert found.matmul_work == 874_944_921_600
    assert found.unknown == {}
    assert found.matmul_share > 0.95


def test_cached_decode_of_gpt2_exactly() -> None:
    with torch.device("meta"), torch.no_grad():
        model = PlainGPT(50_257, 1024, 768, 12, 12)
        cache = [(torch.empty(1, 12, 1023, 64), torch.empty(1, 12, 1023, 64)) for _ in range(12)]
        ids = torch.zeros(1, 1, dtype=torch.long)
        assert trace(model, ids, cache, 1023).matmul_work == 247_064_064 + 36_864 * 1024


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("groups", [1, 2])
def test_convolutions_as_torch_counts_them(transposed: bool, groups: int) -> None:
    kind = nn.ConvTranspose1d if transposed else nn.Conv1d
    layer, x = kind(4, 6, 3, stride=2, groups=groups), torch.ones(2, 4, 11, requires_grad=True)
    with FlopCounterMode(display=False) as counter:
        y = layer(x)
        forward = counter.get_total_flops()
        y.sum().backward()
    found = trace(lambda: layer(x).sum().backward()).matmul_work
    assert found == 3 * forward
    if groups == 1:  # torch's counter takes the weight's gradient as if there were one group
        assert found == counter.get_total_flops()


def test_products_as_torch_counts_them() -> None:
    a, b = torch.ones(3, 4, 5), torch.ones(3, 5, 6)
    bias, v = torch.ones(3, 4, 6), torch.ones(5)

    def products() -> None:
        torch.bmm(a, b)
        torch.baddbmm(bias, a, b)
        torch.mm(a[0], b[0])
        torch.einsum("bij,bjk->ik", a, b)

    with FlopCounterMode(display=False) as counter:
        products()
    assert trace(products).matmul_work == counter.get_total_flops()
    assert trace(torch.mv, a[0], v).matmul_work == 2 * 4 * 5  # torch's counter has no formula
    assert trace(torch.dot, v, v).matmul_work == 2 * 5


def test_bytes_and_matmul_share() -> None:
    x, table = torch.ones(8, 16), torch.ones(1000, 16)
    index = torch.zeros(4, dtype=torch.long)
    assert trace(lambda: x + x).bytes_moved == 3 * 8 * 16 * 4
    assert trace(lambda: x + x[:, :1].expand(8, 16)).bytes_moved <= 3 * 8 * 16 * 4
    assert trace(table.index_select, 0, index).bytes_moved == 2 * 4 * 16 * 4 + 4 * 8
    assert trace(lambda: x.T.contiguous()).work == 0
    found = trace(lambda: torch.mm(x, x.T).relu())
    assert (found.matmul_work, found.work) == (2 * 8 * 8 * 16, 2 * 8 * 8 * 16 + 64)


def test_rows_that_land_on_one_row_are_summed_in_a_tree_over_rows() -> None:
    # 32 ids at worst hit one row: five rounds, however wide the rows are.
    table = torch.ones(10, 64, requires_grad=True)
    ids = torch.zeros(32, dtype=torch.int64)
    rows = torch.nn.functional.embedding(ids, table)
    with Tracer(ids, table, rows, grown := torch.ones(32, 64)) as tracer:
        torch.autograd.grad(rows, table, grown)
    found = tracer.result()
    assert (found.kernels, found.scalar_span, found.work) == (1, 5, 32 * 64)
