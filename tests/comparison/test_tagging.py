from contextlib import nullcontext

import pytest

from phalanx.comparison.tagging import LENGTHS, measure_tagging


class Silent:
    def show(self, event: object) -> None:
        pass


@pytest.mark.slow
def test_taggers_beat_the_majority_in_one_call_and_only_the_lstm_waits() -> None:
    found = measure_tagging(16.0, 0, "cpu", lambda title, trainer: nullcontext(Silent()))
    encoder, lstm = found
    assert (encoder.name, lstm.name) == ("encoder", "bidirectional lstm")
    for tagger in found:
        assert tagger.accuracy > tagger.majority_accuracy + 0.2
        assert tagger.calls_per_sequence == 1
        assert set(tagger.milliseconds_by_length) <= {str(length) for length in LENGTHS}
    assert encoder.span_slope == 0
    assert lstm.span_slope >= 1
    assert abs(encoder.parameters / lstm.parameters - 1) < 0.1
