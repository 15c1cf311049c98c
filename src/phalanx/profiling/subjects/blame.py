"""Where somebody else's code went wrong, for a message instead of our traceback."""

import traceback
from pathlib import Path

import torch

_OURS = Path(__file__).resolve().parents[1]
_TORCH = Path(torch.__file__).resolve().parent
_LONGEST = 400


def blame(error: BaseException) -> str:
    """``"ValueError: bad width (model.py, line 12, in forward)"``: what was raised, and the last
    line outside torch and this library that led there."""
    text = " ".join(str(error).split())
    text = text if len(text) <= _LONGEST else text[:_LONGEST] + " ..."
    what = f"{type(error).__name__}: {text}" if text else type(error).__name__
    if isinstance(error, SyntaxError) and error.filename:
        return f"{what}"
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        file = Path(frame.filename)
        if file.is_absolute() and (_OURS in file.parents or _TORCH in file.parents):
            continue
        if frame.filename.startswith("<frozen"):
            continue
        return f"{what} ({frame.filename}, line {frame.lineno}, in {frame.name})"
    return what
