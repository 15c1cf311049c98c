"""How well a tagger does on sentences that people have tagged, beside what is free to have."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from phalanx.data.samples import Sentence
from phalanx.data.tag_schemes import in_five_letters
from phalanx.data.tokenizers import Tokenizer
from phalanx.errors import UsageError
from phalanx.inference.tagging import Tagged, decoded, encode, log_probabilities
from phalanx.tasks.tagging import Figures, accuracy, entities, in_scheme, micro, nats
from phalanx.tasks.tagging_baselines import Baselines

_SEQEVAL = {"bio": "IOB2", "iob1": "IOB1", "iobes": "IOBES", "bmes": "IOBES", "bilou": "IOBES"}


@dataclass(frozen=True)
class Agreement:
    """How tags agree with those that people gave.

    Args:
        accuracy: share of words that got their tag.
        types: figures of each type of entity, by seqeval's strict reading; empty where tags mark
            no entities.
    """

    accuracy: float
    types: Mapping[str, Figures]

    @property
    def entities(self) -> Figures:
        """Figures of all entities together."""
        return micro(self.types)


@dataclass(frozen=True)
class Mistake:
    """A sentence that was not tagged as people did.

    Args:
        place: file and line.
        words: the sentence.
        right, given: its tags, and the model's.
        wrong: entities missed or found that are not there; words, where tags mark no entities.
    """

    place: str
    words: tuple[str, ...]
    right: tuple[str, ...]
    given: tuple[str, ...]
    wrong: int


@dataclass(frozen=True)
class Report:
    """A tagger, judged.

    Args:
        sentences, words: their numbers.
        divided: sentences longer than the model reads at once.
        unknown: words of which the tokenizer does not know a part.
        unseen: tags that training had not, and how many words have them; they count as mistakes in
            everything but the loss, which knows no probability for them.
        loss: nats a word.
        scheme: of the tags.
        model: how it agrees.
        baselines: how the baselines do.
        confusion: words by (right, given) tag.
        mistakes: the sentences with mistakes, the worst first.
    """

    sentences: int
    words: int
    divided: int
    unknown: int
    unseen: Mapping[str, int]
    loss: float
    scheme: str
    model: Agreement
    baselines: Mapping[str, Agreement]
    confusion: Mapping[tuple[str, str], int]
    mistakes: tuple[Mistake, ...]

    def as_dict(self, mistakes: int | None = None) -> dict[str, Any]:
        """The figures as JSON values; ``mistakes`` bounds how many are listed, the worst first."""
        return {
            "sentences": self.sentences,
            "words": self.words,
            "divided_sentences": self.divided,
            "unknown_words": self.unknown,
            "unseen_tags": dict(self.unseen),
            "loss": self.loss,
            **self._figures(self.model),
            "scheme": self.scheme,
            "types": {kind: figures.as_dict() for kind, figures in self.model.types.items()},
            "baselines": {name: self._figures(each) for name, each in self.baselines.items()},
            "confusion": [
                {"tag": right, "given": given, "words": count}
                for (right, given), count in sorted(self.confusion.items())
            ],
            "mistakes": [asdict(mistake) for mistake in self.mistakes[:mistakes]],
        }

    def _figures(self, agreement: Agreement) -> dict[str, float]:
        found = {"accuracy": agreement.accuracy}
        return found if self.scheme == "none" else {**found, **agreement.entities.as_dict()}

    def confused(self) -> list[tuple[str, str, int]]:
        """(right, given, words) of the tags that were taken for others, the most words first."""
        wrong = [(*pair, count) for pair, count in self.confusion.items() if pair[0] != pair[1]]
        return sorted(wrong, key=lambda each: (-each[2], each))


def evaluate(
    model: Any,
    tokenizer: Tokenizer,
    labels: Sequence[str],
    scheme: str,
    sentences: Sequence[Sentence],
    baselines: Baselines | None = None,
) -> Report:
    """Judge a tagger on tagged sentences.

    Args:
        model: an encoder that answers at every position.
        tokenizer: of its inputs.
        labels: of its outputs.
        scheme: how they mark entities; tags in another scheme are brought into it.
        sentences: at least one.
        baselines: what to set beside it; None: nothing.

    Raises:
        UsageError: no sentences, or tags of mixed schemes.
        PhalanxError: the model's scores are not numbers.
    """
    if not sentences:
        raise UsageError("There are no sentences to judge. Expected one or more. Check the file.")
    judged = in_scheme(sentences, scheme)
    words, right = [each.words for each in judged], [each.tags for each in judged]
    inputs = encode(tokenizer, words, model.config.context)
    scores = log_probabilities(model, inputs)
    found = decoded(labels, scheme, words, scores)
    given = [tagged.tags for tagged in found]
    unseen = Counter(tag for tags in right for tag in tags if tag not in set(labels))
    pairs = Counter(
        pair
        for tags, others in zip(right, given, strict=True)
        for pair in zip(tags, others, strict=True)
    )
    beside = {} if baselines is None else baselines.give(judged)
    return Report(
        sentences=len(judged),
        words=sum(map(len, words)),
        divided=inputs.divided,
        unknown=inputs.unknown,
        unseen=dict(sorted(unseen.items())),
        loss=nats(scores, right, labels),
        scheme=scheme,
        model=_agreement(right, given, scheme),
        baselines={name: _agreement(right, tags, scheme) for name, tags in beside.items()},
        confusion=pairs,
        mistakes=_mistakes(judged, found, scheme),
    )


def _agreement(
    right: Sequence[Sequence[str]], given: Sequence[Sequence[str]], scheme: str
) -> Agreement:
    types = {} if scheme == "none" else strict_figures(right, given, scheme)
    return Agreement(accuracy(right, given), types)


def strict_figures(
    right: Sequence[Sequence[str]], given: Sequence[Sequence[str]], scheme: str
) -> dict[str, Figures]:
    """Figures of each type, by what seqeval (Nakayama 2018) reads in its strict mode."""
    from seqeval import scheme as seqeval

    there, found = (
        seqeval.Entities(
            [in_five_letters(tags, scheme) for tags in side], getattr(seqeval, _SEQEVAL[scheme])
        )
        for side in (right, given)
    )
    return {
        kind: Figures(
            len(there.filter(kind) & found.filter(kind)),
            len(found.filter(kind)),
            len(there.filter(kind)),
        )
        for kind in sorted(there.unique_tags | found.unique_tags)
    }


def _mistakes(
    judged: Sequence[Sentence], found: Sequence[Tagged], scheme: str
) -> tuple[Mistake, ...]:
    mistakes = []
    right, given = (
        entities([each.tags for each in side], "bio" if scheme == "none" else scheme)
        for side in (judged, found)
    )
    for sentence, tagged, there, seen in zip(judged, found, right, given, strict=True):
        wrong = (
            sum(one != two for one, two in zip(sentence.tags, tagged.tags, strict=True))
            if scheme == "none"
            else len(set(there) ^ set(seen))
        )
        if wrong:
            words, tags = sentence.words, sentence.tags
            mistakes.append(Mistake(sentence.place, words, tags, tagged.tags, wrong))
    return tuple(sorted(mistakes, key=lambda each: -each.wrong))
