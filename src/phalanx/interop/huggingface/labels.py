"""The names of a classifier's or a tagger's outputs in a config.json."""

from typing import Any

from phalanx.errors import UsageError
from phalanx.interop.huggingface.options import Options

_MOST = 100_000
_SINGLE = "single_label_classification"
# The first of these that has all the letters before the types of a label set is its scheme.
_SCHEMES = {"I": "iob1", "BI": "bio", "BIES": "iobes", "BMES": "bmes", "BILU": "bilou"}


def read_labels(options: Options) -> tuple[str, ...]:
    """The labels in the order of the outputs; LABEL_0 and so on where they have no names.

    Raises:
        UsageError: they are malformed, or the outputs are no choice of one label.
    """
    options.only("problem_type", (_SINGLE, None), ": one label for each input")
    named = options.section("id2label")
    if named is None:
        count = options.integer("num_labels", 2, _MOST)
        labels = tuple(f"LABEL_{place}" for place in range(count))
    else:
        places = [str(place) for place in range(len(named.values))]
        if set(places) != set(named.values):
            raise options.wrong("id2label", "the numbers from 0, each with a label")
        labels = tuple(str(named.values[place]) for place in places)
    if len(labels) < 2 or len(set(labels)) < len(labels):
        raise UsageError(
            f"{options.source}: the labels are {', '.join(labels)[:200]}. Expected two or more, "
            "all different: phalanx has no regression."
        )
    return labels


def write_labels(labels: tuple[str, ...], architecture: str) -> dict[str, Any]:
    """The values of a config.json that name the outputs."""
    if not labels:
        return {}
    values: dict[str, Any] = {
        "id2label": {str(place): label for place, label in enumerate(labels)},
        "label2id": {label: place for place, label in enumerate(labels)},
    }
    return values | ({"problem_type": _SINGLE} if "Sequence" in architecture else {})


def scheme_of(labels: tuple[str, ...]) -> str:
    """How the labels of a tagger mark entities, as far as their names tell; ``none``: not at all.

    What may be ``bio`` or ``iob1`` by its letters is taken for ``bio``, as it mostly is.
    """
    marks = [label for label in labels if label != "O"]
    if not all(len(mark) == 1 or mark[1] == "-" for mark in marks):
        return "none"
    letters = {mark[0] for mark in marks}
    return next((name for known, name in _SCHEMES.items() if letters <= set(known)), "none")
