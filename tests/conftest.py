"""What holds in every test: one thread, a fixed seed, and checked shapes."""

from collections.abc import Iterator

import hypothesis
import pytest
import torch

import shape_check

hypothesis.settings.register_profile(
    "phalanx", deadline=None, derandomize=True, database=None, max_examples=10
)
hypothesis.settings.load_profile("phalanx")


@pytest.fixture(autouse=True, scope="session")
def _shapes_are_checked() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        shape_check.install(patch.setattr)
        yield


@pytest.fixture(autouse=True)
def _one_thread_and_a_seed() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
