"""Turning one sequence into another, learned by teacher forcing: all positions in one pass.

The target is read behind the token that ends a text, which also ends it: position t is given the
true tokens before it and the whole source, whatever the model would have said itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from phalanx.data.batches import IGNORED
from phalanx.data.length_batches import in_order, padded
from phalanx.data.samples import Pair
from phalanx.data.tokenizers import Tokenizer
from phalanx.inference.passes import PASS_POSITIONS, evaluating
from phalanx.models import EncoderDecoder
from phalanx.rows import Rows
from phalanx.shapes import Ids, PerRow, SourceIds
from phalanx.tasks.batch import TensorBatch, Total
from phalanx.tasks.positions import total_of


@dataclass(frozen=True)
class Batch(TensorBatch):
    """Sources and their targets.

    Args:
        source_BS: int64 tokens, the end among them; any valid token at padding.
        inputs_BT: int64: the end's token, and then the target's.
        targets_BT: int64: the target's tokens and the end's; ``IGNORED`` at padding.
        source_lengths_B: int64, tokens of each source; None where every row is full.
        lengths_B: the same of the inputs.
        samples_B: int64, the number of each pair.
    """

    source_BS: SourceIds
    inputs_BT: Ids
    targets_BT: Ids
    source_lengths_B: PerRow | None = None
    lengths_B: PerRow | None = None
    samples_B: PerRow | None = None

    @property
    def source_rows(self) -> Rows | None:
        """The sources' rows as the model takes them."""
        return _rows(self.source_BS, self.source_lengths_B)

    @property
    def rows(self) -> Rows | None:
        """The targets' rows as the model takes them."""
        return _rows(self.inputs_BT, self.lengths_B)

    @property
    def answers(self) -> int:
        """How many answers are wanted."""
        return int((self.targets_BT != IGNORED).sum())

    @property
    def tokens(self) -> int:
        """Real tokens that are read, sources and targets."""
        pairs = (self.source_BS, self.source_lengths_B), (self.inputs_BT, self.lengths_B)
        return sum(ids.numel() if many is None else int(many.sum()) for ids, many in pairs)


@dataclass(frozen=True)
class TokenPairs:
    """Pairs of sentences as tokens.

    Args:
        sources: int32 of each: its text and the end.
        targets: int32 of each: its text and the end, or without it where it was cut.
        cut: pairs of which something was cut off.
    """

    sources: tuple[NDArray[np.int32], ...]
    targets: tuple[NDArray[np.int32], ...]
    cut: int = 0

    @classmethod
    def of(cls, tokenizer: Tokenizer, pairs: Sequence[Pair], longest: int) -> "TokenPairs":
        """The tokens of pairs, cut to ``longest``; a source keeps its end.

        Raises:
            UsageError: a text with a lone surrogate.
        """
        end = np.array([tokenizer.end_id], dtype=np.int32)
        sources, targets, cut = [], [], 0
        texts = zip(
            tokenizer.encode_each([pair.source for pair in pairs]),
            tokenizer.encode_each([pair.target for pair in pairs]),
            strict=True,
        )
        for source, target in texts:
            sources.append(np.concatenate([source[: longest - 1], end]))
            targets.append(np.concatenate([target, end])[:longest])
            cut += max(len(source), len(target)) >= longest
        return cls(tuple(sources), tuple(targets), cut)

    def within(self, most: int | None) -> "TokenPairs":
        """Pairs that lie evenly over these and have about ``most`` tokens; None: all of them."""
        stride = 1 if most is None else max(1, -(-int(self.lengths_N2.sum()) // most))
        return TokenPairs(self.sources[::stride], self.targets[::stride], self.cut)

    @property
    def lengths_N2(self) -> NDArray[np.int64]:
        """Tokens of each source and target."""
        return np.array(
            [(len(s), len(t)) for s, t in zip(self.sources, self.targets, strict=True)],
            dtype=np.int64,
        ).reshape(-1, 2)

    def batch(self, rows_B: NDArray[np.int64], end_id: int) -> Batch:
        """The pairs of these numbers side by side."""
        source_BS, source_lengths_B = padded([self.sources[row] for row in rows_B])
        targets = [self.targets[row] for row in rows_B]
        targets_BT, lengths_B = padded(targets, IGNORED)
        inputs_BT, _ = padded([np.concatenate([[end_id], ids[:-1]]) for ids in targets])
        return Batch(
            source_BS,
            inputs_BT,
            targets_BT,
            _unless_full(source_lengths_B, source_BS),
            _unless_full(lengths_B, inputs_BT),
            torch.from_numpy(rows_B),
        )


def total(model: EncoderDecoder, batch: Batch, label_smoothing: float = 0.0) -> Total:
    """The summed cross entropy, in nats, of all target tokens of a batch in one pass.

    ``label_smoothing``: see ``positions.total``; 0.1 in the paper of the 2017 Transformer.
    """
    memory = model.encode(batch.source_BS, batch.source_rows)
    y_BTD, _ = model.hidden(batch.inputs_BT, batch.rows, memory=memory)
    return total_of(model, y_BTD, batch.targets_BT, label_smoothing)


@torch.no_grad()
def mean_loss(model: EncoderDecoder, pairs: TokenPairs, end_id: int) -> float:
    """Nats per target token, the ends among them, each token counted once.

    The model is put into evaluation mode meanwhile.
    """
    device = model.embedding.weight.device
    nats, answers = 0.0, 0
    with evaluating(model):
        for rows in in_order(pairs.lengths_N2, PASS_POSITIONS):
            batch = pairs.batch(rows, end_id)
            nats += float(total(model, batch.to(device)).nats.double())
            answers += batch.answers
    return nats / answers


def _rows(ids_BT: Ids, lengths_B: PerRow | None) -> Rows | None:
    return None if lengths_B is None else Rows.padded(lengths_B, ids_BT.shape[1])


def _unless_full(lengths_B: PerRow, ids_BT: Ids) -> PerRow | None:
    return None if int(lengths_B.min()) == ids_BT.shape[1] else lengths_B
