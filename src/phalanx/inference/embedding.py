"""Texts to vectors: an encoder's positions pooled to one vector a text, for search and clustering.

Source: Reimers and Gurevych 2019 (Sentence-BERT).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from phalanx.data.length_batches import in_order, padded
from phalanx.data.tokenizers import Tokenizer
from phalanx.data.wrapping import wrapped
from phalanx.inference.passes import PASS_POSITIONS
from phalanx.layers.pooling import POOLINGS
from phalanx.models import Encoder
from phalanx.rows import Rows


@dataclass(frozen=True)
class Sentences:
    """How a vector is made of a text.

    Args:
        pooling: of the first position, their mean, or the largest value of each coordinate.
        normalize: whether the vector has length one, so that a product is a cosine.
        limit: tokens of a text at most, [CLS] and [SEP] among them; what is behind is not read.
            None: as many as the model's context holds.
    """

    pooling: Literal["first", "mean", "max"] = "mean"
    normalize: bool = False
    limit: int | None = None


@torch.inference_mode()
def embed(
    model: Encoder, tokenizer: Tokenizer, texts: Sequence[str], how: Sentences | None = None
) -> NDArray[np.float32]:
    """A vector for each text, (N, D) in their order; a text's does not depend on the others.

    Texts of about the same length are read together.

    Args:
        model: in evaluation mode.
        tokenizer: the one that it was trained with.
        texts: each becomes one vector.
        how: see ``Sentences``.

    Raises:
        UsageError: a text has a lone surrogate, which UTF-8 cannot hold.
    """
    how = how or Sentences()
    limit = min(how.limit or model.config.context, model.config.context)
    inputs = [
        np.array(wrapped(tokenizer, ids.tolist(), limit=limit).ids, dtype=np.int64)
        for ids in tokenizer.encode_each(texts)
    ]
    vectors_ND = np.zeros((len(texts), model.config.width), dtype=np.float32)
    lengths_N = np.array([len(ids) for ids in inputs], dtype=np.int64)
    for places in in_order(lengths_N, PASS_POSITIONS):
        y_BD = _pooled(model, [inputs[place] for place in places], how)
        vectors_ND[places] = y_BD.float().cpu().numpy()
    return vectors_ND


def _pooled(model: Encoder, inputs: list[NDArray[np.int64]], how: Sentences) -> torch.Tensor:
    device = model.embedding.weight.device
    ids_BT, lengths_B = padded(inputs)
    if not ids_BT.shape[1]:  # texts without a token
        return torch.zeros(len(inputs), model.config.width)
    rows = Rows.padded(lengths_B.to(device), ids_BT.shape[1])
    y_BTD, _ = model.hidden(ids_BT.to(device), rows)
    y_BD = POOLINGS[how.pooling](y_BTD, rows)
    return torch.nn.functional.normalize(y_BD, dim=-1) if how.normalize else y_BD
