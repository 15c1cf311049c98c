"""The laws, on every mixer, on the cross blocks, and on whole models (docs/laws.md)."""

import law_checks as laws
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from subjects import (
    ALL,
    CAUSAL,
    CLASSIFIERS,
    CROSS,
    ENCODER_DECODERS,
    MODELS,
    Subject,
    built,
    schedule_count,
)

ROUNDED = [torch.float32, torch.bfloat16]
every = pytest.mark.parametrize("subject", ALL, ids=str)
models = pytest.mark.parametrize("subject", MODELS, ids=str)
causal = pytest.mark.parametrize("subject", CAUSAL, ids=str)


def odd_lengths(subject: Subject) -> list[int]:
    """1, 2, C - 1, C, C + 1 and a prime."""
    chunk = subject.chunk
    return sorted({1, 2, chunk - 1, chunk, chunk + 1, 37})


@causal
@pytest.mark.parametrize("kind", ["full", "ragged"])
def test_law_1_two_forms(subject: Subject, kind: str) -> None:
    laws.two_forms(subject, kind)
    laws.two_forms(subject, kind, started=True)
    laws.two_forms(subject, kind, schedule=0, length=5)
    laws.two_forms(subject, kind, schedule=1, length=5)


@causal
@pytest.mark.parametrize("dtype", ROUNDED, ids=str)
def test_law_1_two_forms_rounded(subject: Subject, dtype: torch.dtype) -> None:
    for schedule in range(schedule_count(built(subject))):
        laws.two_forms(subject, "ragged", dtype=dtype, schedule=schedule, started=schedule == 1)
    laws.two_forms(subject, "full", dtype=dtype, started=True)


@causal
def test_law_1_in_place(subject: Subject) -> None:
    laws.in_place(subject)


@causal
@given(cuts=st.lists(st.integers(0, 9), min_size=1, max_size=4))
@settings(max_examples=4)
def test_law_2_split(subject: Subject, cuts: list[int]) -> None:
    laws.split(subject, cuts)


@causal
@pytest.mark.parametrize("kind", ["ragged", "packed"])
def test_law_2_split_uneven_rows(subject: Subject, kind: str) -> None:
    laws.split(subject, [1, 4, 4, 6], kind)
    laws.split(subject, [3, 5], kind, started=True)


@every
def test_law_3_padding(subject: Subject) -> None:
    laws.padding(subject)
    laws.padding(subject, length=1)
    laws.padding(subject, kind="packed")


@causal
def test_law_3_padding_from_a_state(subject: Subject) -> None:
    laws.padding(subject, started=True)


@every
@pytest.mark.parametrize("schedule", [0, -1], ids=["reference", "fast"])
def test_law_3_documents(subject: Subject, schedule: int) -> None:
    laws.documents(subject, schedule=schedule)


@every
@pytest.mark.parametrize("kind", ["full", "ragged", "packed"])
def test_law_4_causality(subject: Subject, kind: str) -> None:
    laws.causality(subject, kind)


@every
def test_law_4_converse(subject: Subject) -> None:
    laws.far_sight(subject)


@pytest.mark.parametrize("subject", CROSS + ENCODER_DECODERS, ids=str)
def test_law_4_reading(subject: Subject) -> None:
    laws.reading(subject)


@every
@pytest.mark.parametrize("weights", ["fresh", "disturbed", "trained"])
def test_law_5_schedules(subject: Subject, weights: str) -> None:
    for length in odd_lengths(subject):
        laws.schedules(subject, length=length, weights=weights, started=length % 2 == 1)


@every
@pytest.mark.parametrize("kind", ["ragged", "packed"])
def test_law_5_schedules_uneven_rows(subject: Subject, kind: str) -> None:
    for length in (1, subject.chunk, 11):
        laws.schedules(subject, kind, length)
        laws.schedules(subject, kind, length, started=True)


@models
@pytest.mark.parametrize("kind", ["full", "ragged", "packed"])
def test_law_6_accumulation(subject: Subject, kind: str) -> None:
    laws.accumulation(subject, kind)


@pytest.mark.parametrize("subject", ENCODER_DECODERS + CLASSIFIERS, ids=str)
@pytest.mark.parametrize("kind", ["full", "ragged"])
def test_law_6_accumulation_of_other_tasks(subject: Subject, kind: str) -> None:
    laws.accumulation(subject, kind)


@every
def test_law_9_batching(subject: Subject) -> None:
    laws.batching(subject)


@causal
@pytest.mark.parametrize("kind", ["full", "ragged"])
def test_rewinding(subject: Subject, kind: str) -> None:
    laws.rewinding(subject, kind)


@causal
def test_moving_states(subject: Subject) -> None:
    laws.moving(subject)
