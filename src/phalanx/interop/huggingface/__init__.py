"""Models of Hugging Face, loaded and written; ``transformers`` itself is not needed."""

from phalanx.interop.huggingface.exporting import export_huggingface, opened_by
from phalanx.interop.huggingface.opening import (
    Described,
    Opened,
    describe,
    initial_weights,
    is_huggingface,
    open_huggingface,
)

__all__ = [
    "Described",
    "Opened",
    "describe",
    "export_huggingface",
    "initial_weights",
    "is_huggingface",
    "open_huggingface",
    "opened_by",
]
