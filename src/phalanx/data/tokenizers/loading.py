"""Tokenizers that exist: tokenizer.json, GPT-2's vocab.json and merges.txt, BERT's vocab.txt.

Such files come from anywhere. Sizes are bounded before anything is read, and shapes are checked
before the ``tokenizers`` library sees them: what it cannot handle would end in a panic.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from phalanx.data.tokenizers.files import bert_description, gpt2_description
from phalanx.data.tokenizers.kinds import steps
from phalanx.data.tokenizers.library import parse
from phalanx.data.tokenizers.tokenizer import FILE_NAME, Tokenizer
from phalanx.errors import UsageError

VOCAB, MERGES, WORDS = "vocab.json", "merges.txt", "vocab.txt"
LARGEST_FILE = 2**26  # bytes; Gemma's 262,144 tokens take 33 MB
LARGEST_VOCABULARY = 2**20
# Those that take any text without a panic, whatever their settings.
SPLITTERS = {
    "BertPreTokenizer",
    "ByteLevel",
    "CharDelimiterSplit",
    "Digits",
    "Metaspace",
    "Punctuation",
    "Split",
    "UnicodeScripts",
    "Whitespace",
    "WhitespaceSplit",
}

_EXPECTED = (
    f"Expected a {FILE_NAME}, GPT-2's {VOCAB} with {MERGES} beside it, or BERT's {WORDS}, or a "
    "directory that holds one of them."
)


def load_tokenizer(path: str | Path) -> Tokenizer:
    """Read an existing tokenizer.

    Args:
        path: a ``tokenizer.json``; GPT-2's ``vocab.json`` or ``merges.txt``, the other beside it
            (or ``gpt2_vocab.json`` and ``gpt2_merges.txt``: any common beginning); BERT's
            ``vocab.txt``; or a directory with one of these, looked for in this order.

    Raises:
        UsageError: nothing there, malformed, too large, or of a sort that is not supported.
    """
    file = _find(Path(path))
    try:
        return Tokenizer(parse(_description(file)))
    except UsageError as error:
        raise UsageError(f"{file}: {error}") from None


def _find(path: Path) -> Path:
    """The file to begin with."""
    if not path.is_dir():
        if not path.is_file():
            raise UsageError(f"No tokenizer at {path}. {_EXPECTED} Check the path.")
        return path
    for pattern in (FILE_NAME, f"*{VOCAB}", f"*{WORDS}"):
        found = sorted(file for file in path.glob(pattern) if file.is_file())
        if len(found) > 1:
            names = ", ".join(file.name for file in found[:5])
            raise UsageError(
                f"{path} holds more than one tokenizer: {names}. Expected one. Name the file."
            )
        if found:
            return found[0]
    raise UsageError(f"No tokenizer at {path}. {_EXPECTED} Check the path.")


def _description(file: Path) -> str:
    """The content of a ``tokenizer.json``, or what it would be."""
    if file.name.endswith(MERGES):
        file = _beside(file, MERGES, VOCAB)
    elif file.suffix == ".txt":
        description = bert_description(_read(file))
        _check_vocabulary(description["model"]["vocab"])
        return json.dumps(description)
    content = _read(file)
    values = _json(content)
    if not isinstance(values.get("model"), dict):  # "model" is a token of GPT-2's as well
        if file.name.endswith(VOCAB):
            _check_vocabulary(values)
            return json.dumps(gpt2_description(values, _read(_beside(file, VOCAB, MERGES))))
        raise UsageError(f"this is not a tokenizer: it has no 'model'. {_EXPECTED}")
    _check(values)
    return content


def _beside(file: Path, ending: str, wanted: str) -> Path:
    other = file.with_name(file.name.removesuffix(ending) + wanted)
    if not other.is_file():
        raise UsageError(f"it needs {other.name} beside it. {_EXPECTED}")
    return other


def _read(file: Path) -> str:
    try:
        with file.open("rb") as stream:
            data = stream.read(LARGEST_FILE + 1)
        content = data.decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"Cannot read {file}: {error}. Expected UTF-8 text. Check the file and its permissions."
        ) from None
    if len(data) > LARGEST_FILE:
        raise UsageError(
            f"{file.name} has more than {LARGEST_FILE // 2**20} MiB. Expected the file of a "
            "tokenizer, which is smaller. Check that this is the right file."
        )
    return content


def _json(content: str) -> dict[str, Any]:
    try:
        values = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise UsageError(
            f"this is not JSON ({error}). {_EXPECTED} It may be cut short: copy it again."
        ) from None
    if not isinstance(values, dict):
        raise UsageError(f"this is not a tokenizer: it has no 'model'. {_EXPECTED}")
    return values


def _check_vocabulary(vocab: Mapping[Any, Any]) -> None:
    if not vocab:
        raise UsageError("the vocabulary is empty. Expected tokens. Copy the file again.")
    if len(vocab) > LARGEST_VOCABULARY:
        raise UsageError(
            f"the vocabulary has {len(vocab):,} tokens. Expected at most {LARGEST_VOCABULARY:,}. "
            "Check that this is the right file."
        )
    for token, index in vocab.items():
        if type(index) is not int or not 0 <= index < LARGEST_VOCABULARY:
            raise UsageError(
                f"the token {token[:60]!r} has the id {str(index)[:60]!r}. Expected a whole number "
                f"from 0 to {LARGEST_VOCABULARY - 1:,}. {_EXPECTED}"
            )


def _check(spec: dict[str, Any]) -> None:
    """Refuse what would make the library panic, or take memory without bound."""
    model = spec["model"]
    if not isinstance(model.get("vocab"), dict):
        raise UsageError(
            f"a tokenizer of the sort {model.get('type', 'Unigram')!s:.40} is not supported. "
            "Expected byte-level BPE, BPE with byte fallback, or WordPiece."
        )
    _check_vocabulary(model["vocab"])
    if "max_input_chars_per_word" not in model:
        affixes = [model.get("continuing_subword_prefix"), model.get("end_of_word_suffix")]
        if any(affixes):
            raise UsageError(
                f"its tokens are marked by {' and '.join(map(repr, filter(None, affixes)))} inside "
                "a word or at its end, which is not supported. Expected byte-level BPE without."
            )
    for step in steps(spec, "normalizer"):
        if step["type"] == "Precompiled":
            raise UsageError(
                "it normalizes by a precompiled table of SentencePiece, which is not supported. "
                "Expected a tokenizer such as GPT-2's, Llama's or BERT's."
            )
    for step in steps(spec, "pre_tokenizer"):
        if step["type"] not in SPLITTERS:
            raise UsageError(
                f"it splits text by {step['type'][:40]!r}, which is not supported. Expected one of "
                f"{', '.join(sorted(SPLITTERS))}."
            )
