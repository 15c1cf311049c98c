"""The verdicts that a comparison rests on, for the models of this library."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from phalanx.models import Decoder
from phalanx.models.presets import build, preset
from phalanx.profiling.elements.gradients import gradients
from phalanx.profiling.elements.paths import paths
from phalanx.profiling.span import Law
from phalanx.profiling.tracing.calls import trace_calls
from phalanx.profiling.tracing.trace import trace

LENGTHS = (32, 48, 64)


def _model(name: str) -> Decoder:
    model = build(preset(name, vocabulary=20, context=128, width=16), seed=0)
    assert isinstance(model, Decoder)
    return model


def _laws(model: Decoder) -> tuple[Law, Law]:
    def step(length: int, train: bool) -> Callable[[], object]:
        ids = torch.zeros(1, length, dtype=torch.long)

        def run() -> object:
            model.zero_grad(set_to_none=True)
            with torch.set_grad_enabled(train):
                loss = F.cross_entropy(model(ids).flatten(0, 1), ids[0])
            return loss.backward() if train else loss

        return run

    forward, training = (
        Law.fit({length: trace(step(length, train)).span for length in LENGTHS})
        for train in (False, True)
    )
    return forward, training


@pytest.mark.parametrize("name", ["rnn", "lstm", "gru"])
def test_recurrent_presets_are_serial(name: str) -> None:
    model = _model(name)
    forward, training = _laws(model)
    assert forward.slope >= 2 * model.config.layers  # a product and a nonlinearity a step
    assert training.slope > forward.slope
    assert forward.exact


@pytest.mark.parametrize("name", ["transformer", "transformer-2017"])
def test_attention_presets_are_not(name: str) -> None:
    forward, training = _laws(_model(name))
    assert (forward.slope, training.slope) == (0, 0)
    assert forward.exact


def test_the_scan_is_far_from_serial() -> None:
    model = _model("mingru")
    forward, training = _laws(model)
    layers = model.config.layers
    assert forward.last_slope / layers < 0.5  # T / C kernels a layer; a recurrent layer has 3 T
    assert training.last_slope / layers < 1


@pytest.mark.parametrize("name", ["rnn", "mingru", "transformer"])
@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_generation_is_serial_for_each(name: str, mode: Callable[[], object]) -> None:
    model = _model(name)
    with mode():  # type: ignore[attr-defined]
        held = [model.empty_state(1, 16)]

        def call(t: int, token: Tensor) -> Tensor:
            logits, held[0] = model.step(token, held[0])
            return logits.argmax(-1)

        chain = trace_calls(call, torch.zeros(1, dtype=torch.long), 8)
    assert chain.needs_last == (True,) * 7
    assert chain.trace.call_span == 8
    assert chain.trace.syncs == 0


@pytest.mark.parametrize("name", ["lstm", "mingru", "transformer"])
def test_paths_agree_with_gradients(name: str) -> None:
    model = _model(name)
    ids = torch.randint(20, (1, 24), generator=torch.Generator().manual_seed(0))

    def hidden(ids: Tensor) -> Tensor:
        y: Tensor = model.hidden(ids)[0]
        return y

    found = paths(hidden, ids)
    assert found.causal
    with torch.random.fork_rng():
        torch.manual_seed(0)
        for parameter in model.parameters():  # fresh weights may be zero where they need not be
            torch.nn.init.normal_(parameter, std=0.3)
    model.double()
    depends_ji = (gradients(hidden, ids, at=model.embedding) != 0).any(-1).any(1).numpy()
    np.testing.assert_array_equal(np.isfinite(found.kernels_ij).T, depends_ji)
    one_step = name == "transformer"
    assert found.longest()[15] == (1 if one_step else 15)
