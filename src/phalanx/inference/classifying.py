"""Labels for whole texts: an encoder reads a text once and answers once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from phalanx.data.length_batches import in_order, padded
from phalanx.data.tokenizers import Tokenizer
from phalanx.data.wrapping import wrapped
from phalanx.inference.passes import PASS_POSITIONS, check_scores, evaluating
from phalanx.rows import Rows

Text = str | tuple[str, str]
"""A text, or a pair of texts that is judged together."""


@dataclass(frozen=True)
class Inputs:
    """Texts as the model reads them.

    Args:
        ids: of each text, int32; at least one.
        types: of each id, the text of a pair that it belongs to (0 or 1), int8; None where no text
            is a pair.
        cut: how many texts were longer than the model reads and lost their end.
    """

    ids: tuple[NDArray[np.int32], ...]
    types: tuple[NDArray[np.int8], ...] | None
    cut: int

    @property
    def lengths_N(self) -> NDArray[np.int64]:
        """Tokens of each text."""
        return np.array([len(ids) for ids in self.ids], dtype=np.int64)

    def batch(
        self, rows_N: Sequence[int] | NDArray[np.integer[Any]]
    ) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """Tokens (B, T) of the given texts, their lengths (B,) and types (B, T), all int64.

        The lengths are None where no row is padded, the types where no text is a pair.
        """
        ids_BT, lengths_B = padded([self.ids[row] for row in rows_N])
        full = int(lengths_B.min()) == ids_BT.shape[1]
        types_BT = None if self.types is None else padded([self.types[row] for row in rows_N])[0]
        return ids_BT, None if full else lengths_B, types_BT


def encode(tokenizer: Tokenizer, texts: Sequence[Text], limit: int) -> Inputs:
    """Texts, or pairs of them, as inputs of ``limit`` tokens at most.

    A longer text loses its end; of a pair the longer text does. A text without a token is read as
    the tokenizer's end alone.

    Raises:
        UsageError: a text has a lone surrogate, which UTF-8 cannot hold.
    """
    firsts = tokenizer.encode_each([text if isinstance(text, str) else text[0] for text in texts])
    pairs = any(not isinstance(text, str) for text in texts)
    seconds = tokenizer.encode_each(["" if isinstance(text, str) else text[1] for text in texts])
    found, types, cut = [], [], 0
    for text, first, second in zip(texts, firsts, seconds, strict=True):
        pair_ids = None if isinstance(text, str) else second.tolist()
        whole = wrapped(tokenizer, first.tolist(), pair_ids)
        if len(whole.ids) > limit:
            whole = wrapped(tokenizer, first.tolist(), pair_ids, limit=limit)
            cut += 1
        found.append(np.array(whole.ids or [tokenizer.end_id], dtype=np.int32))
        types.append(np.array(whole.types or [0], dtype=np.int8))
    return Inputs(tuple(found), tuple(types) if pairs else None, cut)


@torch.no_grad()
def scores(model: Any, inputs: Inputs) -> Tensor:
    """The model's scores of each text before the softmax: (N, outputs), float32, on the CPU.

    Texts of about one length share a pass; the order is that of ``inputs``. The model is left in
    the mode in which it was.
    """
    device = model.embedding.weight.device
    found_NC = torch.empty(len(inputs.ids), model.config.outputs)
    with evaluating(model):
        for rows_N in in_order(inputs.lengths_N, PASS_POSITIONS):
            scores_BC = model(*on_device(model, inputs.batch(rows_N), device))
            found_NC[torch.from_numpy(rows_N)] = scores_BC.float().cpu()
    return found_NC


def on_device(
    model: Any, batch: tuple[Tensor, Tensor | None, Tensor | None], device: torch.device
) -> tuple[Tensor, Rows | None, Tensor | None]:
    """A batch of ``Inputs`` as a classifier takes it: types only where it has a table of them."""
    ids_BT, lengths_B, types_BT = batch
    rows = None if lengths_B is None else Rows.padded(lengths_B.to(device), ids_BT.shape[1])
    typed = types_BT is not None and model.config.token_types > 0
    return ids_BT.to(device), rows, types_BT.to(device) if typed and types_BT is not None else None


@dataclass(frozen=True)
class Classification:
    """What a model says of a text.

    Args:
        label: the likeliest.
        probability: the model's of that label.
        labels: all that it knows.
        probabilities_C: of each of them, float32.
    """

    label: str
    probability: float
    labels: tuple[str, ...]
    probabilities_C: NDArray[np.float32]

    @property
    def probabilities(self) -> Mapping[str, float]:
        """The probability of every label, the likeliest first."""
        return dict(self.top(len(self.labels)))

    def top(self, count: int) -> list[tuple[str, float]]:
        """The ``count`` likeliest labels and their probabilities, the likeliest first."""
        order = np.argsort(-self.probabilities_C, kind="stable")[:count]
        return [(self.labels[i], float(self.probabilities_C[i])) for i in order]


def classify(
    model: Any, tokenizer: Tokenizer, labels: Sequence[str], texts: Sequence[Text]
) -> list[Classification]:
    """The label of each text, in their order; none depends on what else is asked.

    Args:
        model: a classifier.
        tokenizer: of its inputs.
        labels: of its outputs.
        texts: texts, or pairs; cut to the model's context, see ``encode``.

    Raises:
        UsageError: a text has a lone surrogate.
        PhalanxError: the scores are not numbers.
    """
    inputs = encode(tokenizer, texts, model.config.context)
    return classifications(labels, scores(model, inputs))


def classifications(labels: Sequence[str], scores_NC: Tensor) -> list[Classification]:
    """Scores before the softmax, as labels with their probabilities.

    Raises:
        PhalanxError: a score is not a number.
    """
    check_scores(scores_NC)
    names = tuple(labels)
    probabilities_NC = scores_NC.softmax(-1).numpy()
    best_N = probabilities_NC.argmax(-1)
    return [
        Classification(names[best], float(shares_C[best]), names, shares_C)
        for best, shares_C in zip(best_N, probabilities_NC, strict=True)
    ]
