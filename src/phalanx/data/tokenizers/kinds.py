"""Which kind of tokenizer a ``tokenizer.json`` describes, and whether it keeps every text."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Literal

from phalanx.data.tokenizers.byte_level import BYTE_OF
from phalanx.errors import UsageError

Kind = Literal["bytes", "characters", "words", "wordpiece", "bpe", "sentencepiece"]
# Those that can be trained.
KINDS: tuple[Kind, ...] = ("bytes", "characters", "words", "wordpiece", "bpe")
# Those with a token for what they do not know.
WITH_UNKNOWN: tuple[Kind, ...] = ("characters", "words", "wordpiece")
UNKNOWN = "<|unknown|>"
SPACE = "\u2581"  # what SentencePiece writes for a space

# Splitting that hands on every character; Split and Punctuation may also be told to remove.
_KEEPING = {"ByteLevel", "Split", "Digits", "Punctuation", "UnicodeScripts"}
_SENTENCEPIECE_DECODERS = {"Replace", "ByteFallback", "Fuse", "Strip", "Metaspace"}
_LISTS = {"normalizer": "normalizers", "pre_tokenizer": "pretokenizers", "decoder": "decoders"}
_EVERY_CHARACTER = {
    "type": "Split",
    "pattern": {"Regex": r"[\s\S]"},
    "behavior": "Isolated",
    "invert": False,
}

WHITE_SPACE_SPLIT = {"type": "WhitespaceSplit"}
LOWERCASE = {"type": "Lowercase"}

Step = dict[str, Any]


@dataclass(frozen=True)
class Form:
    """What the description of a tokenizer says about its texts.

    Args:
        kind: how text becomes tokens, and tokens bytes.
        exact: whether every text comes back from its ids.
        leading_space: whether the first space of decoded text is the tokenizer's and not the
            writer's, as where words are joined by spaces.
    """

    kind: Kind
    exact: bool
    leading_space: bool = False


def recognise(spec: dict[str, Any]) -> Form:
    """Tell the kind of a tokenizer from its description as the library writes it.

    Raises:
        UsageError: it is of no supported kind, or draws at random.
    """
    model = spec["model"]
    decoders = steps(spec, "decoder")
    decoding = {step["type"] for step in decoders}
    if model["type"] == "BPE":
        _check_bpe(model)
        if "ByteLevel" in decoding:
            return _byte_level(spec)
        if "ByteFallback" in decoding and model["byte_fallback"]:
            return _sentencepiece(decoders)
    if model["type"] == "WordPiece":
        return _wordpiece(model)
    if model["type"] == "WordLevel" and _is_of_words(spec):
        if spec["pre_tokenizer"] == WHITE_SPACE_SPLIT and spec["decoder"] is None:
            return Form("words", exact=False, leading_space=True)
        if spec["pre_tokenizer"] == _EVERY_CHARACTER and _are_characters(model["vocab"]):
            return Form("characters", exact=False)
    raise UsageError(
        f"a {model['type']} tokenizer with the decoder {' + '.join(sorted(decoding)) or None} is "
        "not supported. Expected byte-level BPE (as GPT-2's and Llama 3's), BPE with byte fallback "
        "(as Llama 2's), WordPiece (as BERT's), or one that phalanx trained."
    )


def steps(spec: dict[str, Any], part: str) -> list[Step]:
    """Return the steps of a ``normalizer``, ``pre_tokenizer`` or ``decoder``, sequences opened.

    Raises:
        UsageError: a step is not an object with a type.
    """
    waiting, found = [spec.get(part)], []
    while waiting:
        step = waiting.pop(0)
        if step is None:
            continue
        if not isinstance(step, dict) or not isinstance(step.get("type"), str):
            raise UsageError(
                f"its {part} holds {str(step)[:60]!r}. Expected an object with a 'type'. "
                "Save the tokenizer again."
            )
        if step["type"] != "Sequence":
            found.append(step)
        elif isinstance(inner := step.get(_LISTS[part]), list):
            waiting = inner + waiting
    return found


def _check_bpe(model: dict[str, Any]) -> None:
    if model.get("dropout"):
        raise UsageError(
            f"BPE dropout {model['dropout']} makes encoding random. Expected none. "
            "Set 'dropout' to null in the file."
        )


def _byte_level(spec: dict[str, Any]) -> Form:
    normalizers, splitters = steps(spec, "normalizer"), steps(spec, "pre_tokenizer")
    changing = [step for step in normalizers if step["type"] != "ByteLevel"]
    if [step["type"] for step in normalizers + splitters].count("ByteLevel") != 1:
        raise UsageError(
            "its decoder is ByteLevel, but its normalizer and pre_tokenizer do not turn text into "
            "the byte-level alphabet exactly once. Expected one ByteLevel step among them. "
            "Save the tokenizer again."
        )
    exact = not changing and all(map(_keeps, splitters)) and not any(map(_swallows, _added(spec)))
    return Form("bytes" if exact and _is_bytes(spec, splitters) else "bpe", exact)


def _keeps(step: Step) -> bool:
    kept = step["type"] in _KEEPING and step.get("behavior") != "Removed"
    return kept and not step.get("add_prefix_space")


def _swallows(token: Step) -> bool:
    """Whether an added token takes white space beside it along."""
    return not token["special"] and (token["lstrip"] or token["rstrip"])


def _is_bytes(spec: dict[str, Any], splitters: list[Step]) -> bool:
    model = spec["model"]
    whole = len(splitters) == 1 and not splitters[0].get("use_regex") and not spec["normalizer"]
    return whole and not model["merges"] and model["vocab"] == BYTE_OF and _only_special(spec)


def _is_of_words(spec: dict[str, Any]) -> bool:
    """A table of words or characters as phalanx makes it."""
    model = spec["model"]
    return (
        model["unk_token"] == UNKNOWN
        and UNKNOWN in model["vocab"]
        and spec["normalizer"] in (None, LOWERCASE)
        and _only_special(spec)
    )


def _are_characters(vocab: Collection[str]) -> bool:
    return all(len(token) == 1 or token == UNKNOWN for token in vocab)


def _only_special(spec: dict[str, Any]) -> bool:
    return all(token["special"] for token in _added(spec))


def _added(spec: dict[str, Any]) -> list[Step]:
    added: list[Step] = spec["added_tokens"]
    return added


def _wordpiece(model: dict[str, Any]) -> Form:
    if model["unk_token"] not in model["vocab"]:
        raise UsageError(
            f"its vocabulary lacks the token for unknown words, {model['unk_token']!r}. Expected "
            "it. Add it to the vocabulary."
        )
    return Form("wordpiece", exact=False, leading_space=True)


def _sentencepiece(decoders: list[Step]) -> Form:
    """Not exact: a U+2581 in the text comes back as a space."""
    for step in decoders:
        is_space = step["type"] != "Replace" or (
            step["pattern"] == {"String": SPACE} and step["content"] == " "
        )
        is_one = step["type"] != "Strip" or (
            step["content"] == " " and step["start"] <= 1 and step["stop"] == 0
        )
        is_usual = step.get("replacement", SPACE) == SPACE
        if step["type"] not in _SENTENCEPIECE_DECODERS or not (is_space and is_one and is_usual):
            raise UsageError(
                f"its decoder has the step {str(step)[:80]}, which is not supported. Expected the "
                "steps of Llama 2's: U+2581 to a space, byte fallback, and one leading space less."
            )
    if not {"Replace", "Metaspace"} & {step["type"] for step in decoders}:
        raise UsageError(
            "its decoder does not turn U+2581 into spaces. Expected a Replace or Metaspace step."
        )
    strips = any(step["type"] == "Strip" and step["start"] == 1 for step in decoders)
    prepends = any(step.get("prepend_scheme", "never") != "never" for step in decoders)
    return Form("sentencepiece", exact=False, leading_space=strips or prepends)
