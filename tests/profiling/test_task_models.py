"""Profiles of what the tasks use: classifiers, taggers, and encoder-decoders."""

import pytest

from phalanx.models import preset
from phalanx.profiling.profile import profile_subject
from phalanx.profiling.results import Profile
from phalanx.profiling.subjects.presets import model_subject

LENGTHS = (8, 16, 32, 64)


def found(name: str, kind: str, mode: str, **changes: object) -> Profile:
    config = preset(name, 64, 256, 20_000, kind=kind, **changes)  # type: ignore[arg-type]
    return profile_subject(model_subject(name, config), mode=mode, lengths=LENGTHS)


@pytest.mark.parametrize("name", ["transformer", "transformer-2017", "lstm"])
@pytest.mark.parametrize("mode", ["train", "forward", "decode"])
def test_an_encoder_decoder_is_followed_in_every_mode(name: str, mode: str) -> None:
    profile = found(name, "encoder_decoder", mode)
    assert profile.kind == "EncoderDecoder"
    traced = profile.passes[mode]
    assert not traced.unknown
    assert not traced.orphans
    # Teacher forcing and the encoder wait for nothing but a recurrence; one token never does.
    serial = name == "lstm" and mode != "decode"
    assert (traced.laws.span.slope > 0) == serial


def test_a_classifier_answers_once_a_row() -> None:
    profile = found("transformer", "encoder", "train", outputs=5, pooling="mean")
    assert profile.kind == "Classifier"
    assert profile.passes["train"].laws.span.slope == 0
