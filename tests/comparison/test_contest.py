from contextlib import nullcontext

import numpy as np
import pytest

from phalanx.comparison.contenders import contenders
from phalanx.comparison.contest import Contest, run_contest
from phalanx.comparison.course import rate_of
from phalanx.comparison.language_course import BATCH, LENGTH, LanguageCourse, selection
from phalanx.comparison.plan import Plan, Speed, make_plan
from phalanx.comparison.work import count_work
from phalanx.data.batches import LanguageWindows
from phalanx.data.tokenizers import train_tokenizer

TOKENIZER = train_tokenizer("bytes", ())


def stream(count: int) -> np.ndarray:
    return np.random.default_rng(0).integers(97, 105, count, dtype=np.int32)


def test_a_selection_is_whole_windows_from_all_over_the_text() -> None:
    ids = stream(100 * LENGTH + 1)
    chosen = selection(TOKENIZER, ids, 10 * LENGTH)
    assert chosen.windows.positions == 10 * LENGTH
    assert chosen.bytes == 10 * LENGTH
    for place, window in zip(range(0, 100, 10), chosen.windows.take(0, 10)[0], strict=True):
        assert window.tolist() == ids[place * LENGTH : (place + 1) * LENGTH].tolist()


def test_a_selection_of_more_than_there_is_leaves_out_the_partial_window_alone() -> None:
    chosen = selection(TOKENIZER, stream(5 * LENGTH + 30), 10**6)
    assert chosen.windows.positions == 5 * LENGTH


def test_a_text_of_less_than_a_window_is_taken_whole() -> None:
    chosen = selection(TOKENIZER, stream(20), 10**6)
    assert chosen.windows.positions == 19
    assert chosen.windows.take(0, 1)[1].shape == (1, 19)


class Silent:
    def show(self, event: object) -> None:
        pass


def test_equal_tokens_then_equal_seconds() -> None:
    models = contenders(("lstm", "transformer"), TOKENIZER.vocabulary, LENGTH, 12_000)
    work = {model.name: count_work(model.config) for model in models}
    ids = stream(20_000)
    text = selection(TOKENIZER, ids[:4_000], 2_000)
    course = LanguageCourse(LanguageWindows(ids, LENGTH, 0), text, work, 0, "cpu")
    contest, titles = Contest(), []

    def announce(title: str, trainer: object) -> nullcontext[Silent]:
        titles.append(title)
        return nullcontext(Silent())

    run_contest(models, course, 5.0, contest, announce, lambda: 60.0)
    assert {ran.tokens for ran in contest.equal_tokens.values()} == {contest.tokens}
    assert contest.tokens % (BATCH * LENGTH) == 0
    assert contest.seconds == max(ran.seconds for ran in contest.equal_tokens.values())
    assert set(contest.equal_seconds) == {"lstm", "transformer"}
    assert len(titles) == 3
    for ran in contest.equal_seconds.values():
        assert ran.seconds == pytest.approx(contest.seconds, rel=0.1)
        assert ran.curve
        assert ran.memory > 2 * 4 * 12_000
        assert ran.speed.low <= ran.speed.median <= ran.speed.high


def planned(speeds: list[Speed], seconds: float) -> Plan | None:
    return make_plan(speeds, seconds, BATCH * LENGTH)


def test_the_speed_of_a_run_comes_from_pieces_of_as_many_steps() -> None:
    # 100 tokens a second at first (left out), then steps of 30 and 60 tokens at 1000 a second.
    read, tokens, seconds = [(100, 1.0), (200, 2.0)], 200, 2.0
    for step in range(12):
        more = 30 if step % 2 else 60
        tokens, seconds = tokens + more, seconds + more / 1000
        read.append((tokens, seconds))
    found = rate_of(read)
    assert found.repeats == 8
    for value in (found.low, found.median, found.high):
        assert value == pytest.approx(1000.0)


def test_a_plan_fills_the_time_with_both_runs_of_every_model() -> None:
    speeds = [Speed(40e-6, 0.5, 0.1), Speed(80e-6, 0.5, 0.1)]
    plan = planned(speeds, 100.0)
    assert plan is not None
    assert plan.again
    # The slowest once, the other half as long for equal tokens, and once more as long.
    runs = plan.seconds * (1 + 0.5 + 1)
    assert runs + 2 * (0.2 + plan.points * 1.0) == pytest.approx(100.0)


def test_a_plan_gives_up_curves_first_then_equal_seconds_then_all() -> None:
    speeds = [Speed(40e-6, 0.5, 0.1), Speed(80e-6, 0.5, 0.1)]
    plans = [planned(speeds, seconds) for seconds in (30.0, 6.0, 4.0, 1.0)]
    assert plans[3] is None
    found = [(plan.points > 1, plan.again) for plan in plans[:3] if plan is not None]
    assert found == [(True, True), (False, True), (False, False)]


def test_what_does_not_fit_is_said() -> None:
    models = contenders(("lstm",), TOKENIZER.vocabulary, LENGTH, 12_000)
    work = {model.name: count_work(model.config) for model in models}
    ids = stream(5_000)
    text = selection(TOKENIZER, ids, 500)
    course = LanguageCourse(LanguageWindows(ids, LENGTH, 0), text, work, 0, "cpu")
    contest = Contest()

    def announce(title: str, trainer: object) -> nullcontext[Silent]:
        return nullcontext(Silent())

    run_contest(models, course, 0.01, contest, announce, lambda: 0.0)
    assert contest.equal_tokens == {}
    assert "not measured" in contest.notes[0]
