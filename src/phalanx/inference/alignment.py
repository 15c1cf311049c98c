"""What a translation looked at: the weights of cross-attention, by layer and head."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from phalanx.data.tokenizers import Tokenizer
from phalanx.inference.translating import Translation, Translator, source_rows

END = "end"


@dataclass(frozen=True)
class Alignment:
    """How much each token of a translation attends to each of its source.

    Args:
        text: the source.
        translation: what it was translated to.
        source: its tokens as they can be shown, the end among them.
        target: the same of the translation. Row t of a map is where the model looked when it chose
            token t.
        maps_LHTS: of each layer the weights (heads, target tokens, source tokens), float32; rows
            add up to 1.
    """

    text: str
    translation: str
    source: tuple[str, ...]
    target: tuple[str, ...]
    maps_LHTS: tuple[Tensor, ...]

    def as_dict(self) -> dict[str, Any]:
        """The tokens and the maps, rounded to four digits, as JSON values."""
        return {
            "text": self.text,
            "translation": self.translation,
            "source": list(self.source),
            "target": list(self.target),
            "layers": [
                [[[round(x, 4) for x in row] for row in head] for head in map_HTS.tolist()]
                for map_HTS in self.maps_LHTS
            ],
        }


def align(translator: Translator, translation: Translation) -> Alignment:
    """The maps of the best translation of a text, in one pass over both sides.

    Args:
        translator: what translated it.
        translation: of a text that is not empty.
    """
    tokenizer, model = translator.tokenizer, translator.model
    device = model.embedding.weight.device
    source, written = translator.read(translation.source), translation.candidates[0].tokens
    source_BS, _ = source_rows([source], device)
    inputs_BT, _ = source_rows([[tokenizer.end_id, *written[:-1]]], device)
    maps = model.attention_maps(source_BS, inputs_BT)
    return Alignment(
        translation.source,
        translation.text,
        tuple(shown(tokenizer, token) for token in source),
        tuple(shown(tokenizer, token) for token in written),
        tuple(map_BHTS[0].to(torch.float32).cpu() for map_BHTS in maps),
    )


def shown(tokenizer: Tokenizer, token: int) -> str:
    """A token for the eye: one of spaces alone is ␣, and a part of a character its bytes."""
    if token == tokenizer.end_id:
        return END
    data = tokenizer.bytes_of(token)
    try:
        text = data.decode()
        return text.strip(" ") or "␣" * len(text)
    except UnicodeDecodeError:
        return data.hex(" ")
