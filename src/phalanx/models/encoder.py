"""Encoders: mixers that look both ways, so that everything is answered in one pass."""

from typing import ClassVar

from phalanx.config import ModelConfig
from phalanx.errors import UsageError
from phalanx.layers.pooling import POOLINGS
from phalanx.mixers.registry import encoder_mixer
from phalanx.models.base import ModelState, SequenceModel, continued
from phalanx.rows import Rows
from phalanx.shapes import Column, Ids, Logits, Scores, Sequence


class Encoder(SequenceModel):
    """A bidirectional model over any stack of mixers: BERT's shape, or a bidirectional LSTM."""

    pools: ClassVar[bool] = False

    def __init__(self, config: ModelConfig) -> None:
        name = type(self).__name__
        if config.kind != "encoder":
            raise UsageError(f"{name} needs kind: encoder; given {config.kind!r}")
        if self.pools != (config.pooling is not None):
            wanted = f"one of {', '.join(POOLINGS)}" if self.pools else "none"
            raise UsageError(f"{name}: pooling is {config.pooling!r}; expected {wanted}")
        super().__init__(config, [encoder_mixer(name, config) for name in config.mixer_names])

    def forward(self, ids_BT: Ids, rows: Rows | None = None, types_BT: Ids | None = None) -> Logits:
        """Scores (B, T, outputs) at every position, in one pass."""
        return self.head(self.hidden(ids_BT, rows, types_BT=types_BT)[0])

    def hidden(
        self,
        ids_BT: Ids,
        rows: Rows | None = None,
        state: ModelState | None = None,
        *,
        undo: int = 0,
        types_BT: Ids | None = None,
    ) -> tuple[Sequence, ModelState | None]:
        """The last layer's outputs (B, T, D); arguments as SequenceModel.hidden.

        Args:
            types_BT: the type of each token, such as which text of a pair it is of; None: type 0.
        """
        rows = continued(ids_BT, rows, state)
        x_BTD = self._embed(ids_BT, rows.positions_BT, types_BT)
        return self._through(x_BTD, rows, state, undo)


class Classifier(Encoder):
    """An encoder that answers once a row, by the vectors of its positions pooled into one."""

    pools = True

    def forward(self, ids_BT: Ids, rows: Rows | None = None, types_BT: Ids | None = None) -> Scores:
        """Scores (B, outputs) of every row."""
        return self.head(self.pooled(ids_BT, rows, types_BT))

    def pooled(self, ids_BT: Ids, rows: Rows | None = None, types_BT: Ids | None = None) -> Column:
        """One vector (B, D) a row, of its real positions; zero for a row without any."""
        rows = continued(ids_BT, rows, None)
        y_BTD, _ = self.hidden(ids_BT, rows, types_BT=types_BT)
        assert self.config.pooling is not None
        return POOLINGS[self.config.pooling](y_BTD, rows)
