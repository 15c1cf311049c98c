"""GPT-2's two files and BERT's one, turned into the description that ``tokenizer.json`` holds."""

from typing import Any

from phalanx.data.tokenizers.vocabulary import END_NAMES, SPECIAL_NAMES
from phalanx.errors import UsageError

_UNKNOWN_WORD = "[UNK]"
BERT_SPECIAL = ("[PAD]", _UNKNOWN_WORD, "[CLS]", "[SEP]", "[MASK]")
_GPT_SPECIAL = ("<unk>", *END_NAMES, *(name for role in SPECIAL_NAMES.values() for name in role))


def gpt2_description(vocab: dict[str, int], merges: str) -> dict[str, Any]:
    """Describe a byte-level BPE by its ``vocab.json`` and the text of its ``merges.txt``.

    Source: Radford et al. 2019; the files of ``openai-community/gpt2``. The merges are lines of two
    tokens with a space between them, after an optional first line ``#version``.

    Raises:
        UsageError: a line is not a merge, or names a token that the vocabulary lacks.
    """
    pairs = []
    for number, line in enumerate(merges.split("\n"), 1):
        line = line.removesuffix("\r")
        if not line or (number == 1 and line.startswith("#version")):
            continue
        pair = line.split(" ")
        if len(pair) != 2:
            raise UsageError(
                f"line {number} of the merges is {line[:60]!r}. Expected two tokens with one space "
                "between them. Copy the file again."
            )
        for token in (*pair, "".join(pair)):
            if token not in vocab:
                raise UsageError(
                    f"line {number} of the merges names the token {token[:60]!r}, which the "
                    "vocabulary lacks. Expected files that belong together. Copy both again."
                )
        pairs.append(pair)
    splitter = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True}
    return _description(
        model={"type": "BPE", "vocab": vocab, "merges": pairs},
        special=[name for name in _GPT_SPECIAL if name in vocab],
        pre_tokenizer={**splitter, "use_regex": True},
        decoder={**splitter, "use_regex": True},
    )


def bert_description(content: str) -> dict[str, Any]:
    """Describe a WordPiece tokenizer by its ``vocab.txt``: one token a line, ids from 0.

    A vocabulary of which a token has an upper-case letter is cased, and so is the text it reads;
    without one the text is lower-cased and loses its accents, as BERT's uncased models read it.

    Source: Devlin et al. 2019; the files of ``google-bert/bert-base-uncased``.

    Raises:
        UsageError: a line is empty or occurs twice, or a special token is lacking.
    """
    vocab: dict[str, int] = {}
    lines = content.removesuffix("\n").split("\n")
    for index, line in enumerate(lines):
        token = line.removesuffix("\r")
        if not token or token in vocab:
            what = f"is that of line {vocab[token] + 1}" if token else "is empty"
            raise UsageError(
                f"line {index + 1} {what}. Expected a token of its own on every line. "
                "Copy the file again."
            )
        vocab[token] = index
    missing = [name for name in BERT_SPECIAL if name not in vocab and name != "[MASK]"]
    if missing:
        raise UsageError(
            f"no line is {' or '.join(missing)}. Expected BERT's vocabulary, one token a line. "
            "Check that this is the right file."
        )
    cased = any(token != token.lower() for token in vocab if not token.startswith("["))
    return wordpiece_description(vocab, lowercase=not cased)


def wordpiece_description(vocab: dict[str, int], *, lowercase: bool) -> dict[str, Any]:
    """Describe a WordPiece tokenizer that splits text as BERT's: at punctuation too, and around
    each Chinese character.

    Args:
        vocab: the tokens, BERT's special ones among them.
        lowercase: the text is lower-cased and loses its accents.
    """
    ends = [{"SpecialToken": {"id": name, "type_id": 0}} for name in ("[CLS]", "[SEP]")]
    single = [ends[0], {"Sequence": {"id": "A", "type_id": 0}}, ends[1]]
    second = [
        {"Sequence": {"id": "B", "type_id": 1}},
        {"SpecialToken": {"id": "[SEP]", "type_id": 1}},
    ]
    return _description(
        model={
            "type": "WordPiece",
            "unk_token": _UNKNOWN_WORD,
            "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100,
            "vocab": vocab,
        },
        special=[name for name in BERT_SPECIAL if name in vocab],
        normalizer={
            "type": "BertNormalizer",
            "clean_text": True,
            "handle_chinese_chars": True,
            "strip_accents": None,
            "lowercase": lowercase,
        },
        pre_tokenizer={"type": "BertPreTokenizer"},
        decoder={"type": "WordPiece", "prefix": "##", "cleanup": True},
        # For others who read the saved file; phalanx adds no special tokens to a text.
        post_processor={
            "type": "TemplateProcessing",
            "single": single,
            "pair": single + second,
            "special_tokens": {
                name: {"id": name, "ids": [vocab[name]], "tokens": [name]}
                for name in ("[CLS]", "[SEP]")
            },
        },
    )


def _description(
    *, model: dict[str, Any], special: list[str], **parts: dict[str, Any]
) -> dict[str, Any]:
    plain = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    added = [
        {"id": model["vocab"][name], "content": name, **plain, "special": True} for name in special
    ]
    empty = dict.fromkeys(
        ("truncation", "padding", "normalizer", "pre_tokenizer", "post_processor", "decoder")
    )
    added.sort(key=lambda token: token["id"])
    return {"version": "1.0", **empty, **parts, "added_tokens": added, "model": model}
