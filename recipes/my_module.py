"""A module of your own, to be profiled: copy this file and put yours in.

    phalanx profile recipes/my_module.py:build

The file is imported and ``build`` is called: it is your code, with all that it does.
"""

import torch
from torch import Tensor, nn


class Tagger(nn.Module):
    """Words in, scores of tags out: a convolution over neighbours, then an LSTM."""

    def __init__(self, vocabulary: int = 5000, width: int = 128, tags: int = 17) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, width)
        self.convolution = nn.Conv1d(width, width, kernel_size=5, padding=2)
        self.lstm = nn.LSTM(width, width, batch_first=True)
        self.head = nn.Linear(width, tags)

    def forward(self, words_BT: Tensor) -> Tensor:
        """Scores (B, T, tags) of words (B, T)."""
        x_BTD = self.embedding(words_BT)
        x_BTD = torch.relu(self.convolution(x_BTD.mT).mT)
        y_BTD, _ = self.lstm(x_BTD)
        return self.head(y_BTD)


def build(batch: int = 1, seq_len: int = 128) -> tuple[nn.Module, Tensor]:
    """The module and an input of the size asked for; ``phalanx profile`` calls this."""
    return Tagger(), torch.randint(5000, (batch, seq_len))
