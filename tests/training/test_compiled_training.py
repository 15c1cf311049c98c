"""A compiled step: the same gradients, dropout that is keyed, and a run that goes on exactly."""

from collections.abc import Iterator

import pytest
import torch
from small_runs import rhyme_trainer, weights_of

from phalanx.training.trainer import Trainer

pytestmark = [
    pytest.mark.slow,
    # The compiler's own modules use what torch deprecates.
    pytest.mark.filterwarnings("ignore::DeprecationWarning:torch"),
]


@pytest.fixture(autouse=True)
def _fresh_compiler() -> Iterator[None]:
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def make(**settings: object) -> Trainer:
    sizes = {"steps": 4, "batch_size": 4, "micro_batch_size": 2, "evaluate_every": 100}
    return rhyme_trainer("transformer", layers=1, **{**sizes, **settings})


def test_a_compiled_step_has_the_gradients_of_a_plain_one() -> None:
    trainers = [
        make(compile=compiled, batch_size=5, label_smoothing=0.1) for compiled in (True, False)
    ]
    losses = [trainer.gradients(trainer.batches(0), trainer.micro_batch) for trainer in trainers]
    torch.testing.assert_close(*losses)
    for one, other in zip(*(t.model.parameters() for t in trainers), strict=True):
        torch.testing.assert_close(one.grad, other.grad, atol=1e-5, rtol=1e-4)


def test_two_runs_and_one_that_goes_on_are_equal() -> None:
    runs = [make(compile=True, dropout=0.3) for _ in range(2)]
    for run in runs:
        torch.rand(3)
        list(run.events())
    assert torch.equal(weights_of(runs[0].model), weights_of(runs[1].model))
    cut, then = make(compile=True, dropout=0.3), make(compile=True, dropout=0.3)
    for event in cut.events():
        if event.step == 2:
            break
    torch._dynamo.reset()  # as in another process
    then.restore(cut.state(), cut.model.state_dict())
    list(then.events())
    assert torch.equal(weights_of(runs[0].model), weights_of(then.model))
    plain = make(dropout=0.0)
    list(plain.events())
    assert not torch.equal(weights_of(plain.model), weights_of(then.model))
