"""Muon: momentum whose matrices are made orthogonal before they are applied (Jordan et al. 2024).

torch.optim.Muon does the same to one matrix at a time. Here all parts of equal shape go through
one batched product, and a matrix that stacks several (the gates of a recurrent layer, keys and
values) is taken apart first: each is a linear map of its own.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
EPSILON = 1e-7


def orthogonalize(matrices_NRC: Tensor, steps: int = 5) -> Tensor:
    """Bring the singular values of each matrix near 1 by a quintic Newton-Schulz iteration.

    Args:
        matrices_NRC: N matrices of R rows and C columns, R <= C; in the dtype to compute in.
        steps: iterations; 5 bring most values between 0.7 and 1.2.

    Source: Jordan et al. 2024, https://kellerjordan.github.io/posts/muon/.
    """
    a, b, c = COEFFICIENTS
    norm_N11: Tensor = torch.linalg.matrix_norm(matrices_NRC, keepdim=True)
    x_NRC: Tensor = matrices_NRC / norm_N11.clamp(min=EPSILON)
    for _ in range(steps):
        gram_NRR = x_NRC @ x_NRC.mT
        polynomial_NRR = torch.baddbmm(gram_NRR, gram_NRR, gram_NRR, beta=b, alpha=c)
        x_NRC = torch.baddbmm(x_NRC, polynomial_NRR, x_NRC, beta=a)
    return x_NRC


class Muon(torch.optim.Optimizer):
    """Muon with Nesterov momentum over matrices, some of which stack several.

    Args:
        matrices: pairs of a 2-D parameter and the number of equal parts stacked along its rows.
        lr: learning rate; each part's step is scaled by sqrt(max(1, rows / columns)).
        momentum: of the running mean of gradients.
        weight_decay: decoupled.
        steps: Newton-Schulz iterations.
        dtype: of those iterations.

    Raises:
        ValueError: a parameter that is not a matrix, or does not split into equal parts.
    """

    def __init__(
        self,
        matrices: Iterable[tuple[nn.Parameter, int]],
        lr: float = 0.02,
        momentum: float = 0.95,
        weight_decay: float = 0.0,
        steps: int = 5,
        dtype: torch.dtype = torch.bfloat16,
    ) -> None:
        by_parts: dict[int, list[nn.Parameter]] = defaultdict(list)
        for parameter, parts in matrices:
            if parameter.dim() != 2 or parameter.shape[0] % parts:
                raise ValueError(
                    f"Muon takes matrices of {parts} equal parts; "
                    f"given a parameter of shape {tuple(parameter.shape)}"
                )
            by_parts[parts].append(parameter)
        self.steps = steps
        self.dtype = dtype
        defaults = {"lr": lr, "momentum": momentum, "weight_decay": weight_decay}
        groups = [{"params": group, "parts": parts} for parts, group in by_parts.items()]
        super().__init__(groups, defaults)
        for group in self.param_groups:
            for parameter in group["params"]:
                self.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override]  # no closure is ever used
        """Apply one update to every parameter that has a gradient."""
        assert closure is None, "Muon evaluates no closure"
        # Parts of equal shape, up to transposition, wait here for one batched iteration.
        waiting: dict[tuple[int, int], list[tuple[Tensor, Tensor, float]]] = defaultdict(list)
        for group in self.param_groups:
            updates = self._momentum(group)
            for parameter, update in updates:
                parameter.mul_(1.0 - group["lr"] * group["weight_decay"])
                pairs = zip(
                    parameter.chunk(group["parts"]), update.chunk(group["parts"]), strict=True
                )
                for part_RC, update_RC in pairs:
                    rows, columns = part_RC.shape
                    scale = -group["lr"] * math.sqrt(max(1.0, rows / columns))
                    if rows > columns:
                        part_RC, update_RC = part_RC.mT, update_RC.mT
                    waiting[tuple(part_RC.shape)].append((part_RC, update_RC, scale))  # type: ignore[index]  # two axes
        for items in waiting.values():
            stacked_NRC = torch.stack([update_RC for _, update_RC, _ in items]).to(self.dtype)
            steps_NRC = orthogonalize(stacked_NRC, self.steps)
            for (part_RC, _, scale), step_RC in zip(items, steps_NRC, strict=True):
                part_RC.add_(step_RC, alpha=scale)

    def _momentum(self, group: dict[str, Any]) -> list[tuple[nn.Parameter, Tensor]]:
        parameters = [p for p in group["params"] if p.grad is not None]
        if not parameters:
            return []
        gradients = [p.grad for p in parameters]
        buffers = [self.state[p]["momentum_buffer"] for p in parameters]
        torch._foreach_lerp_(buffers, gradients, 1.0 - group["momentum"])
        # Nesterov: look one momentum step ahead.
        ahead = torch._foreach_lerp(gradients, buffers, group["momentum"])
        return list(zip(parameters, ahead, strict=True))
