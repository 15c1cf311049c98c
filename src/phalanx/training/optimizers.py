"""Which optimizer moves which parameter.

Muon is for the matrices of the blocks: linear maps between hidden vectors. Everything else goes to
AdamW: embeddings, positions and outputs, whose rows stand for single tokens, and vectors (norms and
biases). The types of the modules decide, so that a renamed parameter stays in its group.
"""

from typing import Any

import torch
from torch import nn

from phalanx.config import TrainingConfig
from phalanx.layers.block import Block
from phalanx.layers.embedding import Embedding
from phalanx.mixers.base import Mixer
from phalanx.mixers.cross_attention import CrossAttention
from phalanx.training.muon import Muon
from phalanx.training.precision import native_bfloat16


def hidden_matrices(model: nn.Module) -> list[tuple[nn.Parameter, int]]:
    """The matrices inside a model's blocks, each with the number of linear maps that it stacks."""
    stacked: dict[torch.Tensor, int] = {}
    for module in model.modules():
        if isinstance(module, Mixer | CrossAttention):
            stacked |= module.stacked_matrices()
    blocks = [module for module in model.modules() if isinstance(module, Block)]
    found = {p: stacked.get(p, 1) for block in blocks for p in block.parameters() if p.dim() == 2}
    return list(found.items())


def make_optimizers(model: nn.Module, config: TrainingConfig) -> list[torch.optim.Optimizer]:
    """The optimizers of a run; each group keeps its peak learning rate as ``peak``.

    Weight decay applies to matrices (embeddings too) and not to vectors. Their states are there
    from the beginning, so that they can be saved before, and restored instead of, the first step.
    """
    chosen = hidden_matrices(model) if config.optimizer == "muon" else []
    taken = {parameter for parameter, _ in chosen}
    rest = [p for p in model.parameters() if p.requires_grad and p not in taken]
    tables = [m.weight for m in model.modules() if isinstance(m, Embedding)]
    apart = set(tables) if config.embedding_learning_rate is not None else set()
    decay = config.weight_decay
    groups: list[dict[str, Any]] = [
        {"params": [p for p in rest if p.dim() >= 2 and p not in apart], "weight_decay": decay},
        {"params": [p for p in rest if p.dim() < 2], "weight_decay": 0.0},
        {"params": [p for p in rest if p in apart], "weight_decay": decay}
        | {"lr": config.embedding_learning_rate},
    ]
    groups = [group for group in groups if group["params"]]
    optimizers: list[torch.optim.Optimizer] = []
    if groups:
        adamw = torch.optim.AdamW(groups, lr=config.learning_rate, betas=config.betas, fused=True)
        _begin(adamw)
        optimizers.append(adamw)
    if chosen:
        native = native_bfloat16(chosen[0][0].device)
        optimizers.append(
            Muon(
                chosen,
                lr=config.muon_learning_rate,
                momentum=config.momentum,
                weight_decay=config.weight_decay,
                dtype=torch.bfloat16 if native else torch.float32,
            )
        )
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["peak"] = group["lr"]
    return optimizers


def set_rate(optimizers: list[torch.optim.Optimizer], share: float) -> None:
    """Set every group's learning rate to a share of its peak."""
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = group["peak"] * share


def state_tensors(
    optimizers: list[torch.optim.Optimizer], model: nn.Module
) -> dict[str, torch.Tensor]:
    """The states themselves (no copies), as ``adamw.exp_avg.<name of the parameter>``."""
    names: dict[torch.Tensor, str] = {p: name for name, p in model.named_parameters()}
    return {
        f"{_name(optimizer)}.{key}.{names[parameter]}": tensor
        for optimizer in optimizers
        for parameter, state in optimizer.state.items()
        for key, tensor in state.items()
    }


def momenta(optimizers: list[torch.optim.Optimizer]) -> dict[str, list[float]]:
    """What the states are running means over: they mean nothing under other values."""
    keys = {"adamw": "betas", "muon": "momentum"}
    found = {_name(each): each.param_groups[0][keys[_name(each)]] for each in optimizers}
    return {
        name: [value] if isinstance(value, float) else [*value] for name, value in found.items()
    }


def _begin(adamw: torch.optim.AdamW) -> None:
    """The states that the fused AdamW would make in its first step."""
    for group in adamw.param_groups:
        for parameter in group["params"]:
            adamw.state[parameter] = {
                "step": torch.zeros((), dtype=torch.float32, device=parameter.device),
                "exp_avg": torch.zeros_like(parameter),
                "exp_avg_sq": torch.zeros_like(parameter),
            }


def _name(optimizer: torch.optim.Optimizer) -> str:
    return type(optimizer).__name__.lower()
