"""Scaling measured against a clock that the test holds, and what the controls forbid."""

from collections.abc import Callable

import pytest
import torch

from phalanx.errors import UsageError
from phalanx.profiling.costs.cost import Cost
from phalanx.profiling.machine import measure as module
from phalanx.profiling.machine.crew import measure_workers, threads_of_torch, why_not_together
from phalanx.profiling.machine.measure import measure, powers_of_two
from phalanx.profiling.machine.speedup import Workers
from phalanx.profiling.results import Mode
from phalanx.profiling.subjects.subject import subjects_from
from phalanx.profiling.tracing.graph import Kernel

SECONDS_A_POSITION = 1e-3


class Machine:
    """Threads that all help, or only as many as ``cores``; passes as long as their positions."""

    def __init__(self, cores: int = 4, restless: bool = False) -> None:
        self.now, self.cores, self.restless, self.turn = 0.0, cores, restless, 0

    def __call__(self) -> float:
        return self.now

    def passing(self, seconds: float) -> Callable[[], object]:
        def run() -> None:
            self.now += seconds / min(self.cores, torch.get_num_threads())

        return run

    def control(self) -> Callable[[], object]:
        steady = self.passing(0.01)

        def run() -> None:
            self.turn += 1
            for _ in range(4 if self.restless and self.turn // 4 % 2 else 1):
                steady()

        return run


class Model:
    name = "model"
    context = 10_000

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.ran: list[tuple[str, int, int]] = []

    def call(self, mode: Mode, batch: int, length: int, device: str) -> Callable[[], object]:
        self.ran.append((mode, batch, length))
        return self.machine.passing(batch * length * SECONDS_A_POSITION)


@pytest.fixture(autouse=True)
def _four_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    wide = Cost(other=10**8, depth=1)
    kernels = [Kernel("add", "", "forward", wide, 1, 10**8, "float32", ())]
    monkeypatch.setattr(module, "executed_kernels", lambda *_: kernels)
    monkeypatch.setattr(module, "usable_cores", lambda: 4)
    workers = Workers({"float32": 1e9}, 1e9, {1: 1e9}, 0.0, {})
    monkeypatch.setattr(module, "measure_workers", lambda _: workers)


def on(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> Model:
    monkeypatch.setattr(module, "control_product", machine.control)
    return Model(machine)


def test_every_axis_is_measured_and_threads_are_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine()
    model = on(machine, monkeypatch)
    with threads_of_torch(2):
        found = measure(model, ("train",), (10, 20, 40), (1, 4), (1, 2), seconds=60, clock=machine)
        assert torch.get_num_threads() == 2
    times = {(p.axis, p.value): p.seconds for p in found.points}
    assert times == pytest.approx(
        {
            **{("length", 10): 0.005, ("length", 20): 0.010, ("length", 40): 0.020},
            **{("batch", 1): 0.010, ("batch", 4): 0.040},
            **{("threads", 1): 0.020, ("threads", 2): 0.010},
        }
    )
    assert found.inconclusive is None
    assert found.control == pytest.approx({"length": 1.0, "batch": 1.0, "threads": 1.0})
    [speed_up] = found.speed_up
    assert speed_up.measured == {1: (1, 1, 1), 2: pytest.approx((2, 2, 2))}
    assert speed_up.brent_high == (1, 2)
    assert machine.now <= 60
    said = "\n".join(found.sentences)
    assert "2 threads: 2x measured (2 to 2), 2x predicted for an eager runtime" in said
    assert "4 times as much takes 4 times as long" in said
    assert "OMP_WAIT_POLICY" in said


def test_a_machine_without_a_second_core_gives_no_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(cores=1)
    found = measure(on(machine, monkeypatch), ("train",), (20,), (1,), (2,), clock=machine)
    assert found.inconclusive is not None
    assert "does not give two cores now" in found.inconclusive
    assert "times of" not in found.inconclusive  # those are not in doubt
    assert found.speed_up[0].measured[2] == pytest.approx((1, 1, 1))


def test_a_restless_control_puts_everything_in_doubt(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(restless=True)
    modes: tuple[Mode, ...] = ("train", "forward")
    found = measure(on(machine, monkeypatch), modes, (20,), (1,), (1,), clock=machine)
    assert found.inconclusive is not None
    assert "The times of train, forward are inconclusive" in found.inconclusive
    assert found.control["length"] == pytest.approx(4)


def test_what_does_not_fit_is_left_out_largest_first_and_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    machine = Machine()
    model = on(machine, monkeypatch)
    with threads_of_torch(1):
        found = measure(model, ("train",), (10, 100, 10_000), (1,), (1,), seconds=3, clock=machine)
    assert [p.value for p in found.points if p.axis == "length"] == [10, 100]
    assert ("train", 1, 10_000) not in model.ran
    assert any("lack of time: 1 row of 10000." in s for s in found.sentences)
    assert machine.now <= 3


def test_no_time_at_all_is_said_too(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine()
    model = on(machine, monkeypatch)
    found = measure(model, ("train",), (1000,), (1,), (1,), seconds=1, clock=machine)
    assert found.points == ()
    assert "train: not measured for lack of time" in found.sentences[0]


def test_no_length_exceeds_the_context(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine()
    found = measure(on(machine, monkeypatch), ("train",), (10, 20_000), (1,), (1,), clock=machine)
    assert [p.value for p in found.points if p.axis == "length"] == [10, 10_000]


def test_more_threads_than_cores_are_not_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine()
    found = measure(on(machine, monkeypatch), ("train",), (10,), (1,), (2, 64), clock=machine)
    assert found.speed_up[0].workers == (1, 2)
    assert any("Not measured with 64 threads" in s for s in found.sentences)


@pytest.mark.parametrize("axes", [((), (1,), (1,)), ((8,), (0,), (1,)), ((8,), (1,), (-1,))])
def test_an_axis_without_numbers_is_refused(
    axes: tuple[tuple[int, ...], ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UsageError, match="whole numbers"):
        measure(on(Machine(), monkeypatch), ("train",), *axes)


def test_half_of_what_threads_could_bring_is_needed() -> None:
    assert why_not_together(1.5, 2) is None
    assert why_not_together(1.0, 1) is None
    assert powers_of_two(1) == (1,)
    assert powers_of_two(6) == (1, 2, 4)
    assert "two cores" in str(why_not_together(1.49, 2))
    assert "four cores" in str(why_not_together(2.4, 4))


def test_this_machine_s_workers() -> None:
    before = torch.get_num_threads()
    found = measure_workers((1, 2), seconds=0.0)
    assert torch.get_num_threads() == before
    assert set(found.bandwidth) == set(found.fork) == {1, 2}
    assert found.fork[1] == 0.0 <= found.fork[2] <= 2e-4
    assert 0 < found.bandwidth[2] <= 2 * found.bandwidth[1]
    assert 0 < found.launch < 1e-2
    assert min(found.flops.values()) > 0 < found.cached


def test_a_real_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    [subject] = subjects_from(["rnn"], longest=16, size=2_000)
    before = torch.get_num_threads()
    found = measure(subject, ("forward",), (4, 8), (1,), (1,), seconds=20.0)
    assert {(p.mode, p.axis) for p in found.points} >= {("forward", "length")}
    assert all(0 < p.low <= p.seconds <= p.high for p in found.points)
    assert torch.get_num_threads() == before
