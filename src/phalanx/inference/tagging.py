"""Tags for the words of sentences: an encoder reads a sentence once, and a search picks the tags.

A model reads tokens and tags belong to words. Each word is encoded on its own, with a space before
it where its script has spaces; its tag is read at its first token, as Hugging Face's models for
token classification are trained to.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from phalanx.data.length_batches import in_order, padded
from phalanx.data.tag_schemes import Allowed, allowed, spans
from phalanx.data.tokenizers import Tokenizer
from phalanx.data.word_splitting import begins_without_space
from phalanx.data.wrapping import first_position, wrapped
from phalanx.errors import UsageError
from phalanx.inference.passes import PASS_POSITIONS, check_scores, evaluating
from phalanx.rows import Rows

Scores = NDArray[np.float64]


@dataclass(frozen=True)
class Inputs:
    """Sentences as the model reads them: in pieces, where they are longer than it can read.

    Args:
        ids: tokens of each piece, int32; a sentence without words has no piece.
        firsts: where in its piece the first token of each word stands, int64.
        words: of each piece's tokens the word that it is of, counted in the piece, int64; -1: none.
        sentences_N: the number of the sentence that each piece is of, ascending.
        count: sentences.
        divided: sentences that are in more than one piece.
        cut: words with more tokens than a piece has room for: the last ones are left out.
        unknown: words of which a token is the tokenizer's unknown one.
    """

    ids: tuple[NDArray[np.int32], ...]
    firsts: tuple[NDArray[np.int64], ...]
    words: tuple[NDArray[np.int64], ...]
    sentences_N: NDArray[np.int64]
    count: int
    divided: int
    cut: int
    unknown: int

    @property
    def lengths_N(self) -> NDArray[np.int64]:
        """Tokens of each piece."""
        return np.array([len(ids) for ids in self.ids], dtype=np.int64)


def encode(tokenizer: Tokenizer, sentences: Sequence[Sequence[str]], limit: int) -> Inputs:
    """Sentences, given as words, as pieces of ``limit`` tokens at most.

    A longer sentence is divided between words, each piece as long as may be: what stands in one
    piece is not seen from another. A word longer than a whole piece keeps its first tokens. A word
    that gives no token is read as the unknown one, or as the end.

    Raises:
        UsageError: a word has a lone surrogate, or a piece has no room for a token.
    """
    wrapping, offset = len(wrapped(tokenizer, [0]).ids) - 1, first_position(tokenizer)
    room = limit - wrapping
    if room < 1:
        raise UsageError(
            f"The model reads {limit} tokens at a time, {wrapping} of them its own. Expected room "
            f"for a word. Set train.sequence_length to at least {wrapping + 1}."
        )
    known = _Words(tokenizer, sentences, room)
    ids: list[NDArray[np.int32]] = []
    firsts: list[NDArray[np.int64]] = []
    words: list[NDArray[np.int64]] = []
    owners: list[int] = []
    divided = cut = unknown = 0
    for number, sentence in enumerate(sentences):
        pieces = known.pieces(sentence)
        for piece in pieces:
            counts = [len(word.ids) for word in piece]
            tokens = [token for word in piece for token in word.ids]
            ids.append(np.array(wrapped(tokenizer, tokens).ids, dtype=np.int32))
            begins = offset + np.cumsum([0, *counts[:-1]])
            firsts.append(begins + np.array([word.first for word in piece]))
            of_words = np.repeat(np.arange(len(piece)), counts)
            words.append(np.pad(of_words, (offset, wrapping - offset), constant_values=-1))
            owners.append(number)
            cut += sum(word.cut for word in piece)
            unknown += sum(word.unknown for word in piece)
        divided += len(pieces) > 1
    owners_N = np.array(owners, dtype=np.int64)
    return Inputs(
        tuple(ids),
        tuple(firsts),
        tuple(words),
        owners_N,
        len(sentences),
        divided,
        cut,
        unknown,
    )


class _Word(NamedTuple):
    ids: list[int]
    first: int  # which of them the tag is read at
    cut: bool
    unknown: bool


class _Words:
    """The tokens of every word that occurs, each encoded once."""

    def __init__(self, tokenizer: Tokenizer, sentences: Sequence[Sequence[str]], room: int) -> None:
        self.room = room
        distinct = list({word: None for sentence in sentences for word in sentence})
        spaced = [as_read(tokenizer.kind, word) for word in distinct]
        self._known: dict[str, _Word] = {}
        nothing = tokenizer.end_id if tokenizer.unknown_id is None else tokenizer.unknown_id
        # There a space is a token, and no part of the word behind it.
        apart = tokenizer.kind in ("characters", "bytes")
        for word, text, encoded in zip(
            distinct, spaced, tokenizer.encode_each(spaced), strict=True
        ):
            ids = encoded.tolist() or [nothing]
            first = int(apart and text != word and min(len(ids), room) > 1)
            self._known[word] = _Word(
                ids[:room], first, len(ids) > room, tokenizer.unknown_id in ids
            )

    def pieces(self, sentence: Sequence[str]) -> list[list[_Word]]:
        pieces: list[list[_Word]] = []
        left = 0
        for text in sentence:
            word = self._known[text]
            if not pieces or len(word.ids) > left:
                pieces.append([])
                left = self.room
            pieces[-1].append(word)
            left -= len(word.ids)
        return pieces


def as_read(kind: str, word: str) -> str:
    """A word as a tokenizer of this kind encodes it: behind a space, where both have such."""
    spaceless = kind in ("wordpiece", "words", "sentencepiece")
    return word if spaceless or begins_without_space(word) else " " + word


def tokenizer_text(kind: str, words: Sequence[str]) -> str:
    """A sentence as a tokenizer of this kind is to be trained on it."""
    if kind in ("wordpiece", "words"):
        return " ".join(words)
    return "".join(as_read(kind, word) for word in words)


@torch.no_grad()
def log_probabilities(model: Any, inputs: Inputs) -> list[Scores]:
    """The logarithm of each tag's probability, for each sentence (words, labels) in float64.

    Pieces of about one length share a pass; the order is that of ``inputs``. The model is left in
    the mode in which it was.

    Raises:
        PhalanxError: a score is not a number.
    """
    device = model.embedding.weight.device
    found: list[Scores] = [np.empty((0, model.config.outputs))] * len(inputs.ids)
    with evaluating(model):
        for rows_N in in_order(inputs.lengths_N, PASS_POSITIONS):
            ids_BT, lengths_B = padded([inputs.ids[row] for row in rows_N])
            full = int(lengths_B.min()) == ids_BT.shape[1]
            rows = None if full else Rows.padded(lengths_B.to(device), ids_BT.shape[1])
            scores_BTL = model(ids_BT.to(device), rows).float().cpu()
            for row, scores_TL in zip(rows_N, scores_BTL, strict=True):
                scores_WL = scores_TL[torch.from_numpy(inputs.firsts[row])].double()
                check_scores(scores_WL)
                found[row] = scores_WL.log_softmax(-1).numpy()
    cuts = np.searchsorted(inputs.sentences_N, np.arange(inputs.count + 1))
    nothing = np.empty((0, model.config.outputs))
    return [np.concatenate([nothing, *found[cuts[n] : cuts[n + 1]]]) for n in range(inputs.count)]


_FORBIDDEN = 1e6  # nats: more than a sentence's scores add up to, and exact in float64


def best_path(scores_WL: Scores, rules: Allowed) -> list[int]:
    """The likeliest labels of a sentence that the rules allow (Viterbi 1967).

    Where no labels at all keep to the rules, as in a segmentation whose labels lack the single
    word, those with the fewest breaches are the best.

    Args:
        scores_WL: log-probabilities of the labels at each word.
        rules: see ``tag_schemes.allowed``.
    """
    if not len(scores_WL):
        return []
    steps_LL = np.where(rules.steps_LL, 0.0, -_FORBIDDEN)
    total_L = scores_WL[0] + np.where(rules.starts_L, 0.0, -_FORBIDDEN)
    before = []
    for scores_L in scores_WL[1:]:
        through_LL = total_L[:, None] + steps_LL
        came_L = through_LL.argmax(0)
        before.append(came_L)
        total_L = through_LL[came_L, np.arange(len(came_L))] + scores_L
    path = [int((total_L + np.where(rules.ends_L, 0.0, -_FORBIDDEN)).argmax())]
    for came_L in reversed(before):
        path.append(int(came_L[path[-1]]))
    return path[::-1]


@dataclass(frozen=True)
class Entity:
    """Something named in a sentence: its words from ``start`` up to ``end``.

    Args:
        type: what it is.
        start, end: words.
        score: mean probability of its tags, each at its own word.
    """

    type: str
    start: int
    end: int
    score: float


@dataclass(frozen=True)
class Tagged:
    """What a model says of a sentence.

    Args:
        words: as given.
        tags: one a word, well-formed in the scheme of the model.
        probabilities_W: of each tag at its word.
        entities: what the tags mark, in order; none where they are parts of speech.
    """

    words: tuple[str, ...]
    tags: tuple[str, ...]
    probabilities_W: NDArray[np.float64]
    entities: tuple[Entity, ...]


def tag(
    model: Any,
    tokenizer: Tokenizer,
    labels: Sequence[str],
    scheme: str,
    sentences: Sequence[Sequence[str]],
) -> list[Tagged]:
    """The tags of each sentence's words, in order; none depends on what else is asked.

    Args:
        model: an encoder that answers at every position.
        tokenizer: of its inputs.
        labels: of its outputs.
        scheme: how they mark entities, see ``tag_schemes``.
        sentences: each as its words; ``word_splitting.words_of`` takes raw text apart.

    Raises:
        UsageError: a word has a lone surrogate.
        PhalanxError: the scores are not numbers.
    """
    inputs = encode(tokenizer, sentences, model.config.context)
    return decoded(labels, scheme, sentences, log_probabilities(model, inputs))


def decoded(
    labels: Sequence[str], scheme: str, sentences: Sequence[Sequence[str]], scores: list[Scores]
) -> list[Tagged]:
    """The best well-formed tags of sentences whose log-probabilities are known."""
    rules = allowed(labels, scheme)
    found = []
    for words, scores_WL in zip(sentences, scores, strict=True):
        path = best_path(scores_WL, rules)
        tags = tuple(labels[label] for label in path)
        probabilities_W = np.exp(scores_WL[np.arange(len(path)), path])
        entities = tuple(
            Entity(type_, start, end, float(probabilities_W[start:end].mean()))
            for type_, start, end in spans(tags, scheme)
        )
        found.append(Tagged(tuple(words), tags, probabilities_W, entities))
    return found
