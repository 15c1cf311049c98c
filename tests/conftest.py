"""What holds in every test: one thread, a fixed seed, checked shapes, and a cache of its own."""

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


@pytest.fixture(autouse=True, scope="session")
def _the_cache_is_not_the_users(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PHALANX_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(autouse=True)
def _one_thread_and_a_seed() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
