"""How a sentence-transformers directory makes a vector of a text: modules.json and its folders."""

import json
from pathlib import Path
from typing import Any

from phalanx.config import read_text
from phalanx.errors import UsageError
from phalanx.inference.embedding import Sentences
from phalanx.interop.huggingface.options import Options, read_object

MODULES, LIMIT = "modules.json", "sentence_bert_config.json"
_POOLINGS = {
    "pooling_mode_cls_token": "first",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_max_tokens": "max",
}


def read_sentences(path: Path, context: int) -> Sentences:
    """How the directory's texts become vectors; the mean of the positions where it says nothing.

    Raises:
        UsageError: a file is malformed, or asks for what phalanx does not have.
    """
    if not (path / MODULES).is_file():
        return Sentences(limit=context)
    modules = _modules(path / MODULES)
    kinds = [kind for kind, _ in modules]
    if kinds not in (["Transformer", "Pooling"], ["Transformer", "Pooling", "Normalize"]):
        raise UsageError(
            f"{path / MODULES}: the modules are {', '.join(kinds)[:200]}. Expected Transformer, "
            "Pooling and perhaps Normalize."
        )
    limit = context
    if (path / LIMIT).is_file():
        options = Options(read_object(path / LIMIT), str(path / LIMIT))
        options.only("do_lower_case", (False,))
        limit = min(context, options.integer("max_seq_length", context))
    return Sentences(_pooling(path / modules[1][1] / "config.json"), len(kinds) == 3, limit)


def _modules(file: Path) -> list[tuple[str, str]]:
    """The kind and the folder of each module."""
    try:
        listed = json.loads(read_text(file))
        modules = [(str(one["type"]).rpartition(".")[2], str(one["path"])) for one in listed]
    except OSError as error:
        raise UsageError(f"{file}: cannot read it: {error.strerror}.") from None
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise UsageError(
            f"{file}: no list of modules: {error}. Expected what sentence-transformers writes."
        ) from None
    for place, (_, folder) in enumerate(modules):
        if folder != ("" if place == 0 else Path(folder).name) or folder in (".", ".."):
            raise UsageError(
                f"{file}: the module {place} is in {folder[:100]!r}. Expected the model in the "
                "directory itself, and a folder of it for each other module."
            )
    return modules


def _pooling(file: Path) -> Any:
    options = Options(read_object(file), str(file))
    word = options.values.get("pooling_mode")
    chosen = [pooling for name, pooling in _POOLINGS.items() if options.values.get(name) is True]
    others = [
        name
        for name, value in options.values.items()
        if name.startswith("pooling_mode_") and value is True and name not in _POOLINGS
    ]
    if isinstance(word, str):
        chosen, others = [{"cls": "first", "mean": "mean", "max": "max"}.get(word, "")], []
    if len(chosen) != 1 or others or not chosen[0]:
        raise UsageError(
            f"{file}: expected one pooling: of the first token (cls), mean or max. Given "
            f"{', '.join([*chosen, *others]) or word or 'none'}."
        )
    return chosen[0]
