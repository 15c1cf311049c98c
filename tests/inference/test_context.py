"""Where the context ends: refused, ended or slid, and always as if the row were alone."""

from functools import cache

import pytest
import torch
from small_models import CONTEXT, VOCABULARY, small
from torch import Tensor

from phalanx.errors import UsageError
from phalanx.inference import (
    Chooser,
    Decoding,
    Greedy,
    Penalized,
    Sampler,
    generate,
    memory,
    sampling,
)
from phalanx.inference.decoding import kept_from
from phalanx.inference.generate import WhenFull, continue_rows, new_tokens
from phalanx.inference.noise import request_keys
from phalanx.models import Decoder

LIMITED = ("transformer", "transformer-2017", "gpt2", "hybrid")
PROMPTS = [[5, 1, 7], [2], [t % VOCABULARY for t in range(3, 43)], [12, 13] * 10]
NEW = 40
CHOOSERS: dict[str, Chooser] = {
    "greedy": Greedy(),
    "sampled": Penalized(Sampler(0.9, top_k=20, min_p=0.01), 1.5),
}
kinds = pytest.mark.parametrize("kind", LIMITED)
choosers = pytest.mark.parametrize("name", CHOOSERS)


@cache
def model_of(kind: str) -> Decoder:
    return small(kind)


@cache
def slid(kind: str, name: str) -> list[list[int]]:
    return generate(
        model_of(kind),
        PROMPTS,
        max_new_tokens=NEW,
        sampler=CHOOSERS[name],
        seed=4,
        when_full="slide",
    )


def from_the_window(kind: str, name: str, prompt: list[int]) -> list[int]:
    """The definition: at each token, one whole pass over what is kept of the text."""
    text = list(prompt)
    keys = request_keys(4, torch.tensor([0]))
    while len(text) < len(prompt) + NEW:
        window = text[kept_from(len(text), CONTEXT) :]
        logits = model_of(kind)(torch.tensor([window]))[:, -1]
        seen = torch.zeros(1, VOCABULARY, dtype=torch.bool)
        seen[0, text] = True
        chosen = CHOOSERS[name].choose(logits, keys, torch.tensor([len(text)]), seen)
        text.append(int(chosen))
    return text[len(prompt) :]


def test_what_is_kept() -> None:
    assert [kept_from(n, 8) for n in (1, 8, 9, 12, 13, 16, 17)] == [0, 0, 4, 4, 8, 8, 12]
    assert [kept_from(n, 7) for n in (7, 8, 10, 11)] == [0, 3, 3, 6]
    assert [kept_from(n, 1) for n in (1, 2, 3)] == [0, 1, 2]
    for size in range(1, 12):
        for count in range(1, 60):
            assert 0 < count - kept_from(count, size) <= size


@choosers
@kinds
def test_a_sliding_context_is_that_of_a_whole_pass_over_what_is_kept(kind: str, name: str) -> None:
    for prompt, new in zip(PROMPTS, slid(kind, name), strict=True):
        assert new == from_the_window(kind, name, prompt)


@choosers
@kinds
def test_rows_that_slide_at_different_times_are_those_of_each_alone(kind: str, name: str) -> None:
    for prompt, new in zip(PROMPTS, slid(kind, name), strict=True):
        alone = generate(
            model_of(kind),
            [prompt],
            max_new_tokens=NEW,
            sampler=CHOOSERS[name],
            seed=4,
            when_full="slide",
        )
        assert alone == [new]


@pytest.mark.parametrize("defect", ["window", "positions"])
def test_a_slide_that_goes_wrong_is_found_out(defect: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if defect == "window":  # one of the kept tokens is another
        reread = Decoding.reread

        def other(
            self: Decoding, tokens_B: Tensor, rows: list[int], texts: list[list[int]]
        ) -> Tensor:
            return reread(self, tokens_B, rows, [[*text[:-2], 0, text[-1]] for text in texts])

        monkeypatch.setattr(Decoding, "reread", other)
    else:  # the noise begins again
        zeros = lambda self, texts: torch.zeros(len(texts), dtype=torch.int64)  # noqa: E731
        monkeypatch.setattr(Decoding, "_dropped", zeros)
    wrong = generate(
        model_of("transformer"),
        PROMPTS[:1],
        max_new_tokens=NEW,
        sampler=CHOOSERS["sampled"],
        seed=4,
        when_full="slide",
    )
    assert wrong[0] != slid("transformer", "sampled")[0]


def test_no_noise_is_used_twice_in_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    positions: list[int] = []
    draw = sampling.gumbel

    def spy(keys_B: Tensor, positions_B: Tensor, count: int) -> Tensor:
        positions.append(int(positions_B[0]))
        return draw(keys_B, positions_B, count)

    monkeypatch.setattr(sampling, "gumbel", spy)
    generate(
        model_of("transformer"), [[1, 2]], max_new_tokens=60, sampler=Sampler(), when_full="slide"
    )
    # In a step in which the row is read anew, its other score is thrown away.
    assert sorted(set(positions)) == list(range(2, 62))


def test_a_row_that_slides_disturbs_nobody_and_holds_no_more_than_the_context() -> None:
    model, held = model_of("transformer"), []
    empty_state = model.empty_state

    def spy(batch: int, capacity: int) -> object:
        held.append(capacity)
        return empty_state(batch, capacity)

    model.empty_state = spy  # type: ignore[method-assign, assignment]
    try:
        generate(model, PROMPTS, max_new_tokens=NEW, when_full="slide")
    finally:
        del model.empty_state  # type: ignore[method-assign]
    assert max(held) == CONTEXT


@kinds
def test_a_text_may_end_with_the_context(kind: str) -> None:
    model, prompts = model_of(kind), [[5, 1, 7], [1] * CONTEXT]
    free = generate(model, [[5, 1, 7]], max_new_tokens=CONTEXT - 2)
    rows = generate(model, prompts, max_new_tokens=10**6, when_full="stop")
    assert rows[0] == free[0]
    assert [len(row) for row in rows] == [CONTEXT - 2, 1]
    with pytest.raises(UsageError, match="Shorten the prompt"):
        generate(model, [[1] * (CONTEXT + 1)], when_full="stop")


def test_what_may_be_written_behind_a_prompt() -> None:
    limited, endless = model_of("transformer"), model_of("gru")

    def asked(count: int | None, when_full: WhenFull, model: Decoder = limited) -> int:
        return new_tokens(model, [1] * 10, count, when_full)

    assert asked(None, "error") == asked(None, "stop") == CONTEXT - 9
    assert asked(None, "slide") == asked(None, "error", endless) == 256
    assert asked(10**9, "slide") == asked(10**9, "error", endless) == 10**9
    assert asked(10**9, "stop") == CONTEXT - 9
    assert asked(0, "error") == asked(0, "stop") == 0
    with pytest.raises(UsageError, match="when_full: stop or slide"):
        asked(CONTEXT - 8, "error")


def test_rows_may_differ_in_how_much_they_are_given() -> None:
    model = model_of("transformer")
    rows = continue_rows(model, PROMPTS[:2] * 2, [4, 9, 0, 1])
    assert [len(row.tokens) for row in rows] == [4, 9, 0, 1]
    assert [row.ended for row in rows] == ["length"] * 4
    whole = generate(model, PROMPTS[:2], max_new_tokens=9)
    assert [rows[0].tokens, rows[1].tokens] == [whole[0][:4], whole[1]]


def test_why_a_row_ended() -> None:
    model = model_of("gru")
    free = generate(model, PROMPTS, max_new_tokens=12)
    end = free[0][4]
    rows = continue_rows(model, PROMPTS, [12] * 4, stop=[end], on_token=lambda row, token: row == 1)
    assert rows[0].ended == "end"
    assert (rows[1].ended, len(rows[1].tokens)) == ("stop", 1)
    assert {row.ended for row, new in zip(rows, free, strict=True) if end not in new} <= {
        "length",
        "stop",
    }


def test_an_interruption_keeps_what_is_written() -> None:
    model, asked = model_of("gru"), iter([False, False, True])
    rows = continue_rows(model, PROMPTS, [12, 12, 12, 2], interrupted=lambda: next(asked))
    free = generate(model, PROMPTS, max_new_tokens=12)
    assert [row.tokens for row in rows] == [*(new[:3] for new in free[:3]), free[3][:2]]
    assert [row.ended for row in rows] == ["interrupted"] * 3 + ["length"]


def test_what_does_not_fit_is_refused_before_it_is_allocated(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Attention within a window has no limit, and keeps every position.
    with pytest.raises(UsageError, match=r"1 rows of 1,?0+2 positions carry .* GiB. Expected"):
        generate(small("windowed"), [[1, 2, 3]], max_new_tokens=10**15)
    model = small("windowed")
    needed = model.empty_state(3, 40).nbytes
    monkeypatch.setattr(memory, "device_memory", lambda device: needed)
    memory.check_memory(model, 3, 40)
    for batch, capacity in ((3, 41), (4, 40)):
        with pytest.raises(UsageError, match="fewer rows at once"):
            memory.check_memory(model, batch, capacity)
    memory.check_memory(small("gru"), 1, 10**15)


def test_a_huge_number_of_new_tokens_costs_nothing_before_they_come() -> None:
    for kind, when_full in (("gru", "error"), ("mingru", "error"), ("transformer", "slide")):
        taken: list[int] = []

        def enough(row: int, token: int, taken: list[int] = taken) -> bool:
            taken.append(token)
            return len(taken) == 3

        model = model_of(kind)
        limit = new_tokens(model, [1, 2], 10**15, when_full)  # type: ignore[arg-type]
        [row] = continue_rows(model, [[1, 2]], [limit], on_token=enough)
        assert (row.tokens, row.ended) == (taken, "stop")
