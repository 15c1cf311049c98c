"""One loop for every causal model: what it writes is what the whole pass would choose."""

import dataclasses
import math
from functools import cache

import pytest
import torch
from small_models import CONTEXT, KINDS, VOCABULARY, small
from torch import Tensor

from phalanx.errors import PhalanxError, UsageError
from phalanx.inference import (
    Chooser,
    Decoding,
    Greedy,
    Penalized,
    Sampler,
    context_limit,
    generate,
)
from phalanx.models import Decoder, build, preset
from phalanx.rows import Rows

PROMPTS = [[5, 1, 7], [2], [3, 9, 4, 4, 20, 11, 8, 0, 6], [12, 13]]
SAMPLER = Penalized(Sampler(temperature=0.9, top_k=20, top_p=0.97, min_p=0.001), 1.3)
BOTH = pytest.mark.parametrize("sampler", [Greedy(), SAMPLER], ids=["greedy", "sampled"])


@cache
def model_of(kind: str) -> Decoder:
    return small(kind)


@cache
def written(kind: str, sampler: Chooser) -> list[list[int]]:
    """What a model of that kind writes in one batch."""
    return generate(model_of(kind), PROMPTS, max_new_tokens=12, sampler=sampler, seed=9)


@pytest.mark.parametrize("kind", KINDS)
def test_greedy_tokens_are_those_of_the_whole_pass(kind: str) -> None:
    for prompt, new in zip(PROMPTS, written(kind, Greedy()), strict=True):
        logits = model_of(kind)(torch.tensor([prompt + new]))[0]
        assert logits[len(prompt) - 1 : -1].argmax(-1).tolist() == new


def test_the_texts_under_test_vary() -> None:
    texts = [written(kind, Greedy()) for kind in KINDS]
    assert all(max(len(set(new)) for new in rows) > 3 for rows in texts)


@BOTH
@pytest.mark.parametrize("kind", KINDS)
def test_batched_prompts_give_the_tokens_of_each_alone(kind: str, sampler: Chooser) -> None:
    together = written(kind, sampler)
    for row, prompt in enumerate(PROMPTS):
        alone = generate(model_of(kind), [prompt], max_new_tokens=12, sampler=sampler, seed=9)
        assert alone == [together[row]]


@pytest.mark.parametrize("kind", KINDS)
def test_in_single_precision_tokens_differ_only_where_rounding_decides(kind: str) -> None:
    model = small(kind, torch.float32)
    together = generate(model, PROMPTS, max_new_tokens=12)
    for row, prompt in enumerate(PROMPTS):
        alone = generate(model, [prompt], max_new_tokens=12)[0]
        whole = model(torch.tensor([prompt + alone]))[0, len(prompt) - 1 : -1]
        exact = model_of(kind)(torch.tensor([prompt + alone]))[0, len(prompt) - 1 : -1]
        noise = (whole.double() - exact).abs().max()
        for t, (one, other) in enumerate(zip(alone, together[row], strict=True)):
            if one != other:
                first, second = exact[t].topk(2).values
                assert first - second < 8 * noise
                break  # from here on the texts differ for a reason


@pytest.mark.parametrize("kind", KINDS)
def test_a_loop_that_forgets_the_lengths_is_found_out(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, right = model_of(kind), written(kind, Greedy())
    monkeypatch.setattr(Rows, "padded", lambda lengths_B, length: Rows.full(len(lengths_B), length))
    wrong = generate(model, PROMPTS, max_new_tokens=12)
    assert wrong[2] == right[2]  # the longest prompt has no padding
    assert wrong[0] != right[0]


@BOTH
@pytest.mark.parametrize("kind", KINDS)
def test_finished_rows_stand_still_and_disturb_nobody(kind: str, sampler: Chooser) -> None:
    model, free = model_of(kind), written(kind, sampler)
    stop = free[0][4]
    stopped = generate(model, PROMPTS, max_new_tokens=12, sampler=sampler, seed=9, stop=[stop])
    for new, whole in zip(stopped, free, strict=True):
        end = whole.index(stop) + 1 if stop in whole else 12
        assert new == whole[:end]
    assert len({len(new) for new in stopped}) > 1


def test_the_loop_tells_the_model_which_rows_are_finished(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[bool]] = []
    step = Decoding.step

    def spy(self: Decoding, tokens_B: Tensor, active_B: Tensor | None = None) -> Tensor:
        seen.append([True] * 4 if active_B is None else active_B.tolist())
        return step(self, tokens_B, active_B)

    monkeypatch.setattr(Decoding, "step", spy)
    stop = written("rnn", Greedy())[0][4]
    rows = generate(model_of("rnn"), PROMPTS, max_new_tokens=12, stop=[stop])
    lengths = [len(new) for new in rows]
    assert seen == [[length > call for length in lengths] for call in range(1, max(lengths))]
    assert [True] * 4 in seen
    assert len({tuple(active) for active in seen}) > 1


@pytest.mark.parametrize("kind", KINDS)
def test_a_row_that_stands_still_keeps_its_state_and_what_it_has_seen(kind: str) -> None:
    model, chooser = model_of(kind), Penalized(Greedy(), 1e9)
    with torch.inference_mode():
        decoding = Decoding(model, PROMPTS[:2], CONTEXT, chooser=chooser)
        tokens_B = decoding.prefill()
        for token in range(20):  # what an inactive row is given is not read
            decoding.step(torch.tensor([0, token]), torch.tensor([True, False]))
        resumed = decoding.step(tokens_B)
        other = Decoding(model, PROMPTS[:2], 20, chooser=chooser)
        expected = other.step(other.prefill())
    assert resumed[1] == expected[1]


@pytest.mark.parametrize("kind", ["lstm", "transformer"])
def test_samples_are_told_apart_by_their_number_alone(kind: str) -> None:
    model, prompt = model_of(kind), PROMPTS[0]
    rows = generate(
        model, [prompt] * 4, max_new_tokens=12, sampler=Sampler(), seed=2, samples=[0, 1, 1, 7]
    )
    assert rows[1] == rows[2]
    assert len({tuple(new) for new in rows}) == 3
    alone = generate(model, [prompt], max_new_tokens=12, sampler=Sampler(), seed=2, samples=[7])
    assert alone == [rows[3]]


def test_the_seed_decides_what_is_drawn() -> None:
    model = small("gru")

    def text(seed: int) -> list[list[int]]:
        return generate(model, PROMPTS, max_new_tokens=12, sampler=Sampler(), seed=seed)

    assert text(1) == text(1)
    assert text(1) != text(2)


def test_what_is_drawn_depends_on_the_absolute_position() -> None:
    # A model without a past: its scores are the same everywhere, so only the noise differs.
    model = small("rnn")
    for parameter in model.parameters():
        torch.nn.init.zeros_(parameter)
    rows = generate(model, [[0], [0, 0, 0]], max_new_tokens=10, sampler=Sampler(), seed=1)
    assert rows[0][2:] == rows[1][:8]
    assert len(set(rows[0])) > 1


@pytest.mark.parametrize(
    ("kind", "limit"),
    [
        ("rnn", None),
        ("mingru", None),
        ("windowed", None),
        ("transformer", CONTEXT),
        ("transformer-2017", CONTEXT),
        ("gpt2", CONTEXT),
        ("hybrid", CONTEXT),
    ],
)
def test_the_context_ends_where_attention_was_not_trained(kind: str, limit: int | None) -> None:
    model = model_of(kind)
    assert context_limit(model.config) == limit
    prompt = [1] * 10
    # 10 positions for the prompt; the last of the new tokens is never read.
    fitting = CONTEXT - 10 + 1
    assert len(generate(model, [prompt], max_new_tokens=fitting)[0]) == fitting
    if limit is None:
        assert len(generate(model, [prompt], max_new_tokens=2 * CONTEXT)[0]) == 2 * CONTEXT
    else:
        with pytest.raises(UsageError, match=rf"at most {CONTEXT}.*at most {fitting} new tokens"):
            generate(model, [[1], prompt], max_new_tokens=fitting + 1)
        with pytest.raises(UsageError, match="Shorten the prompt"):
            generate(model, [[1] * (CONTEXT + 1)], max_new_tokens=1)


def test_a_window_wider_than_the_context_is_limited_by_it() -> None:
    config = preset("transformer", VOCABULARY, CONTEXT, width=32, attention={"window": CONTEXT + 1})
    assert context_limit(config) == CONTEXT


@pytest.mark.parametrize(
    ("prompts", "message"),
    [
        ([[1], []], "no tokens"),
        ([[VOCABULARY]], "outside the vocabulary"),
        ([[-1]], "outside the vocabulary"),
    ],
)
def test_prompts_that_cannot_be_read_are_refused(prompts: list[list[int]], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        generate(small("rnn"), prompts)


def test_an_encoder_does_not_generate() -> None:
    config = preset("transformer", VOCABULARY, CONTEXT, width=32, kind="encoder")
    with pytest.raises(UsageError, match="does not generate"):
        generate(build(config), [[1]])  # type: ignore[arg-type]  # the mistake under test


def test_nothing_is_asked_and_nothing_is_written() -> None:
    model = small("rnn")
    assert generate(model, []) == []
    assert generate(model, PROMPTS, max_new_tokens=0) == [[], [], [], []]
    with pytest.raises(UsageError, match="max_new_tokens -1"):
        generate(model, PROMPTS, max_new_tokens=-1)
    with pytest.raises(UsageError, match="2 sample numbers for 4 prompts"):
        generate(model, PROMPTS, samples=[0, 1])


def test_tokens_are_reported_as_they_come() -> None:
    model, seen = small("gru"), []
    rows = generate(
        model, PROMPTS[:2], max_new_tokens=3, on_token=lambda row, token: seen.append((row, token))
    )
    assert seen == [(row, rows[row][t]) for t in range(3) for row in range(2)]


def test_dropout_is_off_and_the_mode_is_given_back() -> None:
    model = small("transformer")
    expected = generate(model, PROMPTS, max_new_tokens=10)
    noisy = Decoder(model.config.model_copy(update={"dropout": 0.5})).double()
    noisy.load_state_dict(model.state_dict())
    noisy.train()
    assert generate(noisy, PROMPTS, max_new_tokens=10) == expected
    assert noisy.training


def test_scores_that_are_no_numbers_are_an_error() -> None:
    model = small("rnn")
    torch.nn.init.constant_(model.embedding.weight, math.nan)
    with pytest.raises(PhalanxError, match="not numbers"):
        generate(model, [[1]])


def test_choosers_are_values() -> None:
    assert Sampler(0.5) == Sampler(0.5)
    with pytest.raises(dataclasses.FrozenInstanceError):
        Sampler().temperature = 2.0  # type: ignore[misc]  # the mistake under test
