"""A small run of every task but language modelling, with all that draws or weighs turned on."""

from pathlib import Path
from typing import Any

import numpy as np

from phalanx.config import RunConfig

WORDS = ("cat", "dog", "tree", "house", "river", "stone", "cloud", "bird")
TASKS = ("classification", "tagging", "translation", "masked_lm")
_DATA: dict[str, dict[str, Any]] = {
    "classification": {"vocabulary": 300},
    "tagging": {"vocabulary": 300},
    "translation": {"tokenizer": "words"},
    "masked_lm": {"vocabulary": 300},
}
_TRAIN: dict[str, dict[str, Any]] = {
    "classification": {"token_dropout": 0.2, "class_weights": "balanced", "batch_tokens": 90},
    "tagging": {"token_dropout": 0.2, "class_weights": "balanced", "batch_tokens": 120},
    "translation": {"batch_tokens": 60},
    "masked_lm": {"batch_size": 7, "sequence_length": 12},
}


def write(task: str, folder: Path, rows: int = 40) -> Path:
    """A file for a task, of rows of one to nine words."""
    draws = np.random.default_rng(3)
    texts = [list(draws.choice(WORDS, draws.integers(1, 10))) for _ in range(rows)]
    lines: list[str] = []
    if task == "classification":
        lines = [
            "label,text",
            *(f"{'animal' if 'cat' in t else 'none'},{' '.join(t)}" for t in texts),
        ]
    elif task == "tagging":
        for text in texts:
            lines += [*(f"{word}\t{'B-pet' if word in WORDS[:2] else 'O'}" for word in text), ""]
    elif task == "translation":
        lines = ["source\ttarget"]
        lines += [f"{' '.join(text)}\t{' '.join(text[::-1]).upper()}" for text in texts]
    else:
        lines = [" ".join(text) + "." for text in texts * 3]
    suffix = {"classification": "csv", "tagging": "conll", "translation": "tsv"}.get(task, "txt")
    path = folder / f"{task}.{suffix}"
    path.write_text("\n".join(lines) + "\n")
    return path


def config(task: str, path: Path, **changes: Any) -> RunConfig:
    """A run on what ``write`` wrote; ``train`` and ``model`` go over what is set here."""
    train = {
        "steps": 10,
        "sequence_length": 24,
        "micro_batch_size": 3,
        "evaluate_every": 4,
        "average": 0.7,
        "label_smoothing": 0.1,
        "precision": "float32",
        **_TRAIN[task],
        **changes.pop("train", {}),
    }
    own = {} if "init" in changes else {"width": 16, "layers": 1}
    model = {**own, "dropout": 0.1, **changes.pop("model", {})}
    values = {
        "task": task.replace("_", "-"),
        "seed": 5,
        "device": "cpu",
        "data": {"paths": [str(path)], **_DATA[task]},
        "train": train,
        "model": model,
        **changes,
    }
    return RunConfig.model_validate(values)
