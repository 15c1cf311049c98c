"""nanoGPT's CPU quick start in plain torch: the yardstick for `recipes/`, independent of phalanx.

    python benchmarks/nanogpt_cpu.py input.txt [--compile] [--threads 2]

The model and the hyper-parameters are those of karpathy/nanoGPT, README "I only have a macbook"
(4 layers, 4 heads, 128 wide, context 64, batch 12, 2000 steps, dropout 0, AdamW 1e-3). Written as
well as plain torch allows: fused attention, fused AdamW, the text as one tensor in memory.
Prints one JSON line per validation:

    step, tokens      optimizer steps and training tokens so far
    seconds           since `main` began (reading the text, building and compiling included; the
                      import of torch not), without validation
    seconds_all       the same, with validation
    validation_loss   nats per character over ALL non-overlapping windows of 64, every position
"""

from __future__ import annotations

import argparse
import json
import math
import time
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  # torch's own customary name

LAYERS, HEADS, WIDTH, CONTEXT = 4, 4, 128, 64
BATCH, STEPS, WARM_UP, RATE, LAST_RATE = 12, 2000, 100, 1e-3, 1e-4
TARGET = 1.8857


class Block(nn.Module):
    """Pre-norm attention, then a GELU feed-forward network, without biases."""

    def __init__(self) -> None:
        super().__init__()
        self.norm_1 = nn.LayerNorm(WIDTH, bias=False)
        self.qkv = nn.Linear(WIDTH, 3 * WIDTH, bias=False)
        self.out = nn.Linear(WIDTH, WIDTH, bias=False)
        self.norm_2 = nn.LayerNorm(WIDTH, bias=False)
        self.up = nn.Linear(WIDTH, 4 * WIDTH, bias=False)
        self.down = nn.Linear(4 * WIDTH, WIDTH, bias=False)

    def forward(self, x_BTD: Tensor) -> Tensor:
        B, T, D = x_BTD.shape
        qkv = self.qkv(self.norm_1(x_BTD)).view(B, T, 3, HEADS, D // HEADS)
        q_BHTK, k_BHTK, v_BHTK = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        y_BHTK = F.scaled_dot_product_attention(q_BHTK, k_BHTK, v_BHTK, is_causal=True)
        x_BTD = x_BTD + self.out(y_BHTK.transpose(1, 2).reshape(B, T, D))
        return x_BTD + self.down(F.gelu(self.up(self.norm_2(x_BTD))))


class GPT(nn.Module):
    """Learned positions, `LAYERS` blocks, output tied to the embedding."""

    def __init__(self, vocabulary: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, WIDTH)
        self.positions = nn.Embedding(CONTEXT, WIDTH)
        self.blocks = nn.Sequential(*(Block() for _ in range(LAYERS)))
        self.norm = nn.LayerNorm(WIDTH, bias=False)
        for name, p in self.named_parameters():
            if p.dim() == 2:
                residual = name.endswith(("out.weight", "down.weight"))
                nn.init.normal_(p, std=0.02 / math.sqrt(2 * LAYERS) if residual else 0.02)

    def forward(self, ids_BT: Tensor, targets_BT: Tensor) -> Tensor:
        x_BTD = self.embedding(ids_BT) + self.positions.weight[: ids_BT.shape[1]]
        logits_BTV = F.linear(self.norm(self.blocks(x_BTD)), self.embedding.weight)
        return F.cross_entropy(logits_BTV.flatten(0, 1), targets_BT.flatten())


def rate_at(step: int) -> float:
    """Learning rate of `step` (from 0): linear warm-up, then a cosine down to `LAST_RATE`."""
    if step < WARM_UP:
        return RATE * (step + 1) / (WARM_UP + 1)
    done = (step - WARM_UP) / (STEPS - WARM_UP)
    return LAST_RATE + 0.5 * (1 + math.cos(math.pi * done)) * (RATE - LAST_RATE)


@torch.no_grad()
def validate(model: GPT, ids: Tensor) -> float:
    """Mean loss in nats over all non-overlapping windows of `CONTEXT`, every position counted."""
    count = (len(ids) - 1) // CONTEXT
    inputs = ids[: count * CONTEXT].view(count, CONTEXT)
    targets = ids[1 : count * CONTEXT + 1].view(count, CONTEXT)
    total = sum(
        model(x, y).item() * y.numel()
        for x, y in zip(inputs.split(128), targets.split(128), strict=True)
    )
    rest = ids[count * CONTEXT :]
    if len(rest) > 1:  # the last, shorter window counts too
        total += model(rest[None, :-1], rest[None, 1:]).item() * (len(rest) - 1)
    return total / (len(ids) - 1)


def main() -> None:
    began = time.perf_counter()
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("text", type=Path)
    parser.add_argument("--compile", action="store_true", help="torch.compile the training step")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--seed", type=int, default=1337)
    parser.add_argument("--every", type=int, default=250, help="steps between validations")
    parser.add_argument("--until-target", action="store_true", help=f"stop at {TARGET} or below")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)

    text = options.text.read_text(encoding="utf-8")
    index = {c: i for i, c in enumerate(sorted(set(text)))}
    ids = torch.tensor([index[c] for c in text])
    train, validation = ids[: int(0.9 * len(ids))], ids[int(0.9 * len(ids)) :]
    windows = train.unfold(0, CONTEXT + 1, 1)

    model = GPT(len(index))
    parameters = sum(p.numel() for p in model.parameters())
    matrices = [p for p in model.parameters() if p.dim() >= 2]
    vectors = [p for p in model.parameters() if p.dim() < 2]
    groups = [{"params": matrices, "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=RATE, betas=(0.9, 0.99), fused=True)
    loss_of = torch.compile(model) if options.compile else model

    checking = 0.0
    for step in range(STEPS + 1):
        if step and (step % options.every == 0 or step == STEPS):
            start = time.perf_counter()
            loss = validate(model, validation)
            now = time.perf_counter()
            line = {
                "step": step,
                "tokens": step * BATCH * CONTEXT,
                "seconds": round(start - began - checking, 3),
                "seconds_all": round(now - began, 3),
                "validation_loss": round(loss, 4),
                "parameters": parameters,
                "compiled": options.compile,
                "threads": options.threads,
            }
            print(json.dumps(line), flush=True)
            checking += now - start
            if options.until_target and loss <= TARGET:
                break
        if step == STEPS:
            break
        for group in optimizer.param_groups:
            group["lr"] = rate_at(step)
        batch = windows[torch.randint(len(windows), (BATCH,))]
        optimizer.zero_grad(set_to_none=True)
        loss_of(batch[:, :-1], batch[:, 1:]).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()


if __name__ == "__main__":
    main()
