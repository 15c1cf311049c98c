"""Beam search against greedy decoding, against every possible answer, and against a slow twin."""

import itertools
from dataclasses import dataclass

import pytest
import torch

from phalanx.config import AttentionConfig, FeedForwardConfig, ModelConfig
from phalanx.errors import PhalanxError, UsageError
from phalanx.inference import beam as subject
from phalanx.inference.beam import Hypothesis, beam_search, penalty
from phalanx.inference.translating import source_rows
from phalanx.models.encoder_decoder import EncoderDecoder

END = 0
CPU = torch.device("cpu")
SOURCES = [[3, 1, 2, 0], [2, 2, 1, 3, 1, 0], [1, 0], [1, 3, 2, 2, 0]]


def config(kind: str, vocabulary: int) -> ModelConfig:
    recurrent = kind == "lstm"
    return ModelConfig(
        kind="encoder_decoder",
        vocabulary=vocabulary,
        context=24,
        width=16,
        layers=1 if recurrent else 2,
        mixers=("lstm",) if recurrent else ("attention",),
        encoder_mixers=("lstm+lstm",) if recurrent else ("attention",),
        block="plain" if recurrent else "pre",
        positions="none" if recurrent else "rotary",
        attention=AttentionConfig(heads=2),
        feed_forward=None if recurrent else FeedForwardConfig(width=32),
        tied=False,
    )


def small(kind: str = "attention", vocabulary: int = 7, ending: float = 0.0) -> EncoderDecoder:
    """A model in double precision with large weights, so that its answers vary with the source.

    ``ending`` makes the end more likely, for answers of different lengths.
    """
    model = EncoderDecoder(config(kind, vocabulary)).double().eval()
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.dim() > 1:
                scale = 0.5 if "feed_forward" in name else 1.5
                parameter.normal_(std=scale * parameter.shape[1] ** -0.5, generator=generator)
    if ending:
        plain_head = model.head

        def head(y: torch.Tensor) -> torch.Tensor:
            scores = plain_head(y)
            return scores + ending * torch.nn.functional.one_hot(
                torch.tensor(END), scores.shape[-1]
            )

        model.head = head  # type: ignore[method-assign]
    return model


def search(
    model: EncoderDecoder, sources: list[list[int]], limit: int, **options: object
) -> list[list[Hypothesis]]:
    source_BS, rows = source_rows(sources, CPU)
    limits = [limit] * len(sources)
    return beam_search(model, source_BS, rows, limits, end_id=END, **options)  # type: ignore[arg-type]


def tokens_of(found: list[list[Hypothesis]]) -> list[list[tuple[int, ...]]]:
    return [[hypothesis.tokens for hypothesis in hypotheses] for hypotheses in found]


def greedy(model: EncoderDecoder, source: list[int], limit: int) -> tuple[int, ...]:
    """Each time the likeliest token, by a pass over everything that was written."""
    written: list[int] = []
    while len(written) < limit and (not written or written[-1] != END):
        with torch.no_grad():
            scores = model(torch.tensor([source]), torch.tensor([[END, *written]]))
        written.append(int(scores[0, -1].argmax()))
    return tuple(written)


def log_probability(model: EncoderDecoder, source: list[int], answer: tuple[int, ...]) -> float:
    """By teacher forcing, in one pass."""
    with torch.no_grad():
        scores = model(torch.tensor([source]), torch.tensor([[END, *answer[:-1]]]))
    chances = scores.log_softmax(-1)[0, range(len(answer)), list(answer)]
    return float(chances.sum())


def every_answer(vocabulary: int, limit: int) -> list[tuple[int, ...]]:
    """All that end with the end token or are as long as they may be."""
    words = [token for token in range(vocabulary) if token != END]
    answers: list[tuple[int, ...]] = []
    for length in range(limit):
        answers += [(*start, END) for start in itertools.product(words, repeat=length)]
    return answers + list(itertools.product(words, repeat=limit))


@pytest.mark.parametrize("kind", ["attention", "lstm"])
def test_a_beam_of_one_is_greedy_decoding_token_for_token(kind: str) -> None:
    model = small(kind, ending=1.0 if kind == "lstm" else -1.0)
    found = search(model, SOURCES, 12, beam=1)
    assert tokens_of(found) == [[greedy(model, source, 12)] for source in SOURCES]
    lengths = {len(hypotheses[0].tokens) for hypotheses in found}
    assert len(lengths) > 1  # rows that end at different times


@pytest.mark.parametrize("kind", ["attention", "lstm"])
@pytest.mark.parametrize("alpha", [-1.0, 0.0, 0.6, 3.0])
def test_a_beam_as_wide_as_all_answers_finds_the_best_of_them(kind: str, alpha: float) -> None:
    model, limit = small(kind, vocabulary=4, ending=0.5), 3
    for source, found in zip(
        SOURCES[:2],
        search(model, SOURCES[:2], limit, beam=4**3, length_penalty=alpha, n=5),
        strict=True,
    ):
        scored = [
            (log_probability(model, source, answer) / ((5 + len(answer)) / 6) ** alpha, answer)
            for answer in every_answer(4, limit)
        ]
        best = sorted(scored, reverse=True)[:5]
        assert [hypothesis.tokens for hypothesis in found] == [answer for _, answer in best]
        for hypothesis, (score, answer) in zip(found, best, strict=True):
            assert hypothesis.score == pytest.approx(score)
            assert hypothesis.log_probability == pytest.approx(
                log_probability(model, source, answer)
            )
            assert hypothesis.ended == (answer[-1] == END)


def slow(
    model: EncoderDecoder, source: list[int], limit: int, beam: int, alpha: float, n: int
) -> list[tuple[int, ...]]:
    """The same search without a batch, without a state, and without stopping early."""
    open_, done = [((), 0.0)], []  # type: list[tuple[tuple[int, ...], float]], list[tuple[float, tuple[int, ...]]]
    while open_ and len(done) < beam:
        grown = []
        for written, total in open_:
            with torch.no_grad():
                scores = model(torch.tensor([source]), torch.tensor([[END, *written]]))
            chances = scores[0, -1].log_softmax(-1).tolist()
            grown += [((*written, t), total + chance) for t, chance in enumerate(chances)]
        grown = sorted(grown, key=lambda one: -one[1])[: beam - len(done)]
        open_ = []
        for written, total in grown:
            if written[-1] == END or len(written) == limit:
                done.append((total / penalty(len(written), alpha), written))
            else:
                open_.append((written, total))
    return [written for _, written in sorted(done, key=lambda one: -one[0])[:n]]


@pytest.mark.parametrize("kind", ["attention", "lstm"])
@pytest.mark.parametrize(("beam", "alpha", "n"), [(3, 0.6, 1), (5, 2.0, 2), (4, -0.5, 4)])
def test_stopping_early_changes_nothing(kind: str, beam: int, alpha: float, n: int) -> None:
    model = small(kind, ending=1.0)
    found = search(model, SOURCES, 10, beam=beam, length_penalty=alpha, n=n)
    assert tokens_of(found) == [slow(model, s, 10, beam, alpha, n) for s in SOURCES]


def test_it_stops_where_nothing_better_can_come(monkeypatch: pytest.MonkeyPatch) -> None:
    # The end is nearly certain at once, and answers may have 20 tokens.
    model, steps = small(ending=2.0), []
    plain = model.step
    monkeypatch.setattr(model, "step", lambda *given: steps.append(1) or plain(*given))
    search(model, SOURCES, 20, beam=4)
    assert len(steps) == 1
    # An alpha with which 20 tokens could come to be worth more makes it look further.
    steps.clear()
    search(model, SOURCES, 20, beam=4, length_penalty=4.0)
    assert len(steps) > 1


@pytest.mark.parametrize("kind", ["attention", "lstm"])
def test_a_source_is_answered_as_if_it_were_alone(kind: str) -> None:
    model = small(kind, ending=1.0)
    options = {"beam": 4, "n": 3}
    alone = [search(model, [source], 12, **options)[0] for source in SOURCES]
    together = search(model, SOURCES, 12, **options)
    turned = search(model, SOURCES[::-1], 12, **options)[::-1]
    for other in (together, turned):
        assert tokens_of(other) == tokens_of(alone)
        for ours, theirs in zip(itertools.chain(*other), itertools.chain(*alone), strict=True):
            assert ours.score == pytest.approx(theirs.score, rel=1e-9)


def test_each_source_has_a_limit_of_its_own() -> None:
    model = small(ending=-50.0)  # never ends by itself
    source_BS, rows = source_rows(SOURCES, CPU)
    found = beam_search(model, source_BS, rows, [1, 5, 3, 2], end_id=END, beam=2)
    assert [len(hypotheses[0].tokens) for hypotheses in found] == [1, 5, 3, 2]
    assert not any(hypotheses[0].ended for hypotheses in found)


def test_barred_tokens_never_come() -> None:
    model = small()
    usual = search(model, SOURCES, 8, beam=3)
    common = usual[0][0].tokens[0]
    found = search(model, SOURCES, 8, beam=3, n=3, barred=(common,))
    written = [token for hypotheses in found for one in hypotheses for token in one.tokens]
    assert common not in written
    # What is left keeps its probability: barring is not a new distribution.
    for source, hypotheses in zip(SOURCES, found, strict=True):
        expected = log_probability(model, source, hypotheses[0].tokens)
        assert hypotheses[0].log_probability == pytest.approx(expected)


@dataclass
class _Flat:
    """A state without anything in it but a count."""

    length_B: torch.Tensor

    nbytes = 8

    def select(self, rows_N: torch.Tensor) -> "_Flat":
        return _Flat(self.length_B[rows_N])


class _Table:
    """A model whose scores are given: one row of them for each step."""

    def __init__(self, scores: list[list[float]]) -> None:
        self.scores = torch.tensor(scores)

    def encode(self, source_BS: torch.Tensor, rows: object) -> int:
        return len(source_BS)

    def empty_state(self, memory: int, capacity: int) -> _Flat:
        return _Flat(torch.zeros(memory, dtype=torch.int64))

    def step(self, ids_B: torch.Tensor, state: _Flat) -> tuple[torch.Tensor, _Flat]:
        return self.scores[state.length_B], _Flat(state.length_B + 1)


def answers(scores: list[list[float]], **options: object) -> list[tuple[int, ...]]:
    model = _Table(scores)
    [found] = beam_search(
        model, torch.zeros(1, 1, dtype=torch.int64), None, [len(scores)], end_id=END, **options
    )  # type: ignore[arg-type]
    return [hypothesis.tokens for hypothesis in found]


def test_of_equal_answers_the_first_comes_first() -> None:
    flat = [[-1e9, 0.0, 0.0, 0.0, 0.0, 0.0]] * 2
    assert answers(flat, beam=3, n=3) == [(1, 1), (1, 2), (1, 3)]
    many = [[-1e9, *[0.0] * 5000]] * 2  # topk alone would take any of them
    assert answers(many, beam=2, n=2) == [(1, 1), (1, 2)]
    assert answers(many, beam=1) == [(1, 1)]


def test_the_length_penalty_decides_between_short_and_long() -> None:
    # Ending at once: log 0.6 = -0.51. Going on (0.4) and ending surely: log 0.4 = -0.92.
    step = [[0.6, 0.4], [1.0, 1e-9]]
    scores = torch.tensor(step).log().tolist()
    assert answers(scores, beam=2, length_penalty=0.0) == [(END,)]
    # (7/6)^alpha has to make up for 0.92 / 0.51 = 1.79: alpha above 3.79.
    assert answers(scores, beam=2, length_penalty=3.7) == [(END,)]
    assert answers(scores, beam=2, length_penalty=3.9) == [(1, END)]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_scores_that_are_no_numbers_are_an_error(value: float) -> None:
    with pytest.raises(PhalanxError, match="not numbers"):
        answers([[0.0, 1.0], [value, 0.0]], beam=2)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"beam": 0}, "beam 0"),
        ({"length_penalty": float("nan")}, "length_penalty nan"),
        ({"length_penalty": 1e6}, "length_penalty 1000000.0: expected a number from -10 to 10"),
        ({"beam": 2, "n": 3}, "3 answers of a beam of 2"),
    ],
)
def test_numbers_out_of_range_are_refused(options: dict[str, float], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        answers([[0.0, 1.0]], **options)


def test_more_than_the_machine_holds_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("phalanx.inference.memory.device_memory", lambda device: 10_000)
    search(small(), SOURCES[:1], 4, beam=1)
    with pytest.raises(UsageError, match="beam"):
        search(small(), SOURCES, 20, beam=7)
    assert subject.BEAM == 4
