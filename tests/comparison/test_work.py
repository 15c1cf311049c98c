import pytest

from phalanx.comparison.work import count_work
from phalanx.models import preset


@pytest.mark.parametrize(("name", "gates"), [("rnn", 1), ("gru", 3), ("lstm", 4)])
def test_recurrent_work_is_the_closed_form(name: str, gates: int) -> None:
    config = preset(name, 31, 64, width=24, layers=1)
    work = count_work(config)
    assert work.forward.exact
    # Two products a gate of width 24, and the scores; 2 FLOPs a multiply-add.
    assert work.mixers.at(100) == 2 * 100 * gates * (24 * 24 + 24 * 24)
    assert work.forward.at(100) == work.mixers.at(100) + 2 * 100 * 24 * 31


def test_attention_work_is_the_closed_form() -> None:
    config = preset("transformer", 31, 64, width=32, layers=1)
    work = count_work(config)
    # Four projections and two products of all pairs.
    assert work.mixers.at(100) == 2 * 100 * 4 * 32 * 32 + 2 * 2 * 100 * 100 * 32
    assert work.train.exact
    assert work.train.at(100) > 2 * work.forward.at(100)
