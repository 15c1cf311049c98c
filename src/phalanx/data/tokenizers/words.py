"""Tokenizers of words: whole ones, as they stand between white space, or parts of them."""

import json
import re
from collections import Counter
from collections.abc import Iterable

import tokenizers as library

from phalanx.data.documents import WHITE_SPACE
from phalanx.data.tokenizers.files import BERT_SPECIAL, wordpiece_description
from phalanx.data.tokenizers.kinds import UNKNOWN
from phalanx.data.tokenizers.sample import count_characters, sample
from phalanx.data.tokenizers.vocabulary import END, MASK
from phalanx.errors import UsageError

_WORD = re.compile(f"[^{WHITE_SPACE}]+")
_INSIDE = "##"  # before a part that does not begin its word
# At most so much of a vocabulary of parts of words goes to single characters.
_CHARACTERS = 3 / 4


def train_words(texts: Iterable[str], most: int | None) -> library.Tokenizer:
    """The words of texts, the most frequent first; what stands between white space is a word.

    Nothing else parts them, so that text which comes in words (SCAN's actions, tagged text) is
    given back as it was. Text as people write it is better read by ``train_wordpiece``: here
    ``word`` and ``word,`` are two.

    Args:
        texts: iterated over once.
        most: words at most; None: all.

    Raises:
        UsageError: there is no word.
    """
    counts: Counter[str] = Counter()
    for part in sample(texts):
        counts.update(_WORD.findall(part.decode()))
    for name in (UNKNOWN, END, MASK):  # a word of this name would be read as the special token
        counts.pop(name, None)
    if not counts:
        raise UsageError("No text to take words from. Expected some. Give training text.")
    kept = sorted(counts, key=lambda word: (-counts[word], word))[:most]
    vocab = {token: index for index, token in enumerate([*kept, UNKNOWN])}
    wrapped = library.Tokenizer(library.models.WordLevel(vocab=vocab, unk_token=UNKNOWN))
    wrapped.pre_tokenizer = library.pre_tokenizers.WhitespaceSplit()
    return wrapped


def train_wordpiece(texts: Iterable[str], vocabulary: int, *, lowercase: bool) -> library.Tokenizer:
    """Parts of words, as BERT's: words are split at punctuation and around Chinese characters.

    The most frequent characters are in it, as they begin a word and as they go on inside one; what
    is merged of them are the pairs that occur together most often. A word with another character is
    unknown as a whole.

    Args:
        texts: iterated over once.
        vocabulary: ids wanted, BERT's five special ones among them.
        lowercase: see ``wordpiece_description``.

    Raises:
        UsageError: there is no word, or no room for characters.
    """
    if vocabulary < 2 * len(BERT_SPECIAL):
        raise UsageError(
            f"A wordpiece tokenizer cannot have a vocabulary of {vocabulary}. Expected at least "
            f"{2 * len(BERT_SPECIAL)}: {', '.join(BERT_SPECIAL)}, and parts of words."
        )
    splitter = library.Tokenizer(library.models.WordPiece(unk_token=BERT_SPECIAL[1]))
    splitter.normalizer = library.normalizers.BertNormalizer(lowercase=lowercase)
    splitter.pre_tokenizer = library.pre_tokenizers.BertPreTokenizer()
    parts = [splitter.normalizer.normalize_str(part.decode()) for part in sample(texts)]
    begin, inside = _characters(
        parts, splitter, int((vocabulary - len(BERT_SPECIAL)) * _CHARACTERS)
    )
    if not begin:
        raise UsageError(
            "No text to train a wordpiece tokenizer on. Expected some. Give training text."
        )
    trainer = library.trainers.WordPieceTrainer(
        vocab_size=vocabulary,
        min_frequency=2,
        # The trainer would number these as its threads come upon them, and break ties by number:
        # named beforehand, the same text gives the same tokens.
        special_tokens=[*BERT_SPECIAL, *begin, *(_INSIDE + character for character in inside)],
        initial_alphabet=begin,
        limit_alphabet=len(begin),
        continuing_subword_prefix=_INSIDE,
        show_progress=False,
    )
    splitter.train_from_iterator(parts, trainer)
    vocab = json.loads(splitter.to_str())["model"]["vocab"]
    description = wordpiece_description(vocab, lowercase=lowercase)
    return library.Tokenizer.from_str(json.dumps(description))


def _characters(
    parts: list[str], splitter: library.Tokenizer, most: int
) -> tuple[list[str], list[str]]:
    """The most frequent characters, and those of them that may stand inside a word; sorted."""
    counts = count_characters(parts)
    begin: list[str] = []
    inside: list[str] = []
    for character in sorted(counts, key=lambda one: (-counts[one], one)):
        alone = splitter.pre_tokenizer.pre_tokenize_str(character)
        if not alone or len(begin) + len(inside) >= most:
            continue
        begin.append(character)
        if len(splitter.pre_tokenizer.pre_tokenize_str(f"a{character}")) == 1:
            inside.append(character)
    return sorted(begin), sorted(inside)
