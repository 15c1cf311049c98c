"""A tokenizer as the files from which ``transformers`` makes one that encodes alike.

One thing differs by custom: there, the name of a special token in a text is that token.
"""

import json
from typing import Any

from phalanx.config import ModelConfig
from phalanx.data.tokenizers import Tokenizer
from phalanx.data.tokenizers.tokenizer import FILE_NAME
from phalanx.interop.huggingface.tokens import begin_ids

_ROLES = {"begin": "bos", "cls": "cls", "mask": "mask", "pad": "pad"}


def tokenizer_files(
    tokenizer: Tokenizer, config: ModelConfig, begin: tuple[int, ...]
) -> dict[str, dict[str, Any]]:
    """The contents of tokenizer.json, tokenizer_config.json and special_tokens_map.json.

    Args:
        tokenizer: to be written.
        config: of its model. An encoder's texts stand between [CLS] and [SEP] there too, by the
            tokenizer's own template.
        begin: tokens that stand before every text of a language model.
    """
    spec: dict[str, Any] = json.loads(tokenizer.library.to_str())
    if config.kind == "encoder":
        spec["post_processor"] = _template(tokenizer, second=min(config.token_types - 1, 1))
    elif begin != begin_ids(tokenizer):
        spec["post_processor"] = None
    names = {f"{role}_token": tokenizer.library.id_to_token(i) for role, i in _roles(tokenizer)}
    inputs = ["input_ids", "token_type_ids", "attention_mask"]
    if config.kind != "encoder":
        inputs.remove("token_type_ids")  # GPT-2 would add them to its embedding
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": config.context,
        "model_input_names": inputs,
        "clean_up_tokenization_spaces": False,
        **names,
    }
    settings.setdefault("pad_token", tokenizer.library.id_to_token(tokenizer.end_id))
    return {FILE_NAME: spec, "tokenizer_config.json": settings, "special_tokens_map.json": names}


def role_ids(tokenizer: Tokenizer) -> dict[str, int | None]:
    """The ids that a config.json names; what ends a document also begins one, as in GPT-2."""
    roles = dict(_roles(tokenizer))
    end = tokenizer.end_id
    return {
        "bos_token_id": roles.get("bos", end),
        "eos_token_id": end,
        "pad_token_id": roles.get("pad"),
    }


def _roles(tokenizer: Tokenizer) -> list[tuple[str, int]]:
    found = [(_ROLES[role], index) for role, index in tokenizer.special_ids.items()]
    found.append(("sep" if "cls" in tokenizer.special_ids else "eos", tokenizer.end_id))
    if tokenizer.unknown_id is not None:
        found.append(("unk", tokenizer.unknown_id))
    return found


def _template(tokenizer: Tokenizer, second: int) -> dict[str, Any]:
    """``phalanx.data.wrapping`` as a post-processor; a pair's second text is of type ``second``."""
    end, cls = tokenizer.end_id, tokenizer.special_ids.get("cls")

    def special(index: int, kind: int) -> dict[str, Any]:
        name = tokenizer.library.id_to_token(index)
        return {"SpecialToken": {"id": name, "type_id": kind}}

    def text(name: str, kind: int) -> dict[str, Any]:
        return {"Sequence": {"id": name, "type_id": kind}}

    begins = [] if cls is None else [special(cls, 0)]
    single = [*begins, text("A", 0), *([] if cls is None else [special(end, 0)])]
    pair = [*begins, text("A", 0), special(end, 0), text("B", second)]
    pair += [] if cls is None else [special(end, second)]
    used = [end] if cls is None else [cls, end]
    names = {index: tokenizer.library.id_to_token(index) for index in used}
    return {
        "type": "TemplateProcessing",
        "single": single,
        "pair": pair,
        "special_tokens": {
            name: {"id": name, "ids": [index], "tokens": [name]} for index, name in names.items()
        },
    }
