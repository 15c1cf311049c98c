"""Generation is serial exactly where a call needs the token before it."""

import pytest
import torch
from plain_models import PlainGPT
from torch import Tensor, nn

from phalanx.profiling.tracing.calls import trace_calls


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_autoregressive_calls_form_one_chain(device: str) -> None:
    model = PlainGPT(20, 32, 16, 2, 2).to(device)
    cache = [(torch.empty(1, 2, 0, 8, device=device),) * 2 for _ in range(2)]
    first = torch.zeros(1, 1, dtype=torch.long, device=device)

    @torch.no_grad()
    def call(t: int, token: Tensor) -> Tensor:
        return model(token, cache, t)[:, -1:].argmax(-1)

    chain = trace_calls(call, first, 10)
    assert chain.needs_last == (True,) * 9
    assert chain.trace.call_span == 10
    steps = {after - before for before, after in zip(chain.depth, chain.depth[1:], strict=False)}
    assert len(steps) == 1  # every token costs the same number of dependent kernels
    assert chain.kernels_per_call == steps.pop()


def test_a_recurrent_decoder_is_serial_through_its_state() -> None:
    table, cell = nn.Embedding(8, 8), nn.GRUCell(8, 8)
    state = {"h": torch.zeros(1, 8)}

    @torch.no_grad()
    def call(t: int, token: Tensor) -> Tensor:
        state["h"] = cell(table(token), state["h"])
        return state["h"].argmax(-1)

    chain = trace_calls(call, torch.zeros(1, dtype=torch.long), 6)
    assert chain.needs_last == (True,) * 5
    assert chain.trace.call_span == 6


def test_a_model_that_ignores_the_token_is_not_serial() -> None:
    model = PlainGPT(20, 32, 16, 2, 2)
    fixed = torch.zeros(1, 8, dtype=torch.long)

    @torch.no_grad()
    def call(t: int, token: Tensor) -> Tensor:
        return model(fixed)[:, t].argmax(-1)

    chain = trace_calls(call, torch.zeros(1, dtype=torch.long), 6)
    assert chain.needs_last == (False,) * 5
    assert chain.trace.call_span == 1
    assert len(set(chain.depth)) == 1
    assert chain.kernels_per_call == 0


def test_a_token_that_passes_through_the_host_still_counts() -> None:
    table = nn.Embedding(5, 5)

    @torch.no_grad()
    def call(t: int, token: Tensor) -> Tensor:
        chosen = int(token)  # the host reads it
        return table(torch.tensor([chosen])).argmax(-1)

    chain = trace_calls(call, torch.zeros(1, dtype=torch.long), 4)
    assert chain.needs_last == (True,) * 3
    assert chain.trace.call_span == 4
