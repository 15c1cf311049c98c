"""How well a model translates: BLEU and chrF by sacreBLEU, with their signatures.

Each source is translated once, however many references the data has for it, and judged against all
of them; so pairs that share a source are one segment.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import zip_longest
from typing import Any

from phalanx.data.samples import Pair
from phalanx.errors import PhalanxError, UsageError
from phalanx.inference.translating import Translator
from phalanx.tasks.translation import TokenPairs, mean_loss
from phalanx.tasks.word_translation import WordTranslation

SAMPLES = 5
# Of the letters of the references, so many must be Han or kana for BLEU to split by them.
_SHARE = 0.3
_HAN = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")
_KANA = re.compile(r"[\u3040-\u30ff]")
_LETTER = re.compile(r"[^\W\d_]")


@dataclass(frozen=True)
class Quality:
    """Translations against references.

    Args:
        bleu: 0 to 100 (Papineni et al. 2002).
        chrf: 0 to 100 (Popović 2015).
        exact_match: share of the sources whose translation equals a reference.
    """

    bleu: float
    chrf: float
    exact_match: float


@dataclass(frozen=True)
class Sample:
    """One source, its translation, and what it should have been.

    Args:
        source, translation: the two.
        references: what it should have been, one of them.
        chrf: of this sentence alone.
    """

    source: str
    translation: str
    references: tuple[str, ...]
    chrf: float


@dataclass(frozen=True)
class Report:
    """How well a model translates.

    Args:
        loss: nats per target token, over all pairs.
        pairs: pairs of the data.
        sources: different sources among them: what BLEU, chrF and exact match are of.
        quality: of the model.
        word_by_word: of the dictionary learned from the same data; None where none was kept.
        bleu_signature, chrf_signature: how the two were computed, in sacreBLEU's words.
        beam, length_penalty: of the search.
        cut: pairs too long for the model, of which the loss has the beginning.
        worst: the translations with the lowest chrF, of those that equal no reference.
        translations: all of them, in the order of the data, with their references.
    """

    loss: float
    pairs: int
    sources: int
    quality: Quality
    word_by_word: Quality | None
    bleu_signature: str
    chrf_signature: str
    beam: int
    length_penalty: float
    cut: int
    worst: tuple[Sample, ...]
    translations: tuple[Sample, ...]

    @property
    def perplexity(self) -> float:
        """exp(loss): as uncertain as a choice among so many equally likely tokens."""
        return math.exp(self.loss) if self.loss < 700 else math.inf

    def as_dict(self) -> dict[str, Any]:
        """The figures and the worst translations, under the names that JSON uses."""
        values = {**asdict(self), "perplexity": self.perplexity}
        del values["translations"]
        return {**values.pop("quality"), **values}


def evaluate(
    translator: Translator,
    pairs: Sequence[Pair],
    baseline: WordTranslation | None = None,
    *,
    batch_size: int,
) -> Report:
    """Translate the sources of all pairs and judge what comes out.

    Args:
        translator: the model with its search.
        pairs: what it is judged by; not empty.
        baseline: what it is compared with.
        batch_size: texts at once.

    Raises:
        UsageError: sacreBLEU is not there, or a text has a lone surrogate.
        PhalanxError: the model's scores are not numbers.
    """
    references: dict[str, list[str]] = {}
    for pair in pairs:
        references.setdefault(pair.source, []).append(pair.target)
    judge = Judge(list(references.values()))
    tokenizer, model = translator.tokenizer, translator.model
    tokens = TokenPairs.of(tokenizer, pairs, model.config.context)
    loss = mean_loss(model, tokens, tokenizer.end_id)
    if math.isnan(loss):
        raise PhalanxError(
            "The model's scores are not numbers (NaN). Its weights have probably diverged: train "
            "again with a lower learning rate."
        )
    found = [done.text for done in translator.translate([*references], batch_size=batch_size)]
    samples = tuple(
        Sample(source, text, tuple(wanted), judge.sentence(text, wanted))
        for (source, wanted), text in zip(references.items(), found, strict=True)
    )
    by_words = None
    if baseline is not None:
        by_words = judge.quality([baseline.translate(tokenizer, source) for source in references])
    return Report(
        loss=loss,
        pairs=len(pairs),
        sources=len(references),
        quality=judge.quality(found),
        word_by_word=by_words,
        bleu_signature=judge.bleu_signature,
        chrf_signature=judge.chrf_signature,
        beam=translator.beam,
        length_penalty=translator.length_penalty,
        cut=tokens.cut,
        worst=tuple(sorted(filter(_wrong, samples), key=lambda sample: sample.chrf)[:SAMPLES]),
        translations=samples,
    )


class Judge:
    """BLEU, chrF and exact match against references.

    Args:
        references: of each source, at least one.

    Attributes:
        bleu_signature, chrf_signature: how they are computed, in sacreBLEU's words.

    Raises:
        UsageError: sacreBLEU is not there.
    """

    def __init__(self, references: Sequence[Sequence[str]]) -> None:
        bleu, chrf = _metrics()
        self._references = [tuple(wanted) for wanted in references]
        self._streams = [list(stream) for stream in zip_longest(*self._references)]
        split = bleu_tokenizer([text for wanted in references for text in wanted])
        self._bleu = bleu(tokenize=split, force=True)  # force: tokenized text is no mistake here
        self._chrf = chrf()
        empty = [""] * len(self._references)
        self._bleu.corpus_score(empty, self._streams)  # the number of references is known then
        self._chrf.corpus_score(empty, self._streams)
        self.bleu_signature = str(self._bleu.get_signature())
        self.chrf_signature = str(self._chrf.get_signature())

    def quality(self, texts: Sequence[str]) -> Quality:
        """The figures of translations, one of each source."""
        pairs = zip(texts, self._references, strict=True)
        exact = sum(_equals(text, wanted) for text, wanted in pairs)
        return Quality(
            self._bleu.corpus_score(texts, self._streams).score,
            self._chrf.corpus_score(texts, self._streams).score,
            exact / len(self._references),
        )

    def sentence(self, text: str, wanted: Sequence[str]) -> float:
        """chrF of one translation."""
        return float(self._chrf.sentence_score(text, list(wanted)).score)


def bleu_tokenizer(references: Sequence[str]) -> str:
    """How BLEU splits words: sacreBLEU's ``zh``, ``char`` for Japanese, else its own ``13a``."""
    letters = han = kana = 0
    for text in references:
        letters += len(_LETTER.findall(text))
        han += len(_HAN.findall(text))
        kana += len(_KANA.findall(text))
    if han + kana < _SHARE * max(letters, 1):
        return "13a"
    return "char" if kana > _SHARE * (han + kana) else "zh"


def _equals(text: str, wanted: Sequence[str]) -> bool:
    return any(text.strip() == one.strip() for one in wanted)


def _wrong(sample: Sample) -> bool:
    return not _equals(sample.translation, sample.references)


def _metrics() -> tuple[Any, Any]:
    try:
        from sacrebleu.metrics.bleu import BLEU
        from sacrebleu.metrics.chrf import CHRF
    except ImportError:
        raise UsageError(
            "BLEU and chrF are computed by sacreBLEU, which is not there. Expected the package "
            "sacrebleu. Install it: pip install sacrebleu."
        ) from None
    return BLEU, CHRF
