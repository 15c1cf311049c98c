"""What a task's run is estimated to cost can be counted, whatever is turned on."""

from pathlib import Path

import pytest
import torch
from small_tasks import TASKS, config, write

from phalanx.training.estimate import choose_micro_batch, estimate
from phalanx.training.run import prepare


@pytest.mark.parametrize("task", TASKS)
def test_a_run_with_everything_on_is_counted(
    task: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PHALANX_CACHE", str(tmp_path / "cache"))
    prepared = prepare(config(task, write(task, tmp_path)))
    train, shapes = prepared.config.train, prepared.shapes()
    found = estimate(prepared.model_config, train, shapes)
    weights = found.non_embedding_parameters
    assert found.flops_per_step > 2 * weights * found.tokens_per_step
    monkeypatch.setattr("phalanx.training.estimate._SMALL", 0.0)  # counts, however small it is
    cpu = torch.device("cpu")
    assert choose_micro_batch(prepared.model_config, train, cpu, shapes) == train.micro_batch_size
