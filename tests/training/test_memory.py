"""Room for a run: found, planned with, and a step that is taken again when it ran out."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from small_runs import small_config

from phalanx.config import TrainingConfig
from phalanx.errors import PhalanxError, UsageError
from phalanx.models import preset
from phalanx.training import estimate as estimates
from phalanx.training import memory
from phalanx.training.estimate import check_size, choose_micro_batch, upper_bound
from phalanx.training.memory import available_bytes, fit, out_of_memory, with_less_at_a_time

CPU = torch.device("cpu")

# Takes memory until there is none, under a limit on address space, as a batch job would have.
PROVOKE = """
import resource, sys, torch
from phalanx.training.memory import available_bytes, out_of_memory
torch.ones(8) @ torch.ones(8)
pages = int(open("/proc/self/statm").read().split()[0])
limit = pages * resource.getpagesize() + 2**28
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
assert 0 < available_bytes(torch.device("cpu")) <= 2**28
try:
    torch.empty(2**28)
except RuntimeError as error:
    print(out_of_memory(error), str(error)[:200])
try:
    bytearray(2**30)
except MemoryError as error:
    print(out_of_memory(error))
"""

# A batch that does not fit, half of which does; then the same with the smaller size from the start.
RETRY = """
import resource, sys, torch
from phalanx.models import build, preset
from phalanx.tasks.positions import Batch, total
from phalanx.training.memory import with_less_at_a_time

torch.set_num_threads(1)
config = preset("transformer", 64, 256, width=64, layers=2)

def train(size):
    model = build(config, 0)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    sizes, notes = [], []
    for step in range(2):
        ids = torch.randint(64, (64, 256), generator=torch.Generator().manual_seed(step))

        def gradients(rows):
            optimizer.zero_grad(set_to_none=True)
            for part in ids.split(rows):
                (total(model, Batch(part, part)).nats / ids.numel()).backward()

        _, size = with_less_at_a_time(gradients, size, optimizer.zero_grad, notes.append)
        optimizer.step()
        sizes.append(size)
    return torch.cat([p.detach().flatten() for p in model.parameters()]), sizes, notes

train(8)  # every kernel has been loaded
pages = int(open("/proc/self/statm").read().split()[0])
limit = pages * resource.getpagesize() + int(sys.argv[1]) * 2**20
before = resource.getrlimit(resource.RLIMIT_AS)
resource.setrlimit(resource.RLIMIT_AS, (limit, before[1]))
found, sizes, notes = train(64)
resource.setrlimit(resource.RLIMIT_AS, before)
assert sizes[0] < 64 and sorted(sizes, reverse=True) == sizes, sizes
expected, again, silent = train(sizes[-1])
assert again == [sizes[-1]] * 2 and not silent
torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-7)
print(sizes[-1], len(notes), notes[0])
"""


def run_python(program: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_batch_that_fits_is_left_alone_and_another_is_halved() -> None:
    asked = []

    def peak(rows: int) -> int:
        asked.append(rows)
        return 100 + 10 * rows

    assert fit(peak, 12, 1000) == 12
    assert fit(peak, 12, 200) == 6
    assert fit(peak, 13, 150) == 2
    assert asked == [12, 12, 6, 13, 7, 4, 2]
    with pytest.raises(UsageError, match="one sequence at a time") as caught:
        fit(lambda rows: 2**31 + rows, 8, 2**30)
    assert "2.00 GiB" in str(caught.value)
    assert "1.00 GiB" in str(caught.value)
    assert "Lower train.sequence_length" in str(caught.value)


def test_a_small_run_is_not_counted_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(estimates, "peak_memory", None)
    config = small_config("transformer", 20)
    train = TrainingConfig(batch_size=4, sequence_length=16)
    monkeypatch.setattr(estimates, "available_bytes", lambda device: 2**34)
    assert choose_micro_batch(config, train, CPU) == 4


def test_a_run_that_is_short_of_memory_is_cut_into_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    config = preset("transformer", 65, 64, width=64, layers=1)
    train = TrainingConfig(batch_size=512, sequence_length=64, precision="float32")
    available = 150 * 2**20
    monkeypatch.setattr(estimates, "available_bytes", lambda device: available)
    chosen = choose_micro_batch(config, train, CPU)
    assert 1 < chosen < 512
    peaks = [
        estimates.peak_memory(config, train, micro_batch=rows).memory_bytes
        for rows in (chosen, 2 * chosen)
    ]
    assert peaks[0] <= 0.9 * available < peaks[1]


@pytest.mark.parametrize("name", ["rnn", "lstm", "gru", "mingru", "transformer"])
def test_the_upper_bound_is_one(name: str) -> None:
    config = preset(name, 300, 32, width=32)
    train = TrainingConfig(
        batch_size=256, sequence_length=32, precision="float32", optimizer="adamw", average=0.9
    )
    found = estimates.peak_memory(config, train).memory_bytes
    assert found < upper_bound(config, train, 256)


def test_absurd_sizes_are_refused_before_anything_is_built(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(estimates, "build", None)
    config = preset("transformer", 65, 64, width=64)
    for change in ({"width": 10**6, "layers": 10**4}, {"vocabulary": 10**7, "width": 10**6}):
        with pytest.raises(UsageError, match="Choose a smaller size"):
            check_size(config.model_copy(update=change), 2**36)
    check_size(config, 2**30)


@pytest.mark.parametrize("name", ["rnn", "lstm", "gru", "mingru", "transformer", "gpt2"])
def test_no_model_has_fewer_than_the_least_parameters(name: str) -> None:
    changes = {} if name == "gpt2" else {"width": 64}
    config = preset(name, 300, 64, **changes)
    assert estimates.least_parameters(config) <= estimates.count(config)[0]


def test_what_is_available_is_the_least_of_all_limits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "_PROC", tmp_path)
    monkeypatch.setattr(memory, "_CGROUPS", tmp_path / "groups")
    (tmp_path / "self").mkdir()
    (tmp_path / "self/statm").write_text("100 50 0 0 0 0 0\n")
    (tmp_path / "meminfo").write_text("MemTotal: 9000 kB\nMemAvailable:    8000 kB\n")
    (tmp_path / "self/cgroup").write_text("4:cpu,memory:/job\n0::/user/job\n")
    assert available_bytes(CPU) == 8000 * 1024  # no group is there: none limits
    old = tmp_path / "groups/memory/job"
    old.mkdir(parents=True)
    (old / "memory.limit_in_bytes").write_text("7000000")
    (old / "memory.usage_in_bytes").write_text("1000000")
    (old / "memory.stat").write_text("cache 5\ntotal_inactive_file 300000\n")
    assert available_bytes(CPU) == 6_300_000
    new = tmp_path / "groups/user"  # a limit of the group above binds too
    new.mkdir(parents=True)
    (new / "memory.max").write_text("5000000\n")
    (new / "memory.current").write_text("1000000\n")
    (new / "memory.stat").write_text("inactive_file 100\n")
    (new / "job").mkdir()
    (new / "job/memory.max").write_text("max\n")
    (new / "job/memory.current").write_text("500\n")
    (new / "job/memory.stat").write_text("inactive_file 0\n")
    assert available_bytes(CPU) == 4_000_100


def test_running_out_of_memory_is_told_from_other_errors() -> None:
    assert out_of_memory(MemoryError())
    assert out_of_memory(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"))
    assert out_of_memory(RuntimeError("could not create a memory object"))
    assert out_of_memory(RuntimeError("std::bad_alloc"))
    assert not out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    assert not out_of_memory(ValueError("out of memory"))


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="limits on address space are Linux's")
def test_a_real_lack_of_memory_is_recognised() -> None:
    lines = run_python(PROVOKE).splitlines()
    assert [line.split()[0] for line in lines] == ["True", "True"]
    assert "DefaultCPUAllocator" in lines[0]


def test_a_step_is_taken_again_with_less_at_a_time() -> None:
    tried, dropped, notes = [], [], []

    def attempt(rows: int) -> str:
        tried.append(rows)
        if rows > 3:
            raise MemoryError
        return "gradients"

    found = with_less_at_a_time(attempt, 10, lambda: dropped.append(1), notes.append)
    assert found == ("gradients", 3)
    assert tried == [10, 5, 3]
    assert len(dropped) == len(notes) == 2
    assert "train.micro_batch_size 3" in notes[1]


def test_what_a_failed_attempt_held_is_gone_before_the_next() -> None:
    alive = []

    class Held:
        def __init__(self) -> None:
            alive.append(1)

        def __del__(self) -> None:
            alive.pop()

    def attempt(rows: int) -> int:
        held = Held()
        if rows > 1:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
        assert held
        return len(alive)

    assert with_less_at_a_time(attempt, 2, lambda: None, lambda text: None) == (1, 1)


def test_the_end_of_halving_is_an_error_with_words() -> None:
    def attempt(rows: int) -> None:
        raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: 4 bytes")

    with pytest.raises(PhalanxError, match="one sequence at a time") as caught:
        with_less_at_a_time(attempt, 4, lambda: None, lambda text: None)
    assert "Lower train.sequence_length" in str(caught.value)

    def broken(rows: int) -> None:
        raise RuntimeError("shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="shapes"):
        with_less_at_a_time(broken, 4, lambda: None, lambda text: None)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="limits on address space are Linux's")
def test_training_goes_on_with_less_under_a_real_limit() -> None:
    size, notes, first = run_python(RETRY, "160").split(maxsplit=2)
    assert int(size) < 64
    assert int(notes) >= 1
    assert "out of memory with 64 sequences" in first
