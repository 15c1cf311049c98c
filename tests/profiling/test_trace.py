"""Toy graphs whose span is known by construction."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from phalanx.profiling.tracing.folding import fold
from phalanx.profiling.tracing.trace import Tracer, TraceWarning, trace

DEVICES = ("cpu", "meta")


@pytest.mark.parametrize("device", DEVICES)
def test_chain_of_n_has_span_n(device: str) -> None:
    x = torch.ones(3, device=device)

    def chain() -> Tensor:
        y = x
        for _ in range(13):
            y = torch.tanh(y)
        return y

    found = trace(chain)
    assert (found.span, found.scalar_span, found.kernels) == (13, 13, 13)
    assert found.path == ("x13: tanh",)


@pytest.mark.parametrize("device", DEVICES)
def test_independent_kernels_have_span_one(device: str) -> None:
    x = torch.ones(3, device=device)
    found = trace(lambda: [torch.tanh(x) for _ in range(13)])
    assert (found.span, found.kernels, found.parallelism) == (1, 13, 13)


def test_diamond_takes_its_longer_side() -> None:
    x = torch.ones(3)

    def diamond() -> Tensor:
        top = x.tanh()
        return top.exp() + top.sin().cos()

    found = trace(diamond)
    assert (found.span, found.kernels) == (4, 5)
    assert found.path == ("tanh", "sin", "cos", "add")


@pytest.mark.parametrize("device", DEVICES)
def test_reserved_memory_orders_nothing(device: str) -> None:
    x = torch.ones(64, 4, device=device)

    def loop() -> Tensor:
        out = torch.empty(64, 4, device=device)
        for t in range(64):
            out[t] = torch.tanh(x[t])
        return out

    assert trace(loop).span == 2  # tracking whole storages says 65


def test_reading_part_waits_for_that_part_alone() -> None:
    x = torch.ones(4, 3)

    def parts() -> tuple[int, int, int]:
        out = torch.zeros(4, 3)
        out[0] = x[0].tanh().tanh().tanh()
        out[1] = x[1]
        return tracer.depth_of(out[0] + 1), tracer.depth_of(out[1] + 1), tracer.depth_of(out + 1)

    with Tracer(x) as tracer:
        assert parts() == (5, 2, 5)


def test_a_view_of_another_type_shows_the_same_writes() -> None:
    x = torch.ones(4, dtype=torch.complex64)

    def write() -> tuple[int, int]:
        y = torch.zeros(4, dtype=torch.complex64)
        y[2:] = x[2:].exp().exp()
        parts = torch.view_as_real(y)
        return tracer.depth_of(parts[:2] * 2), tracer.depth_of(parts[2:] * 2)

    with Tracer(x) as tracer:
        assert write() == (1, 4)  # the half that was not written, and the half that was
        y = torch.zeros(4, dtype=torch.complex64)
        torch.view_as_real(y)[1, 0] = x.real[1].exp()
        assert tracer.depth_of(y[1] + 1) == 3
        assert tracer.depth_of(y[0] + 1) == 1


def test_overwriting_does_not_read_what_was_there() -> None:
    x = torch.ones(3)

    def overwrite() -> Tensor:
        y = x.tanh().tanh().tanh()
        y.copy_(x)
        torch.exp(x, out=y)
        return y + 1

    found = trace(overwrite)
    assert found.span == 3  # the chain that is thrown away; exp and add are 2
    with Tracer(x) as tracer:
        y = x.tanh().tanh().tanh()
        y.zero_()
        assert tracer.depth_of(y) == 0
        y.add_(x)
        y.mul_(2)
        assert tracer.depth_of(y) == 2


def test_shape_only_operators_carry_no_data() -> None:
    x = torch.ones(3)
    with Tracer(x) as tracer:
        y = x.tanh().tanh()
        made = [torch.ones_like(y), torch.zeros_like(y), y.new_full((2,), 7.0), torch.empty_like(y)]
        assert [tracer.depth_of(m) for m in made] == [0, 0, 0, 0]
        assert tracer.depth_of(y[None].T) == 2
        y.unsqueeze_(0)
        assert tracer.depth_of(y) == 2
    assert tracer.result().kernels == 2 + 3  # memory is reserved without a kernel


def test_scan_has_logarithmic_depth_in_one_kernel() -> None:
    for n, depth in ((2, 1), (64, 6), (65, 7)):
        x = torch.ones(n)
        found = trace(x.cumsum, 0)
        assert (found.span, found.scalar_span) == (1, depth)


def test_scalar_depth_of_products_sums_and_softmax() -> None:
    a, b, c = torch.ones(3, 17), torch.ones(17, 5), torch.ones(5)
    assert trace(lambda: a @ b).scalar_span == 1 + 5
    assert trace(torch.addmm, c, a, b).scalar_span == 2 + 5
    assert trace(a.sum, 1).scalar_span == 5
    assert trace(a.softmax, 1).scalar_span == 3 + 2 * 5
    norm = nn.LayerNorm(17)
    assert trace(norm, a).scalar_span == 8 + 2 * 5
    assert trace(lambda: torch.cat([a, a]).flip(0).clone()).scalar_span == 0


def test_the_host_makes_everything_later_wait() -> None:
    x, z = torch.ones(3), torch.ones(3)

    def branch() -> Tensor:
        if x.tanh().sum().item() > 0:
            return z.exp()
        return z

    found = trace(branch)
    assert (found.span, found.syncs) == (4, 1)
    assert found.path == ("tanh", "sum", "_local_scalar_dense", "exp")


@pytest.mark.parametrize("leave", [Tensor.tolist, Tensor.numpy, np.asarray, float])
def test_data_that_leaves_torch_is_not_lost(leave: object) -> None:
    x = torch.ones(1)

    def detour() -> Tensor:
        values = leave(x.tanh())  # type: ignore[operator]
        return torch.tensor(values).exp()

    with Tracer(x) as tracer:
        tracer.source(x, "x")
        y = detour()
        assert tracer.depth_of(y) >= 3
        assert tracer.sources_of(y) == {"x"}
    assert tracer.result().syncs >= 1


def test_picking_by_number_needs_no_host_and_by_mask_does() -> None:
    x, numbers, mask = torch.ones(3), torch.tensor([2, 0]), torch.tensor([True, False, True])
    assert trace(lambda: x[numbers]).syncs == 0
    assert trace(lambda: x[mask]).syncs == 1
    assert trace(lambda: x.tanh().nonzero()).syncs == 1
    assert trace(lambda: torch.equal(x.tanh(), x)).syncs == 1


def test_a_tensor_of_unknown_origin_warns_and_is_not_at_depth_zero() -> None:
    x = torch.ones(3)
    hidden = {"x": torch.ones(3)}
    out_of_reach = iter([torch.ones(3)])

    def smuggle() -> Tensor:
        y = x.tanh()
        for _ in range(6):
            y = y.tanh()
        return next(out_of_reach) + 1

    tracer = Tracer(x)
    with pytest.warns(TraceWarning, match="unknown origin"), tracer:
        y = smuggle()
    assert tracer.depth_of(y) == 8
    assert list(tracer.result().orphans) == ["add(3) float32"]
    assert trace(lambda: hidden["x"] + 1).orphans == {}  # a closure's tensors are given


def test_an_unknown_operator_is_counted_and_warned_of() -> None:
    x = torch.ones(4, 4)
    with pytest.warns(TraceWarning, match="linalg"):
        found = trace(lambda: torch.linalg.inv_ex(x.tanh())[0].tanh())
    assert found.span == 3
    assert found.unknown == {"linalg_inv_ex": 1}
    assert found.coverage == pytest.approx(2 / 3)


@pytest.mark.parametrize("recurrent", [nn.RNN, nn.LSTM, nn.GRU])
def test_profiled_twice_is_identical(recurrent: type[nn.RNNBase]) -> None:
    layer, x = recurrent(4, 5, batch_first=True), torch.ones(2, 6, 4)

    def step() -> None:
        layer.zero_grad(set_to_none=True)
        layer(x)[0].sum().backward()

    first, second = trace(step), trace(step)
    assert first == second
    assert first.kernels > 50
    assert first.unknown == {}


def test_meta_equals_real() -> None:
    def attention(device: str) -> object:
        layer = nn.MultiheadAttention(16, 2, batch_first=True, device=device)
        norm = nn.LayerNorm(16, device=device)
        x = torch.ones(2, 7, 16, device=device)
        return trace(lambda: norm(layer(x, x, x, need_weights=False)[0]).sum().backward())

    assert attention("meta") == attention("cpu")


def test_inference_mode_sees_the_same_kernels() -> None:
    lstm, x = nn.LSTM(4, 4, batch_first=True), torch.ones(1, 6, 4)
    head = nn.Linear(4, 4)
    with torch.no_grad():
        plain = trace(lambda: head(lstm(x)[0]))
    with torch.inference_mode():
        found = trace(lambda: head(lstm(x)[0]))
    assert found.span == plain.span
    assert found.matmul_work == plain.matmul_work


def test_freed_memory_does_not_mislead() -> None:
    x = torch.ones(1000)

    def reuse() -> list[int]:
        depths = []
        for _ in range(20):
            depths.append(tracer.depth_of(x.tanh().tanh()))  # freed, its address given anew
        return depths

    with Tracer(x) as tracer:
        assert reuse() == [2] * 20


def test_sources_flow_through_partial_writes() -> None:
    a, b, cache = torch.ones(3), torch.ones(3), torch.zeros(2, 3)
    with Tracer(a, b, cache) as tracer:
        tracer.source(a, "a")
        tracer.source(b, "b")
        cache[0] = a.exp()
        cache[1] = b
        assert tracer.sources_of(cache[0]) == {"a"}
        assert tracer.sources_of(cache[1] * 2) == {"b"}
        assert tracer.sources_of((cache.sum(), [a])) == {"a", "b"}
        assert tracer.sources_of(torch.ones_like(cache)) == frozenset()


def test_calls_count_only_along_a_chain() -> None:
    x = torch.ones(3)
    with Tracer(x) as tracer:
        y, others = x, []
        for _ in range(5):
            with tracer.call():
                y = y.tanh().tanh()
            y = y * 2  # between calls
            with tracer.call():
                others.append(x.exp())
        assert tracer.result().call_span == 5
        with tracer.call(), pytest.raises(ValueError, match="nested"), tracer.call():
            pass


def test_switches_of_torch_are_put_back() -> None:
    before = torch._C._get_mkldnn_enabled(), torch.backends.mha.get_fastpath_enabled()
    flash = torch.backends.cuda.flash_sdp_enabled()

    def fail() -> None:
        assert not torch._C._get_mkldnn_enabled()
        raise RuntimeError("inside")

    with pytest.raises(RuntimeError, match="inside"), Tracer():
        fail()
    after = torch._C._get_mkldnn_enabled(), torch.backends.mha.get_fastpath_enabled()
    assert after == before
    assert torch.backends.cuda.flash_sdp_enabled() == flash


def test_folding() -> None:
    assert fold(["a", "b", "c", "b", "c", "d"]) == ("a", "x2: b -> c", "d")
    layers = (["a"] + ["b", "c"] * 9) * 2
    assert fold(layers) == ("x2: a -> (x9: b -> c)",)
    assert fold(["a"] * 5) == ("x5: a",)
    assert fold(["a", "b"]) == ("a", "b")
    assert fold([]) == ()
