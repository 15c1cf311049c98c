"""Models in plain torch, for these tests alone: what the tracer must see in them is known."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  # torch's own customary name


class PlainGPT(nn.Module):
    """GPT-2 as published: biases everywhere, tied output, learned positions."""

    def __init__(self, vocabulary: int, context: int, width: int, heads: int, layers: int) -> None:
        super().__init__()
        self.heads = heads
        self.tokens = nn.Embedding(vocabulary, width)
        self.positions = nn.Embedding(context, width)
        self.layers = nn.ModuleList(
            nn.ModuleDict(
                {
                    "norm_1": nn.LayerNorm(width),
                    "qkv": nn.Linear(width, 3 * width),
                    "out": nn.Linear(width, width),
                    "norm_2": nn.LayerNorm(width),
                    "up": nn.Linear(width, 4 * width),
                    "down": nn.Linear(4 * width, width),
                }
            )
            for _ in range(layers)
        )
        self.norm = nn.LayerNorm(width)

    def forward(
        self, ids: Tensor, cache: list[tuple[Tensor, Tensor]] | None = None, at: int = 0
    ) -> Tensor:
        """Logits; with a cache (one key and value a layer, replaced here) ids follow it."""
        positions = torch.arange(at, at + ids.shape[1], device=ids.device)
        x = self.tokens(ids) + self.positions(positions)
        for i, layer in enumerate(self.layers):
            q, k, v = layer["qkv"](layer["norm_1"](x)).chunk(3, -1)
            q, k, v = (y.unflatten(-1, (self.heads, -1)).transpose(1, 2) for y in (q, k, v))
            if cache is not None:
                k, v = torch.cat([cache[i][0], k], 2), torch.cat([cache[i][1], v], 2)
                cache[i] = (k, v)
            y = F.scaled_dot_product_attention(q, k, v, is_causal=cache is None)
            x = x + layer["out"](y.transpose(1, 2).flatten(2))
            x = x + layer["down"](F.gelu(layer["up"](layer["norm_2"](x)), approximate="tanh"))
        return self.norm(x) @ self.tokens.weight.T


def gpt_forward_flops(vocabulary: int, width: int, layers: int, length: int) -> int:
    """Matrix products of one row: L(24 T d^2 + 4 T^2 d) + 2 T d V."""
    attention = 24 * length * width**2 + 4 * length**2 * width
    return layers * attention + 2 * length * width * vocabulary


def recurrent(kind: str, x: Tensor, h: Tensor, w: Tensor) -> Tensor:
    """A Python loop over positions: stacked outputs, or written into reserved memory."""
    outputs = []
    reserved = torch.empty_like(x)
    for t in range(x.shape[1]):
        h = torch.tanh(x[:, t] + h @ w)
        outputs.append(h)
        reserved[:, t] = h
    return torch.stack(outputs, 1) if kind == "stacked" else reserved


def doubling_scan(x: Tensor) -> Tensor:
    """Inclusive sum by doubling: after k rounds each position holds the last 2^k."""
    step = 1
    while step < x.shape[1]:
        x = x + F.pad(x, (0, 0, step, 0))[:, : x.shape[1]]
        step *= 2
    return x


def window_mask(length: int, width: int) -> Tensor:
    """True = keep: position t sees t - width + 1 .. t."""
    sees = torch.ones(length, length, dtype=torch.bool).tril()
    return sees & ~torch.ones(length, length, dtype=torch.bool).tril(-width)
