"""What a training step costs, before any is taken: counted on tensors without memory."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from phalanx.config import ModelConfig, TrainingConfig
from phalanx.mixers.recurrent import GatedCell
from phalanx.models import build
from phalanx.tasks.positions import Batch, total
from phalanx.training.optimizers import hidden_matrices


@dataclass(frozen=True)
class Estimate:
    """The cost of a training step.

    Args:
        parameters: all of them.
        non_embedding_parameters: those outside the tables of tokens, positions and outputs.
        tokens_per_step: input tokens of a batch.
        flops_per_step: of the matrix products of the forward and backward pass, 2 a multiply-add;
            what else a step does (norms, optimizer) is not counted.
        memory_bytes: weights, gradients, optimizer states and what the forward pass keeps for the
            backward pass, in float32; torch itself and the text come on top.
    """

    parameters: int
    non_embedding_parameters: int
    tokens_per_step: int
    flops_per_step: int
    memory_bytes: int


def estimate(model_config: ModelConfig, config: TrainingConfig) -> Estimate:
    """Count the cost of a training step by running one on the meta device."""
    with torch.device("meta"):
        model = build(model_config)
        ids_BT = torch.zeros(config.batch_size, config.sequence_length, dtype=torch.int64)
    for module in model.modules():
        if isinstance(module, GatedCell):
            module.use_schedule("fused")  # without memory it unrolls in C++, where all is counted
    held = {parameter.untyped_storage()._cdata for parameter in model.parameters()}
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in held:
            kept[storage._cdata] = storage.nbytes()
        return tensor

    hooks = torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor)
    with FlopCounterMode(display=False) as counter:
        with hooks:
            nats = total(model, Batch(ids_BT, ids_BT)).nats
        nats.backward()
    parameters, outside = model.parameter_counts()
    matrices = hidden_matrices(model) if config.optimizer == "muon" else []
    by_muon = sum(parameter.numel() for parameter, _ in matrices)
    # Weight and gradient; one moment for Muon, two for AdamW.
    states = 4 * (2 * parameters + by_muon + 2 * (parameters - by_muon))
    return Estimate(
        parameters,
        outside,
        ids_BT.numel(),
        counter.get_total_flops(),
        states + sum(kept.values()),
    )
