"""The diagonal linear recurrence h_t = a_t h_{t-1} + b_t, step by step and as a scan.

The scan cuts the positions into chunks of C, on a grid anchored at the first position of the
sequence: (1) all chunks at once, C steps, from P = 1, L = 0: P <- a P, L <- a L + b; (2) one carry
a chunk: c <- P c + L; (3) all chunks at once, C steps, each from its carry. About 3 products and
2 sums an element, span 2 C + T / C. The step form carries (h, P, L, c, count) and sets
h <- c <- P c + L when a chunk fills, so it rounds exactly as the scan does: replay, bit for bit.

Source: reduce-then-scan (Blelloch 1990); Martin and Cundy 2018 for recurrent layers.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812  # torch's own customary name

from phalanx.shapes import Column, PerRow, Sequence


class Replay(NamedTuple):
    """Where a chunk stands: hidden vector, product and offset since it began, carry, steps.

    Only the hidden vector is differentiated; the others repeat it in the form in which the scan
    rounds.
    """

    hidden_BD: Column
    product_BD: Column
    offset_BD: Column
    carry_BD: Column
    count_B: PerRow

    @classmethod
    def begin(cls, hidden_BD: Column) -> "Replay":
        """A chunk that starts at ``hidden_BD``."""
        fixed_BD = hidden_BD.detach()
        count_B = torch.zeros(fixed_BD.shape[0], dtype=torch.int64, device=fixed_BD.device)
        return cls(
            hidden_BD, torch.ones_like(fixed_BD), torch.zeros_like(fixed_BD), fixed_BD, count_B
        )


def advance(a_BD: Column, b_BD: Column, replay: Replay, chunk: int) -> tuple[Column, Replay]:
    """One step: the new hidden vector, and where the chunk stands after it. No branch on data."""
    h_BD = a_BD * replay.hidden_BD + b_BD
    with torch.no_grad():
        product_BD = a_BD * replay.product_BD
        offset_BD = a_BD * replay.offset_BD + b_BD
        count_B = replay.count_B + 1
        full_B = count_B == chunk
        full_B1 = full_B[:, None]
        carry_BD = torch.where(full_B1, product_BD * replay.carry_BD + offset_BD, replay.carry_BD)
        rounded_BD = torch.where(full_B1, carry_BD, h_BD)
        product_BD = torch.where(full_B1, 1, product_BD)
        offset_BD = torch.where(full_B1, 0, offset_BD)
        count_B = torch.where(full_B, 0, count_B)
    hidden_BD = _Rounded.apply(h_BD, rounded_BD)
    return h_BD, Replay(hidden_BD, product_BD, offset_BD, carry_BD, count_B)


def scan(a_BTD: Sequence, b_BTD: Sequence, chunk: int) -> Sequence:
    """All hidden vectors from h_0 = 0, in chunks; equal to ``advance`` bit for bit."""
    h_BTD: Sequence = _Scan.apply(a_BTD, b_BTD, chunk)
    return h_BTD


def scan_from(
    a_BTD: Sequence, b_BTD: Sequence, replay: Replay, consumed_B: PerRow, chunk: int
) -> tuple[Sequence, Replay]:
    """All hidden vectors from a carried chunk, and where the chunk stands after them.

    Args:
        a_BTD, b_BTD: coefficients; padding has a = 1 and b = 0, which changes nothing.
        replay: where the chunk stands before the first position.
        consumed_B: the number of real positions in each row.
        chunk: C, the constant that the model was configured with.
    """
    h_BTD, *last = _ScanFrom.apply(a_BTD, b_BTD, *replay, consumed_B, chunk)
    return h_BTD, Replay(*last)


class _Rounded(torch.autograd.Function):
    """The second argument's value with the first one's gradient: one function, two roundings."""

    @staticmethod
    def forward(ctx: Any, exact: Tensor, rounded: Tensor) -> Tensor:
        return rounded.clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return gradients[0], None


class _Scan(torch.autograd.Function):
    """The scan from zero; saves a and h alone, and is differentiated by the scan itself."""

    @staticmethod
    def forward(ctx: Any, a_BTD: Tensor, b_BTD: Tensor, chunk: int) -> Tensor:
        length = a_BTD.shape[1]
        chunk = max(1, min(chunk, length))  # one short chunk rounds as the beginning of a full one
        spare = -length % chunk
        a_BNCD = F.pad(a_BTD, (0, 0, 0, spare), value=1.0).unflatten(1, (-1, chunk))
        b_BNCD = F.pad(b_BTD, (0, 0, 0, spare)).unflatten(1, (-1, chunk))
        start = Replay.begin(torch.zeros_like(a_BTD[:, 0]))
        h_BTD = _scan_grid(a_BNCD, b_BNCD, start)[0].flatten(1, 2)[:, :length]
        ctx.save_for_backward(a_BTD, h_BTD)
        ctx.chunk = chunk
        return h_BTD

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None]:
        a_BTD, h_BTD = ctx.saved_tensors
        adjoint_BTD = _adjoint(a_BTD, gradients[0], ctx.chunk)
        return adjoint_BTD * _before(h_BTD), adjoint_BTD, None


class _ScanFrom(torch.autograd.Function):
    """The scan from a carried chunk; the gradient flows through the hidden vectors alone."""

    @staticmethod
    def forward(
        ctx: Any,
        a_BTD: Tensor,
        b_BTD: Tensor,
        hidden_BD: Tensor,
        product_BD: Tensor,
        offset_BD: Tensor,
        carry_BD: Tensor,
        count_B: Tensor,
        consumed_B: Tensor,
        chunk: int,
    ) -> tuple[Tensor, ...]:
        length, width = a_BTD.shape[1:]
        chunks = (chunk - 1 + length) // chunk + 1
        # Place each row on its own grid: position t stands in slot count + t.
        source_BS = torch.arange(chunks * chunk, device=a_BTD.device) - count_B[:, None]
        real_BS1 = ((source_BS >= 0) & (source_BS < length))[..., None]
        index_BSD = source_BS.clamp(0, length - 1)[..., None].expand(-1, -1, width)
        a_BNCD = torch.where(real_BS1, a_BTD.gather(1, index_BSD), 1).unflatten(1, (-1, chunk))
        b_BNCD = torch.where(real_BS1, b_BTD.gather(1, index_BSD), 0).unflatten(1, (-1, chunk))
        start = Replay(hidden_BD, product_BD, offset_BD, carry_BD, count_B)
        h_BNCD, product_BND, offset_BND, carry_BND = _scan_grid(a_BNCD, b_BNCD, start)

        slots_BT = count_B[:, None] + torch.arange(length, device=a_BTD.device)
        h_BTD = h_BNCD.flatten(1, 2).gather(1, slots_BT[..., None].expand(-1, -1, width))
        end_B = count_B + consumed_B
        rows_B = torch.arange(a_BTD.shape[0], device=a_BTD.device)
        last_B = end_B // chunk  # what follows the end in its chunk is padding: it changes nothing
        end = (
            h_BNCD[rows_B, last_B, -1],
            product_BND[rows_B, last_B],
            offset_BND[rows_B, last_B],
            carry_BND[rows_B, last_B],
            end_B % chunk,
        )
        ctx.save_for_backward(a_BTD, h_BTD, hidden_BD)
        ctx.chunk = chunk
        ctx.mark_non_differentiable(*end[1:])
        return h_BTD, *end

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        a_BTD, h_BTD, hidden_BD = ctx.saved_tensors
        g_BTD, g_last_BD = gradients[:2]
        g_BTD = torch.cat([g_BTD[:, :-1], g_BTD[:, -1:] + g_last_BD[:, None]], 1)
        adjoint_BTD = _adjoint(a_BTD, g_BTD, ctx.chunk)
        before_BTD = torch.cat([hidden_BD[:, None], h_BTD[:, :-1]], 1)
        g_hidden_BD = a_BTD[:, 0] * adjoint_BTD[:, 0]
        return (adjoint_BTD * before_BTD, adjoint_BTD, g_hidden_BD, *[None] * 6)


def _scan_grid(
    a_BNCD: Tensor, b_BNCD: Tensor, start: Replay
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Hidden vectors (B, N, C, D), and each chunk's product, offset and carry (B, N, D)."""
    chunks, chunk = a_BNCD.shape[1:3]
    ones_BMD = torch.ones_like(a_BNCD[:, 1:, 0])
    product_BND = torch.cat([start.product_BD[:, None], ones_BMD], 1)
    offset_BND = torch.cat([start.offset_BD[:, None], torch.zeros_like(ones_BMD)], 1)
    for c in range(chunk):
        product_BND = a_BNCD[:, :, c] * product_BND
        offset_BND = a_BNCD[:, :, c] * offset_BND + b_BNCD[:, :, c]
    carries = [start.carry_BD]
    for n in range(chunks - 1):
        carries.append(product_BND[:, n] * carries[-1] + offset_BND[:, n])
    carry_BND = torch.stack(carries, 1)
    h_BND = torch.cat([start.hidden_BD[:, None], carry_BND[:, 1:]], 1)
    h_BNCD = torch.empty_like(b_BNCD)
    for c in range(chunk):
        h_BND = a_BNCD[:, :, c] * h_BND + b_BNCD[:, :, c]
        h_BNCD[:, :, c] = h_BND
    return h_BNCD, product_BND, offset_BND, carry_BND


def _adjoint(a_BTD: Sequence, g_BTD: Sequence, chunk: int) -> Sequence:
    """The same recurrence backwards: adjoint_t = g_t + a_{t+1} adjoint_{t+1}."""
    after_BTD = torch.cat([a_BTD[:, 1:], torch.zeros_like(a_BTD[:, :1])], 1)
    return scan(after_BTD.flip(1), g_BTD.flip(1), chunk).flip(1)


def _before(h_BTD: Sequence) -> Sequence:
    return torch.cat([torch.zeros_like(h_BTD[:, :1]), h_BTD[:, :-1]], 1)
