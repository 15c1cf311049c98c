"""Element depths that are known by construction."""

import pytest
import torch
from plain_models import PlainGPT, doubling_scan, recurrent
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from phalanx.errors import PhalanxError
from phalanx.profiling.elements.depth import ElementDepth, element_depth
from phalanx.profiling.tracing.trace import trace


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def _chain(x: Tensor, count: int) -> Tensor:
    for _ in range(count):
        x = x.sin()
    return x


@pytest.mark.parametrize("length", [3, 5, 8])
def test_stacked_recurrent_layers_are_a_wavefront(length: int) -> None:
    layer, x = nn.LSTM(6, 6, 2, batch_first=True), torch.randn(1, length, 6)
    with torch.no_grad():
        assert trace(lambda: layer(x)).span == 14 * length + 2
        assert element_depth(lambda: layer(x)) == ElementDepth(7 * length + 7, {})


def test_three_layers_cost_one_step_each() -> None:
    x = torch.randn(1, 4, 6)
    with torch.no_grad():
        for count in (1, 2, 3):
            layer = nn.LSTM(6, 6, count, batch_first=True)
            assert element_depth(lambda layer=layer: layer(x)).depth == 7 * (4 + count - 1)


def test_a_chain_and_independent_kernels() -> None:
    x = torch.randn(5)
    assert element_depth(lambda: _chain(x, 9)).depth == 9
    assert element_depth(lambda: [x + n for n in range(9)]).depth == 1
    assert element_depth(lambda: (x.sin() + x.cos()).exp()).depth == 3


def test_constants_and_moves_add_nothing() -> None:
    x = torch.randn(4, 4)
    assert element_depth(lambda: torch.ones(3).exp().log()).depth == 0
    assert element_depth(lambda: torch.cat([x, x.flip(0)]).T.contiguous()[2].clone()).depth == 0


def test_a_reserved_loop_is_as_deep_as_one_of_its_steps() -> None:
    x = torch.randn(16, 3)

    def loop() -> Tensor:
        out = torch.empty_like(x)
        for t in range(len(x)):
            out[t] = x[t].tanh()
        return out.exp()

    assert element_depth(loop).depth == 2


@pytest.mark.parametrize("kind", ["stacked", "reserved"])
def test_a_recurrence_is_as_deep_as_its_steps(kind: str) -> None:
    x, h, w = torch.randn(1, 6, 4), torch.randn(1, 4), torch.randn(4, 4)
    assert element_depth(lambda: recurrent(kind, x, h, w)).depth == 3 * 6


def test_parts_of_a_tensor_have_depths_of_their_own() -> None:
    x = torch.randn(6, 4)

    def deep_first_row() -> Tensor:
        y = x.clone()
        y[0] = _chain(y[0], 7)
        y[1:].mul_(2)
        return y

    assert element_depth(lambda: deep_first_row()[1:].sum()).depth == 7  # the row alone
    assert element_depth(lambda: deep_first_row()[1:].sum() + x.sum()).depth == 7
    assert element_depth(lambda: deep_first_row().sum()).depth == 8
    assert element_depth(lambda: deep_first_row().T[:, 1].exp()).depth == 7
    assert element_depth(lambda: deep_first_row().view(-1)[:4].exp()).depth == 8


def test_products_scans_and_sums() -> None:
    x = torch.randn(4, 4)
    w = [torch.randn(4, 4) for _ in range(5)]

    def chain() -> Tensor:
        y = x
        for matrix in w:
            y = y @ matrix
        return y

    assert element_depth(chain).depth == 5
    assert element_depth(lambda: x.cumsum(0)).depth == 1
    rounds = torch.randn(1, 16, 2)
    assert element_depth(lambda: doubling_scan(rounds)).depth == 4


def test_a_scan_reads_the_past_alone() -> None:
    x = torch.randn(4, 3)

    def late(first: int) -> Tensor:
        y = torch.cat([x[:3], _chain(x[3:], 6)])  # the deep row is the last one
        return _chain(y.cumsum(0)[first:], 10)

    assert element_depth(lambda: late(3)).depth == 6 + 1 + 10
    assert element_depth(lambda: late(0)[:3]).depth == 6 + 1 + 10
    assert element_depth(lambda: _chain(late(3)[:0], 9)).depth == 17
    shallow = element_depth(lambda: _chain(torch.cat([x, _chain(x, 6)]).cumsum(0)[:4], 10))
    assert shallow.depth == 1 + 10


def test_a_masked_product_depends_on_nothing() -> None:
    x = torch.randn(1, 1, 4, 4)
    mask = torch.ones(4, 4, dtype=torch.bool).tril()

    def attend(is_masked: bool) -> Tensor:
        deep = torch.cat([x[:, :, :3], _chain(x[:, :, 3:], 20)], 2)
        y = F.scaled_dot_product_attention(x, deep, deep, attn_mask=mask if is_masked else None)
        return _chain(y[:, :, :3], 15)

    assert element_depth(lambda: attend(is_masked=False)).depth > 35
    assert element_depth(lambda: attend(is_masked=True)).depth < 30


def test_the_backward_pass_of_a_chain_is_as_long_again() -> None:
    x = torch.randn(3, requires_grad=True)

    def train() -> None:
        x.grad = None
        _chain(x, 5).sum().backward()

    # four sines, a cosine, and a product for each of the five
    assert element_depth(train).depth == trace(train).span == 10


@pytest.mark.parametrize("length", [3, 5])
def test_training_a_lstm(length: int) -> None:
    layer, x = nn.LSTM(6, 6, 2, batch_first=True), torch.randn(1, length, 6)

    def train() -> None:
        layer.zero_grad()
        layer(x)[0].square().mean().backward()

    found = element_depth(train)
    assert found.barriers == {}
    assert found.depth < 15 * length + 20 < trace(train).span


def test_training_a_transformer_has_no_barriers() -> None:
    model = PlainGPT(20, 8, 16, 2, 2)
    ids = torch.randint(20, (1, 6))

    def train() -> None:
        model.zero_grad()
        F.cross_entropy(model(ids)[0], ids[0]).backward()

    found = element_depth(train)
    assert found.barriers == {}
    assert found.depth <= trace(train).span


def test_an_operator_without_a_rule_is_a_barrier() -> None:
    x = torch.randn(4, 4)

    def solve() -> Tensor:
        y = torch.cat([x[:3], _chain(x[3:], 6)])
        return torch.linalg.inv(y)[0].exp()

    assert element_depth(solve) == ElementDepth(8, {"linalg_inv_ex": 1})


def test_what_comes_after_a_host_read_waits_for_it() -> None:
    x, y = torch.randn(3), torch.randn(3)

    def branch() -> Tensor:
        if _chain(x, 4).sum().item() > 100:
            return y
        return y.exp()

    found = element_depth(branch)
    assert found == ElementDepth(7, {"_local_scalar_dense": 1})


def test_followed_twice_is_followed_alike() -> None:
    layer, x = nn.GRU(4, 4, batch_first=True), torch.randn(2, 5, 4)
    with torch.no_grad():
        assert element_depth(lambda: layer(x)) == element_depth(lambda: layer(x))


def test_what_has_no_numbers_on_the_cpu_is_refused() -> None:
    x = torch.randn(3, 3, device="meta")
    with pytest.raises(PhalanxError, match="on meta"):
        element_depth(lambda: x.exp())
    with pytest.raises(PhalanxError, match="sparse_coo"):
        element_depth(lambda: torch.eye(3).to_sparse() * 2)
