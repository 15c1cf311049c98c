"""Attention, softmax(Q K^T / sqrt(K)) V, by its definition and by the vendor's kernel.

Source: Vaswani et al. 2017, equation 1. Both take a mask whose True means keep, or None, and give
zero where a query may see nothing.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812  # torch's own customary name

from phalanx.shapes import Mask


def reference(
    query_BHTK: Tensor, key_BHSK: Tensor, value_BHSK: Tensor, mask_BTS: Mask | None, causal: bool
) -> Tensor:
    """Attention as the paper writes it; the truth for every other schedule.

    ``causal`` asks for the mask S <= T where ``mask_BTS`` is None. Returns (B, H, T, K).
    """
    if mask_BTS is None:
        return weights(query_BHTK, key_BHSK, None, causal) @ value_BHSK
    usable_BTS, sees_BT = usable(mask_BTS)
    mixed_BHTK = weights(query_BHTK, key_BHSK, usable_BTS, causal) @ value_BHSK
    return torch.where(sees_BT[:, None, :, None], mixed_BHTK, 0)


def weights(query_BHTK: Tensor, key_BHSK: Tensor, usable_BTS: Mask | None, causal: bool) -> Tensor:
    """softmax(Q K^T / sqrt(K)), (B, H, T, S), of queries that each see something."""
    scores_BHTS = query_BHTK @ key_BHSK.transpose(-1, -2) / math.sqrt(query_BHTK.shape[-1])
    if usable_BTS is not None:
        scores_BHTS = scores_BHTS.masked_fill(~usable_BTS[:, None], -math.inf)
    elif causal:
        mask_TS = torch.ones_like(scores_BHTS[0, 0], dtype=torch.bool).tril()
        scores_BHTS = scores_BHTS.masked_fill(~mask_TS, -math.inf)
    return scores_BHTS.softmax(-1)


def sdpa(
    query_BHTK: Tensor, key_BHSK: Tensor, value_BHSK: Tensor, mask_BTS: Mask | None, causal: bool
) -> Tensor:
    """Attention by ``torch.nn.functional.scaled_dot_product_attention``; arguments as above."""
    if mask_BTS is None:
        return F.scaled_dot_product_attention(query_BHTK, key_BHSK, value_BHSK, is_causal=causal)
    usable_BTS, sees_BT = usable(mask_BTS)
    mixed_BHTK = F.scaled_dot_product_attention(
        query_BHTK, key_BHSK, value_BHSK, attn_mask=usable_BTS[:, None]
    )
    return torch.where(sees_BT[:, None, :, None], mixed_BHTK, 0)


def usable(mask_BTS: Mask) -> tuple[Mask, Tensor]:
    """The mask with every key for a query that may see none, and which queries see any."""
    # A softmax over nothing is NaN, in its gradient too: a query that sees nothing is shown
    # everything, and its output is replaced by zero afterwards.
    sees_BT = mask_BTS.any(-1)
    return mask_BTS | ~sees_BT[..., None], sees_BT


SCHEDULES = {"reference": reference, "sdpa": sdpa}
