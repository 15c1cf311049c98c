"""Scores, on the validation side, of what needs no model."""

from phalanx.comparison.tasks.python_tags import PythonTags
from phalanx.comparison.tasks.results import Baseline
from phalanx.data.labelled import load_examples
from phalanx.tasks import tagging
from phalanx.tasks.classification_report import agreement, numbers
from phalanx.training.prepared import Prepared
from phalanx.training.preparing.classification import Classification
from phalanx.training.preparing.tagging import TaggingRun


def baselines_of(prepared: Prepared) -> list[Baseline]:
    """The baselines of a task, fitted on its training side; none for a task without any."""
    if isinstance(prepared, PythonTags):
        return [Baseline("majority", {"accuracy": prepared.majority})]
    if isinstance(prepared, Classification):
        return _of_texts(prepared)
    if isinstance(prepared, TaggingRun):
        return _of_sentences(prepared)
    return []


def _of_texts(prepared: Classification) -> list[Baseline]:
    assert prepared.labels is not None
    examples = load_examples(prepared.config.data).validation
    right_N = numbers(examples, prepared.labels)
    given = prepared.baselines.give(examples, prepared.labels)
    scores = {name: agreement(right_N, given_N) for name, given_N in given.items()}
    return [
        Baseline(name, {"accuracy": found.accuracy, "macro_f1": found.macro_f1})
        for name, found in scores.items()
    ]


def _of_sentences(prepared: TaggingRun) -> list[Baseline]:
    assert prepared.scheme is not None
    sentences, scheme = prepared.validation.sentences, prepared.scheme
    right = [sentence.tags for sentence in sentences]
    found = []
    for name, given in prepared.baselines.give(sentences).items():
        scores = {"accuracy": tagging.accuracy(right, given)}
        if scheme != "none":
            spans = (tagging.entities(right, scheme), tagging.entities(given, scheme))
            figures = tagging.micro(tagging.by_type(*spans))
            scores |= {"f1": figures.f1, "precision": figures.precision, "recall": figures.recall}
        found.append(Baseline(name, scores))
    return found
