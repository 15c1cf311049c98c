"""Inference mode hands composite operators over whole; they are what the runtime makes of them."""

import pytest
import torch
from torch import nn

from phalanx.profiling.tracing.trace import Tracer

MODULES = {
    "dropout": lambda: nn.Dropout(0.5),
    "batch norm": lambda: nn.BatchNorm1d(6),
    "upsample": lambda: nn.Upsample(scale_factor=2),
    "lstm": lambda: nn.LSTM(4, 4, batch_first=True),
    "gru": lambda: nn.GRU(4, 4, batch_first=True),
    "encoder layer": lambda: nn.TransformerEncoderLayer(4, 2, 8, batch_first=True),
}


@pytest.mark.parametrize("name", MODULES)
def test_inference_mode_takes_operators_apart_as_the_runtime_does(name: str) -> None:
    # A product with a weight that asks for a gradient is folded otherwise, by the runtime too.
    module = MODULES[name]().eval().to("meta").requires_grad_(False)
    x_BTD = torch.ones(2, 6, 4, device="meta")
    found = []
    for mode in (torch.no_grad, torch.inference_mode):
        with mode(), Tracer(module, x_BTD) as tracer:
            module(x_BTD)
        found.append([(k.name, k.reads) for k in tracer.kernels()])
    assert found[0] == found[1]


def test_dropout_that_is_off_and_upsampling_launch_what_the_runtime_launches() -> None:
    x_BDT = torch.ones(2, 6, 4, device="meta")
    with torch.inference_mode(), Tracer(x_BDT) as tracer:
        nn.functional.interpolate(nn.functional.dropout(x_BDT, training=False), scale_factor=2)
    assert [k.name for k in tracer.kernels()] == ["upsample_nearest1d"]
