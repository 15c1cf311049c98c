"""Law 6 through the trainer, with each task's own batches: micro-batches = one batch.

Class weights, label smoothing, hidden tokens and texts of uneven length are all on.
"""

from pathlib import Path

import pytest
import torch
from small_tasks import TASKS, config, write

from phalanx.training.run import make_trainer, prepare


@pytest.mark.parametrize("preset", ["transformer", "gru"])
@pytest.mark.parametrize("task", TASKS)
def test_micro_batches_add_up_to_the_batch(
    task: str, preset: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PHALANX_CACHE", str(tmp_path / "cache"))
    wanted = config(task, write(task, tmp_path), preset=preset, model={"dropout": 0.0})
    trainer = make_trainer(prepare(wanted), say=lambda text: None)
    trainer.model.double()
    for step in range(3):
        batch = trainer.batches(step)
        found = []
        for rows in (1000, 1, 2, 5):
            losses_N = trainer.gradients(batch, rows)
            gradients = [p.grad.flatten() for p in trainer.model.parameters() if p.grad is not None]
            found.append((losses_N.sum(), torch.cat(gradients)))
        for loss, gradient in found[1:]:
            torch.testing.assert_close(loss, found[0][0], rtol=1e-12, atol=0)
            largest = float(found[0][1].abs().max())
            torch.testing.assert_close(gradient, found[0][1], rtol=0, atol=1e-12 * largest)
