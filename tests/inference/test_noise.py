"""The noise is uniform, independent along every axis of its key, and the same everywhere."""

from collections.abc import Callable

import pytest
import torch
from chi_square import LIMIT, deviations
from torch import Tensor

from phalanx.inference import noise

WHOLE = (1 << 64) - 1
COUNT = 1 << 16
ZERO = torch.zeros(COUNT, dtype=torch.int64)
INDEX = torch.arange(COUNT)


def numbers(seed: int, samples: Tensor, positions: Tensor, token: int) -> Tensor:
    keys = noise.request_keys(seed, samples)
    return noise.uniform(keys, positions, token + 1)[:, token]


def along(axis: str) -> Tensor:
    """Numbers whose keys differ along one axis alone."""
    if axis == "seed":
        values = [numbers(seed, ZERO[:1], ZERO[:1] + 3, 4) for seed in range(1 << 11)]
        return torch.cat(values)
    if axis == "sample":
        return numbers(7, INDEX, ZERO + 3, 4)
    if axis == "position":
        return numbers(7, ZERO + 2, INDEX, 4)
    return noise.uniform(noise.request_keys(7, ZERO[:1]), ZERO[:1] + 3, COUNT)[0]


AXES = ("seed", "sample", "position", "token")


def evenness(values: Tensor) -> float:
    counts = torch.histc(values, 64, 0, 1)
    return deviations(counts, torch.full((64,), len(values) / 64))


def independence(values: Tensor) -> float:
    """Of numbers at neighbouring keys: are all pairs of sixteenths equally frequent?"""
    cells = (values[:-1] * 16).long() * 16 + (values[1:] * 16).long()
    counts = torch.bincount(cells, minlength=256)
    return deviations(counts, torch.full((256,), len(cells) / 256))


@pytest.mark.parametrize("axis", AXES)
@pytest.mark.parametrize("test", [evenness, independence])
def test_noise_is_random_along_every_axis(axis: str, test: Callable[[Tensor], float]) -> None:
    assert abs(test(along(axis))) < LIMIT


@pytest.mark.parametrize("test", [evenness, independence])
def test_a_counter_that_is_not_mixed_is_found_out(
    test: Callable[[Tensor], float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(noise, "mix", lambda x: x)
    assert abs(test(along("token"))) > LIMIT


def test_no_two_numbers_of_the_key_stand_for_each_other() -> None:
    cells = [(s, n, p, t) for s in range(4) for n in range(4) for p in range(4) for t in range(4)]
    values = {float(numbers(s, torch.tensor([n]), torch.tensor([p]), t)[0]) for s, n, p, t in cells}
    assert len(values) == len(cells)


def test_mixing_is_splitmix64() -> None:
    # The published first outputs of the generator with state 1234567.
    published = [6457827717110365317, 3203168211198807973, 9817491932198370423]
    key = torch.tensor(1234567)
    given = [int(noise.fold(key, torch.tensor(n))) & WHOLE for n in range(3)]
    assert given == published


def test_mixing_equals_arithmetic_on_unsigned_integers() -> None:
    def expected(x: int) -> int:
        x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9 & WHOLE
        x = (x ^ (x >> 27)) * 0x94D049BB133111EB & WHOLE
        return x ^ (x >> 31)

    values = [0, 1, -1, 2**63 - 1, -(2**63), 0x123456789ABCDEF, -987654321]
    mixed = noise.mix(torch.tensor(values)).tolist()
    assert [m & WHOLE for m in mixed] == [expected(v & WHOLE) for v in values]


@pytest.mark.parametrize("bits", [0, -1], ids=["lowest", "highest"])
def test_extreme_bits_give_finite_noise(bits: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(noise, "fold", lambda key, number: torch.full((1, 3), bits))
    values = noise.uniform(torch.tensor([0]), torch.tensor([0]), 3)
    assert ((values > 0) & (values < 1)).all()
    assert noise.gumbel(torch.tensor([0]), torch.tensor([0]), 3).isfinite().all()


@pytest.mark.parametrize("seed", [0, -1, 2**63, 2**64 - 1, 2**80 + 1])
def test_any_integer_is_a_seed(seed: int) -> None:
    assert noise.request_keys(seed, torch.tensor([0])).dtype == torch.int64


def test_gumbel_has_its_mean_and_deviation() -> None:
    values = noise.gumbel(noise.request_keys(1, ZERO[:1]), ZERO[:1], COUNT)
    assert abs(values.mean() - 0.5772157) < 5 * 1.2825 / COUNT**0.5
    assert abs(values.std() - 1.2825498) < 0.03


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU on this machine")
def test_gpu_and_processor_agree_to_the_bit() -> None:
    keys, positions = noise.request_keys(3, INDEX[:8]), INDEX[:8]
    here = noise.uniform(keys, positions, 1000)
    there = noise.uniform(keys.cuda(), positions.cuda(), 1000)
    assert torch.equal(here, there.cpu())
