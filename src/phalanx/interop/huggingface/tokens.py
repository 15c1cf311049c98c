"""Which tokens begin and end the texts of a Hugging Face language model."""

from pathlib import Path
from typing import Any

from phalanx.data.tokenizers import Tokenizer
from phalanx.interop.huggingface.options import Options, read_object

GENERATION = "generation_config.json"


def begin_ids(tokenizer: Tokenizer) -> tuple[int, ...]:
    """The special tokens that the tokenizer's own template puts before a text, such as Llama's <s>.

    A GPT-2 has none.
    """
    encoding = tokenizer.library.encode("a", add_special_tokens=True)
    special = encoding.special_tokens_mask
    return tuple(encoding.ids[: special.index(0)]) if 0 in special else ()


def end_ids(path: Path, options: Options, tokenizer: Tokenizer) -> tuple[int, ...]:
    """The tokens after which the model writes nothing more: those of generation_config.json, of
    config.json, or the tokenizer's own; one that ends a document always ends a text.

    Raises:
        UsageError: they are no ids.
    """
    given: Any = options.values.get("eos_token_id")
    if (path / GENERATION).is_file():
        generation = Options(read_object(path / GENERATION), str(path / GENERATION))
        options = generation if generation.values.get("eos_token_id") is not None else options
        given = options.values.get("eos_token_id")
    ids = given if isinstance(given, list) else [] if given is None else [given]
    if not all(type(one) is int and one >= 0 for one in ids):
        raise options.wrong("eos_token_id", "a token's id, or a list of them")
    return tuple(dict.fromkeys([*ids, tokenizer.end_id]))
