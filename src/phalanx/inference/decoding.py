"""What a model carries from token to token, and the calls that advance it."""

from collections.abc import Sequence

import torch
from torch import Tensor

from phalanx.config import ModelConfig
from phalanx.inference.noise import request_keys
from phalanx.inference.sampling import Chooser, Greedy
from phalanx.models import Decoder
from phalanx.models.base import ModelState
from phalanx.rows import Rows
from phalanx.shapes import PerRow


def context_limit(config: ModelConfig) -> int | None:
    """Positions that a model can stand on, or None where there is no limit.

    A recurrent state has no length. Attention beyond the distances that it was trained on, and
    positions beyond a table, are limited by ``context``; attention within a window that fits into
    it never looks further.
    """
    window = config.attention.window
    far = "attention" in config.mixer_names and (window is None or window > config.context)
    table = config.positions in ("learned", "sinusoidal")
    return config.context if far or table else None


def kept_from(count: int, size: int) -> int:
    """Where the kept part of ``count`` tokens begins, with room for ``size``: 0 while they fit.

    Whenever one token more than ``size`` has to be read, the oldest half of ``size`` goes. This is
    a function of the two numbers alone, so what a row sees depends on nothing beside it.
    """
    half = max(size // 2, 1)
    return max(-(-(count - size) // half), 0) * half


class Decoding:
    """Generation under way: what the model carries, and the kinds of calls that advance it.

    ``prefill`` once, then ``step`` with the tokens that the call before it returned; ``reread``
    for rows that have no room left. Tokens stay on the model's device; no call waits for the host.
    Put all under ``torch.inference_mode`` so that the state is written in place.

    Args:
        model: the decoder.
        prompts: one list of token ids a row, none of them empty; of one longer than ``capacity``
            only the end is read (``kept_from``).
        capacity: positions that a row may take, its prompt included.
        chooser: how a token is chosen; None: greedily.
        seed: fixes what is drawn, whatever shares the batch.
        samples: the number of the sample that each row is (0 for all where None): rows of the
            same prompt, seed and number give the same tokens.
    """

    def __init__(
        self,
        model: Decoder,
        prompts: Sequence[Sequence[int]],
        capacity: int,
        *,
        chooser: Chooser | None = None,
        seed: int = 0,
        samples: Sequence[int] | None = None,
    ) -> None:
        self._model = model
        self._chooser = chooser or Greedy()
        self._capacity = capacity
        self._device = model.embedding.weight.device
        self._ids_BT, self._rows = self._windows(prompts)
        self._dropped_B = self._dropped(prompts)
        self._seen_BV = self._seen(prompts) if self._chooser.wants_seen else None
        numbers = list(samples) if samples is not None else [0] * len(prompts)
        self._keys_B = request_keys(seed, self._tensor(numbers))
        self._state = model.empty_state(len(prompts), capacity)

    def prefill(self) -> PerRow:
        """Read all prompts in one parallel pass; return the first new token of each row."""
        logits_BV, self._state = self._read(self._ids_BT, self._rows, self._state)
        return self._choose(logits_BV)

    def step(self, tokens_B: PerRow, active_B: PerRow | None = None) -> PerRow:
        """Read one token a row; return the next. Rows that are not active stand still."""
        if self._seen_BV is not None:
            new_B1 = torch.ones_like(tokens_B[:, None], dtype=torch.bool)
            if active_B is not None:
                new_B1 = active_B[:, None] | self._seen_BV.gather(1, tokens_B[:, None])
            self._seen_BV = self._seen_BV.scatter(1, tokens_B[:, None], new_B1)
        logits_BV, self._state = self._model.step(tokens_B, self._state, active_B)
        return self._choose(logits_BV)

    def reread(
        self, tokens_B: PerRow, rows: Sequence[int], texts: Sequence[Sequence[int]]
    ) -> PerRow:
        """Begin rows anew with what is kept of their texts, read in one parallel pass.

        Args:
            tokens_B: the tokens that ``step`` returned, those rows not active in it.
            rows: the rows.
            texts: all the tokens of each of them, prompt and new ones.

        Returns:
            ``tokens_B`` with the next token of those rows.
        """
        rows_N = self._tensor(rows)
        ids_NT, padded = self._windows(texts)
        fresh = self._model.empty_state(len(rows), self._capacity)
        logits_NV, fresh = self._read(ids_NT, padded, fresh)
        self._state = self._state.put(rows_N, fresh)
        self._dropped_B = self._dropped_B.index_copy(0, rows_N, self._dropped(texts))
        if self._seen_BV is not None:
            self._seen_BV = self._seen_BV.index_copy(0, rows_N, self._seen(texts))
        return tokens_B.index_copy(0, rows_N, self._choose(logits_NV, rows_N))

    def _read(self, ids_BT: Tensor, rows: Rows, state: ModelState) -> tuple[Tensor, ModelState]:
        """Scores (B, V) behind the last real position of each row, and the state there."""
        y_BTD, after = self._model.hidden(ids_BT, rows, state)
        assert after is not None
        # Only the last position of each row is asked for its scores.
        last_B11 = (rows.consumed_B() - 1)[:, None, None]
        y_BD = y_BTD.gather(1, last_B11.expand(-1, 1, y_BTD.shape[2]))[:, 0]
        return self._model.head(y_BD), after

    def _choose(self, logits_NV: Tensor, rows_N: Tensor | None = None) -> PerRow:
        """The next token of all rows, or of some. What was dropped still counts as a position: no
        two tokens of a row are drawn with the same numbers."""
        about = [self._keys_B, self._state.length_B + self._dropped_B, self._seen_BV]
        if rows_N is not None:
            about = [None if given is None else given[rows_N] for given in about]
        keys_N, positions_N, seen_NV = about
        assert keys_N is not None
        assert positions_N is not None
        return self._chooser.choose(logits_NV, keys_N, positions_N, seen_NV)

    def _windows(self, texts: Sequence[Sequence[int]]) -> tuple[Tensor, Rows]:
        """What is kept of each text, side by side, and which of it is real."""
        kept = [text[kept_from(len(text), self._capacity) :] for text in texts]
        lengths = [len(text) for text in kept]
        longest = max(lengths)
        ids_BT = self._tensor([[*text, *[0] * (longest - len(text))] for text in kept])
        if len(set(lengths)) > 1:
            return ids_BT, Rows.padded(self._tensor(lengths), longest)
        return ids_BT, Rows.full(len(kept), longest, self._device)

    def _dropped(self, texts: Sequence[Sequence[int]]) -> PerRow:
        return self._tensor([kept_from(len(text), self._capacity) for text in texts])

    def _seen(self, texts: Sequence[Sequence[int]]) -> Tensor:
        """True at the tokens of each text (B, V), those dropped among them."""
        seen_BV = torch.zeros(len(texts), self._model.config.vocabulary, dtype=torch.bool)
        for row, text in enumerate(texts):
            seen_BV[row, list(text)] = True
        return seen_BV.to(self._device)

    def _tensor(self, numbers: Sequence[object]) -> Tensor:
        return torch.tensor(numbers, device=self._device)
