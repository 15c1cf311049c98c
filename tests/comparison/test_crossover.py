from phalanx.comparison.crossover import disagreements, predict

CELL = ("parallel_training", "")


def test_the_order_turns_where_waiting_equals_work() -> None:
    waiting = {"lstm": (0.010, 0.010), "transformer": (0.0, 0.040)}
    [sentence] = predict(waiting, {"lstm": "no", "transformer": "yes"})
    # 0.010 + 0.010 / k = 0.040 / k at k = 3.
    assert "crossover at 3 times" in sentence


def test_no_crossover_where_the_order_is_the_structures() -> None:
    waiting = {"lstm": (0.05, 0.01), "transformer": (0.0, 0.04)}
    assert predict(waiting, {"lstm": "no", "transformer": "yes"}) == []


def test_no_crossover_is_predicted_from_what_was_not_measured() -> None:
    assert (
        predict({"lstm": None, "transformer": (0, 1)}, {"lstm": "no", "transformer": "yes"}) == []
    )


def test_a_chain_that_waits_less_never_falls_behind() -> None:
    waiting = {"lstm": (0.0, 0.01), "transformer": (0.01, 0.03)}
    [sentence] = predict(waiting, {"lstm": "no", "transformer": "yes"})
    assert "no wait was measured" in sentence


def test_cells_that_disagree_are_named() -> None:
    found = disagreements(
        {"lstm": {CELL: "no"}, "transformer": {CELL: "yes"}},
        {"lstm": {CELL: "yes"}, "transformer": {CELL: "yes"}},
        [CELL],
    )
    assert len(found) == 1
    assert "lstm" in found[0]
