"""One small tokenizer of every sort that is read, made from the same text."""

import json
import re
from pathlib import Path
from typing import Any

import tokenizers as library

from phalanx.data.tokenizers import Tokenizer, train_tokenizer
from phalanx.data.tokenizers.files import bert_description

CORPUS = (Path(__file__).parents[1] / "goldens" / "corpus.txt").read_text(encoding="utf-8")[:20_000]
BERT_SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
# Llama 3's pattern, and the step that follows it.
LLAMA_3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|"
    r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def wrap(description: dict[str, Any]) -> Tokenizer:
    return Tokenizer(library.Tokenizer.from_str(json.dumps(description)))


def words(*more: str) -> str:
    """A vocabulary of whole words, letters and their continuations, as BERT's ``vocab.txt``."""
    letters = sorted({c for c in CORPUS.lower() if not c.isspace()})
    inside = ["##" + c for c in letters if c.isalnum()]
    common = sorted(set(re.findall(r"[a-z]{2,}", CORPUS.lower())))[:100]
    return "\n".join([*BERT_SPECIAL, *letters, *inside, *common, "##ing", *more]) + "\n"


def llama_3() -> Tokenizer:
    """Byte-level BPE behind a pattern of its own, its special tokens outside the model."""
    spec = json.loads(train_tokenizer("bpe", [CORPUS], 400).library.to_str())
    splitter = {**spec["pre_tokenizer"], "use_regex": False}
    pattern = {"type": "Split", "pattern": {"Regex": LLAMA_3}, "behavior": "Isolated"}
    spec["pre_tokenizer"] = {
        "type": "Sequence",
        "pretokenizers": [{**pattern, "invert": False}, splitter],
    }
    [end] = spec["added_tokens"]
    begin = {**end, "id": end["id"] + 1, "content": "<|begin_of_text|>"}
    spec["added_tokens"] = [{**end, "content": "<|end_of_text|>"}, begin]
    spec["model"]["ignore_merges"] = True
    return wrap(spec)


def llama_2(metaspace: bool = False) -> Tokenizer:
    """BPE of characters with byte fallback, as converted from SentencePiece.

    Args:
        metaspace: the spaces are replaced by a pre-tokenizer, as newer conversions do, and not by
            normalizers.
    """
    raw = library.Tokenizer(library.models.BPE())
    raw.pre_tokenizer = library.pre_tokenizers.Metaspace()
    raw.train_from_iterator(
        [CORPUS], library.trainers.BpeTrainer(vocab_size=300, show_progress=False)
    )
    model = json.loads(raw.to_str())["model"]
    learned = sorted(model["vocab"], key=model["vocab"].__getitem__)
    tokens = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), *learned]
    plain = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    spec = json.loads(raw.to_str())
    spec["model"] = {
        **model,
        "vocab": {token: index for index, token in enumerate(tokens)},
        "unk_token": "<unk>",
        "fuse_unk": True,
        "byte_fallback": True,
    }
    spec["added_tokens"] = [
        {"id": index, "content": tokens[index], **plain, "special": True} for index in range(3)
    ]
    spec["pre_tokenizer"] = None
    if metaspace:
        step = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": False}
        spec["pre_tokenizer"] = step
    else:
        replace = {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}
        steps = [{"type": "Prepend", "prepend": "▁"}, replace]
        spec["normalizer"] = {"type": "Sequence", "normalizers": steps}
    spec["decoder"] = {
        "type": "Sequence",
        "decoders": [
            {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
            {"type": "ByteFallback"},
            {"type": "Fuse"},
            {"type": "Strip", "content": " ", "start": 1, "stop": 0},
        ],
    }
    return wrap(spec)


SMALL = {
    "bytes": train_tokenizer("bytes", []),
    "characters": train_tokenizer("characters", [CORPUS]),
    "lowered": train_tokenizer("characters", [CORPUS], lowercase=True, mask=True),
    "words": train_tokenizer("words", [CORPUS], 400, mask=True),
    "wordpiece": train_tokenizer("wordpiece", [CORPUS], 300, lowercase=True),
    "bpe": train_tokenizer("bpe", [CORPUS], 300),
    "llama_3": llama_3(),
    "llama_2": llama_2(),
    "metaspace": llama_2(metaspace=True),
    "bert": wrap(bert_description(words())),
}
