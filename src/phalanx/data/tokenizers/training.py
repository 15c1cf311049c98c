"""Tokenizers made from training text: bytes, characters, words, or parts of words that are learned.

Texts are read once, as they come, in memory that does not grow with them.
"""

from collections.abc import Iterable, Iterator

import tokenizers as library

from phalanx.config import DataConfig
from phalanx.data.tokenizers.byte_level import byte_alphabet
from phalanx.data.tokenizers.kinds import KINDS, UNKNOWN, Kind
from phalanx.data.tokenizers.sample import count_characters, sample
from phalanx.data.tokenizers.tokenizer import Tokenizer, utf8
from phalanx.data.tokenizers.vocabulary import END, MASK
from phalanx.data.tokenizers.words import train_wordpiece, train_words
from phalanx.errors import UsageError, did_you_mean

DEFAULT_BPE_VOCABULARY = 1024
DEFAULT_WORDPIECE_VOCABULARY = 4096
SIZED: tuple[Kind, ...] = ("words", "wordpiece", "bpe")  # kinds with a vocabulary of a given size


def train_tokenizer(
    kind: str,
    texts: Iterable[str],
    vocabulary: int | None = None,
    *,
    lowercase: bool = False,
    mask: bool = False,
) -> Tokenizer:
    """Make a tokenizer from training text.

    Args:
        kind: ``bytes`` (256 values and the end; the texts are not looked at), ``characters`` (each
            character of the texts, or the most frequent of them, one for unknown and the end),
            ``words`` (what stands between white space, or the most frequent, one for unknown and
            the end: for text that is split into words already, which it gives back), ``wordpiece``
            (parts of words, split and named as BERT's) or ``bpe`` (byte-level, pre-split as
            GPT-2's).
        texts: the training texts, whole or in pieces, and only those: validation text must not
            shape the vocabulary. They are iterated over once; words, wordpiece and bpe learn from
            up to ``LEARNED_BYTES`` of them, fewer where the words differ so much that memory would
            run out.
        vocabulary: number of ids wanted. bytes: 257 (258 with the mask) or None; characters and
            words: None for every one; wordpiece: None for 4096; bpe: at least 257, None for 1024; a
            short text may give fewer.
        lowercase: the text is lower-cased first; wordpiece takes accents away as well.
        mask: a special token is added that stands for a hidden one (wordpiece has it always).

    Raises:
        UsageError: unknown kind, a vocabulary that the kind cannot have, or no text.
    """
    if kind not in KINDS:
        raise UsageError(f"Unknown tokenizer kind {kind!r}.{did_you_mean(kind, KINDS)}")
    if kind == "wordpiece":
        size = DEFAULT_WORDPIECE_VOCABULARY if vocabulary is None else vocabulary
        return Tokenizer(train_wordpiece(texts, size, lowercase=lowercase))
    special = [END, MASK] if mask else [END]
    if kind == "bytes":
        wrapped = _make_bytes(vocabulary, len(special), lowercase)
    elif kind == "bpe":
        size = DEFAULT_BPE_VOCABULARY if vocabulary is None else vocabulary
        wrapped = _train_bpe(texts, size - len(special), lowercase)
    else:
        train = train_words if kind == "words" else _train_characters
        if vocabulary is not None and vocabulary < 2 + len(special):
            raise UsageError(
                f"A {kind} tokenizer cannot have a vocabulary of {vocabulary}. Expected at least "
                f"{2 + len(special)}: one of the {kind}, {', '.join([UNKNOWN, *special])}."
            )
        wrapped = train(
            _lowered(texts) if lowercase else texts,
            None if vocabulary is None else vocabulary - 1 - len(special),
        )
        if lowercase:
            wrapped.normalizer = library.normalizers.Lowercase()
    # Behind the vocabulary, so that ids of text begin at 0 for every kind.
    wrapped.add_special_tokens(
        [library.AddedToken(name, special=True, normalized=False) for name in special]
    )
    return Tokenizer(wrapped)


def tokenizer_for(
    data: DataConfig, tokenizer: Tokenizer | str, texts: Iterable[str], *, mask: bool = False
) -> Tokenizer:
    """The tokenizer itself, or one of that kind, trained as the configuration of the data says.

    Raises:
        UsageError: see ``train_tokenizer``.
    """
    if isinstance(tokenizer, Tokenizer):
        return tokenizer
    vocabulary = data.vocabulary if tokenizer in SIZED else None
    return train_tokenizer(tokenizer, texts, vocabulary, lowercase=data.lowercase, mask=mask)


def _lowered(texts: Iterable[str]) -> Iterator[str]:
    """As the library lowers them, which knows other characters than Python may."""
    lower = library.normalizers.Lowercase()
    for text in texts:
        utf8(text)
        yield lower.normalize_str(text)


def _make_bytes(vocabulary: int | None, special: int, lowercase: bool) -> library.Tokenizer:
    if vocabulary not in (None, 256 + special):
        raise UsageError(
            f"A bytes tokenizer cannot have a vocabulary of {vocabulary}: it has {256 + special} "
            "ids. Leave the vocabulary out, or choose the kind bpe."
        )
    if lowercase:
        raise UsageError(
            "A bytes tokenizer keeps every byte as it is, and lowercase is asked for. Expected "
            "one of them. Leave lowercase out, or choose the kind characters."
        )
    vocab = {character: byte for byte, character in enumerate(byte_alphabet())}
    wrapped = library.Tokenizer(library.models.BPE(vocab=vocab, merges=[]))
    wrapped.pre_tokenizer = library.pre_tokenizers.ByteLevel(
        add_prefix_space=False, use_regex=False
    )
    wrapped.decoder = library.decoders.ByteLevel()
    return wrapped


def _train_characters(texts: Iterable[str], most: int | None) -> library.Tokenizer:
    counts = count_characters(texts)
    if not counts:
        raise UsageError("No text to take characters from. Expected some. Give training text.")
    kept = sorted(counts, key=lambda character: (-counts[character], character))[:most]
    vocab = {token: index for index, token in enumerate([*sorted(kept), UNKNOWN])}
    wrapped = library.Tokenizer(library.models.WordLevel(vocab=vocab, unk_token=UNKNOWN))
    # Every character is a word: "." alone would not match a line's end.
    wrapped.pre_tokenizer = library.pre_tokenizers.Split(library.Regex(r"[\s\S]"), "isolated")
    wrapped.decoder = library.decoders.Fuse()
    return wrapped


def _train_bpe(texts: Iterable[str], vocabulary: int, lowercase: bool) -> library.Tokenizer:
    if vocabulary < 256:
        raise UsageError(
            f"A bpe tokenizer cannot have so few ids: {vocabulary} are left beside its special "
            "ones. Expected the 256 bytes at least. Set a larger vocabulary."
        )
    parts = sample(texts)
    if not parts:
        raise UsageError("No text to train a bpe tokenizer on. Expected some. Give training text.")
    wrapped = library.Tokenizer(library.models.BPE())
    if lowercase:
        wrapped.normalizer = library.normalizers.Lowercase()
    wrapped.pre_tokenizer = library.pre_tokenizers.ByteLevel(add_prefix_space=False)
    wrapped.decoder = library.decoders.ByteLevel()
    trainer = library.trainers.BpeTrainer(
        vocab_size=vocabulary,
        min_frequency=2,
        initial_alphabet=list(byte_alphabet()),
        show_progress=False,
    )
    wrapped.train_from_iterator((part.decode() for part in parts), trainer)
    return wrapped
