"""Memory under a trace: the order that using it again imposes, bytes alive, small shadows."""

from types import BuiltinMethodType

import pytest
import torch
from torch import Tensor, nn

from phalanx.profiling.tracing.cells import Cells, Geometry, distinct
from phalanx.profiling.tracing.graph import GIVEN, Graph
from phalanx.profiling.tracing.live import Storages
from phalanx.profiling.tracing.trace import Tracer, trace


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_memory_used_again_orders_the_schedule_and_not_the_data(device: str) -> None:
    x = torch.ones(16, 4, device=device)

    def one_buffer() -> list[Tensor]:
        buffer, found = torch.empty(4, device=device), []
        for t in range(16):
            buffer.copy_(x[t])  # waits until the last row has been read
            found.append(buffer.exp())
        return found

    def rows() -> Tensor:
        out = torch.empty(16, 4, device=device)
        for t in range(16):
            out[t] = x[t].exp()
        return out

    found = trace(one_buffer)
    assert (found.span, found.schedule_span) == (2, 32)
    found = trace(rows)
    assert (found.span, found.schedule_span) == (2, 2)


def test_a_read_of_one_half_does_not_hold_up_a_write_to_the_other() -> None:
    x = torch.zeros(2, 8)
    late = torch.ones(8)

    def halves(write: int) -> None:
        y = late.sin().sin().sin()
        x[0].add(y)  # reads row 0 at depth 4
        x[write] = late

    with Tracer(x, late) as tracer:
        halves(1)
        assert tracer.result().schedule_span == 4
        halves(0)
        assert tracer.result().schedule_span == 5
    assert tracer.result().span == 4


def test_a_constant_waits_for_its_memory_alone() -> None:
    x = torch.ones(3)
    with Tracer(x) as tracer:
        y = x.exp()
        y.exp()  # reads y at depth 2
        y.zero_()
        assert tracer.depth_of(y) == 0
    assert (tracer.result().span, tracer.result().schedule_span) == (2, 3)


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_bytes_alive_beyond_what_was_given(device: str) -> None:
    x = torch.ones(1000, device=device)  # 4,000 bytes

    def chain() -> Tensor:
        y = x
        for _ in range(5):
            y = y.exp()  # the one before is freed when this one is there
        return y

    assert trace(chain).peak_bytes == 8_000
    assert trace(lambda: [x.exp() for _ in range(5)]).peak_bytes == 20_000
    assert trace(lambda: x.exp_()).peak_bytes == 0
    assert trace(lambda: x[:10].exp()).peak_bytes == 40
    kept = trace(lambda: torch.cat([x.exp()[:500], x[:10]]))
    assert kept.peak_bytes == 4_000 + 2_040  # a view keeps all of its storage


def test_bytes_alive_in_training() -> None:
    layers = nn.Sequential(*(nn.Sequential(nn.Linear(50, 50), nn.Sigmoid()) for _ in range(4)))
    x = torch.ones(20, 50)
    with torch.no_grad():
        forward = trace(layers, x)
    # The inputs of the outer and the inner container, and what is being made.
    assert forward.peak_bytes == 3 * 20 * 50 * 4
    # Kept for the backward pass: each sigmoid's output; a linear's output is freed behind it.
    with Tracer(layers, x) as tracer:
        y = layers(x)
        assert tracer.result().peak_bytes == 5 * 20 * 50 * 4
        y.sum().backward()
    gradients = 4 * (50 * 50 + 50) * 4
    assert gradients < tracer.result().peak_bytes < gradients + 8 * 20 * 50 * 4


@pytest.mark.parametrize("order", ["BHSK", "BSHK"])
def test_a_cache_is_followed_in_few_cells(order: str) -> None:
    batch, heads, capacity, width = 2, 8, 4096, 128
    shape = (batch, heads, capacity, width) if order == "BHSK" else (batch, capacity, heads, width)
    cache = torch.empty(shape, device="meta")
    axis = order.index("S")
    new = cache.narrow(axis, 7, 1)
    cells = Cells(cache.nbytes, 0, Geometry.of(new).window())  # type: ignore[arg-type]
    assert cells.nbytes <= 4 * batch * heads * capacity
    cells.exactly(Geometry.of(new).window(), cache.nbytes)[...] = 5  # type: ignore[arg-type]
    for length, found in ((7, [0]), (8, [0, 5])):
        seen = cache.narrow(axis, 0, length)[..., :3]  # a part of each cell, read as it is
        assert distinct(cells.touching(Geometry.of(seen).window(), cache.nbytes)) == found  # type: ignore[arg-type]
    assert cells.nbytes <= 4 * batch * heads * capacity
    element = cache[0, 0, 0, 3]  # written, it splits them
    cells.exactly(Geometry.of(element).window(), cache.nbytes)[...] = 6  # type: ignore[arg-type]
    assert cells.granule == 4


def test_decoding_into_a_cache_sees_each_position() -> None:
    cache = torch.empty(1, 2, 64, 8, device="meta")
    x = torch.ones(1, 2, 1, 8, device="meta")
    with Tracer(cache, x) as tracer:
        for t in range(8):
            cache[:, :, t : t + 1] = x if t % 2 else x.tanh().tanh()
        depths = [tracer.depth_of(cache[:, 1, t]) for t in range(9)]
        assert depths == [3, 1, 3, 1, 3, 1, 3, 1, 0]
        assert tracer.depth_of(cache[..., :2, :]) == 3


def test_freed_storages_are_forgotten() -> None:
    x = torch.ones(10)
    storages = Storages(Graph())
    y = x.exp()
    storages.add(y, GIVEN)
    assert (storages.live, storages.peak) == (40, 40)
    view = y[2:]
    del y
    assert storages.live == 40
    del view
    assert (storages.live, storages.peak) == (0, 40)


def test_a_freed_storage_runs_no_python() -> None:
    # Ctrl-C that arrives while the callback of a weak reference runs Python would be lost.
    storages = Storages(Graph())
    y = torch.ones(3)
    storages.add(y, GIVEN)
    (watch,) = storages._watches.values()
    assert isinstance(watch.__callback__, BuiltinMethodType)


def test_a_storage_that_grows_counts_with_its_new_size() -> None:
    x = torch.ones(3)
    with Tracer(x) as tracer:
        y = torch.empty(0)
        y.resize_(100)
        y.zero_()
        assert tracer.result().peak_bytes == 400
        y[50:].add_(1.0)
        assert tracer.depth_of(y) == 1
