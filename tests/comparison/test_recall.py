import pytest
import torch
from torch import Tensor
from torch.nn.functional import one_hot

from phalanx.comparison import recall
from phalanx.comparison.contenders import contenders
from phalanx.comparison.recall import (
    CHANCE,
    DISTANCES,
    LENGTH,
    QUESTION,
    SYMBOLS,
    VOCABULARY,
    accuracy,
    rows,
    train_recall,
)
from phalanx.comparison.tuning import rates_of
from phalanx.data.batches import IGNORED


def oracle(ids_BT: Tensor) -> Tensor:
    """The symbol of each row, at every position."""
    symbols_B = ids_BT.masked_fill(ids_BT >= SYMBOLS, 0).sum(1)
    return one_hot(symbols_B, VOCABULARY)[:, None].expand(-1, LENGTH, -1)


def test_rows_hold_one_symbol_and_ask_only_behind_it() -> None:
    drill = rows(0, 5, 64, DISTANCES)
    is_symbol_BT = drill.inputs_BT < SYMBOLS
    assert (is_symbol_BT.sum(1) == 1).all()
    assert (is_symbol_BT.int().argmax(1) == drill.starts_B).all()
    asked_BT = drill.inputs_BT == QUESTION
    assert (asked_BT == (drill.targets_BT != IGNORED)).all()
    before_BT = torch.arange(LENGTH) <= drill.starts_B[:, None]
    assert not (asked_BT & before_BT).any()
    for distance in DISTANCES:
        assert asked_BT[torch.arange(64), drill.starts_B + distance].all()


def test_rows_are_a_function_of_their_key() -> None:
    assert rows(1, 2, 8).inputs_BT.equal(rows(1, 2, 8).inputs_BT)
    assert not rows(1, 2, 8).inputs_BT.equal(rows(1, 3, 8).inputs_BT)
    assert not rows(1, 2, 8).inputs_BT.equal(rows(2, 2, 8).inputs_BT)


def test_one_who_remembers_is_right_at_every_distance() -> None:
    assert accuracy(oracle) == dict.fromkeys(DISTANCES, (1.0, 1.0, 1.0))


def test_one_who_guesses_is_right_by_chance() -> None:
    found = accuracy(lambda ids: one_hot(torch.zeros_like(ids), VOCABULARY))
    assert all(abs(value - CHANCE) < 0.08 for values in found.values() for value in values)


def test_one_who_forgets_is_seen_to() -> None:
    def forgets(ids_BT: Tensor) -> Tensor:
        starts_B = (ids_BT < SYMBOLS).int().argmax(1)
        near_BT = torch.arange(LENGTH) - starts_B[:, None] <= 16
        return torch.where(near_BT[..., None], oracle(ids_BT), 0)

    found = recall.Recalled(accuracy(forgets), 1, 1.0)
    assert found.verdict().verdict == "vanishes"


def test_one_who_never_learned_gets_no_verdict() -> None:
    found = recall.Recalled(dict.fromkeys(DISTANCES, (0.2, 0.2, 0.2)), 1, 1.0)
    assert found.verdict().verdict == "not_learned"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["rnn", "lstm", "gru", "mingru", "transformer"])
def test_every_family_learns_in_seconds(name: str) -> None:
    [contender] = contenders((name,), 257, 64, 100_000)
    found = train_recall(contender.config, rates_of(name), 8.0, seed=0)
    assert found.verdict().verdict == "reaches"
