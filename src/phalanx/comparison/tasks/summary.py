"""From what a comparison on a task has found to a study: plain data, complete or not."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from phalanx.comparison import contract as terms
from phalanx.comparison.contenders import Contender
from phalanx.comparison.contest import Contest
from phalanx.comparison.course import PIECES
from phalanx.comparison.results import CurvePoint
from phalanx.comparison.summary import machine_facts
from phalanx.comparison.tasks.request import TaskRequest
from phalanx.comparison.tasks.results import (
    FORMAT,
    Baseline,
    Inference,
    TaskStudy,
    TaskTrained,
)
from phalanx.comparison.tasks.scores import primary
from phalanx.comparison.tuning import Rates
from phalanx.comparison.work import Work
from phalanx.training.prepared import Prepared


@dataclass(frozen=True)
class TaskSetting:
    """What every model of a comparison on a task meets.

    Args:
        request: what is wanted.
        device: where it is computed.
        models: who takes part.
        prepared: the task's data.
        facts: of this machine.
    """

    request: TaskRequest
    device: str
    models: tuple[Contender, ...]
    prepared: Prepared
    facts: dict[str, Any]


@dataclass
class TaskFound:
    """What a comparison on a task has found so far; ``rates`` are those that models train with."""

    rates: dict[str, Rates] = field(default_factory=dict)
    work: dict[str, Work] = field(default_factory=dict)
    inference: list[Inference] = field(default_factory=list)
    baselines: list[Baseline] = field(default_factory=list)
    contest: Contest = field(default_factory=Contest)
    notes: list[str] = field(default_factory=list)


def summarize(setting: TaskSetting, found: TaskFound, elapsed: float) -> TaskStudy:
    """What is known, as plain data."""
    request, prepared = setting.request, setting.prepared
    models = _trained(setting, found)
    machine = machine_facts(setting.facts, setting.device)
    return TaskStudy(
        format=FORMAT,
        task=request.task,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        command=request.command,
        language=request.language,
        data=_data(prepared),
        machine=machine,
        budget_seconds=request.budget,
        elapsed_seconds=elapsed,
        primary=primary(models[0].equal_tokens) if models else "",
        models=models,
        baselines=found.baselines,
        inference=found.inference,
        contract=_contract(setting, found, models, machine) if found.work else {},
        notes=[*found.notes, *found.contest.notes],
    )


def _data(prepared: Prepared) -> dict[str, Any]:
    tokenizer = prepared.tokenizer
    facts = prepared.data_summary()
    labels = facts.pop("labels", None) or dict.fromkeys(prepared.labels or ())
    return {
        **facts,
        "tokenizer": f"{tokenizer.kind}, vocabulary {tokenizer.vocabulary}",
        "labels": len(labels),
    }


def _trained(setting: TaskSetting, found: TaskFound) -> list[TaskTrained]:
    contest, trained = found.contest, []
    for contender in setting.models:
        ran = contest.equal_tokens.get(contender.name)
        if ran is None:
            continue
        timed = contest.equal_seconds.get(contender.name)
        rates = found.rates[contender.name]
        trained.append(
            TaskTrained(
                name=contender.name,
                parameters=contender.parameters[0],
                non_embedding_parameters=contender.parameters[1],
                config=contender.config.model_dump(mode="json"),
                schedules=terms.schedules(ran.model),
                optimizer=terms.describe_optimizer(rates),
                tuning_trials=rates.trials,
                steps=ran.steps,
                tokens=ran.tokens,
                seconds=ran.seconds,
                flops=ran.last.flops,
                tokens_per_second=ran.speed.median,
                tokens_per_second_low=ran.speed.low,
                tokens_per_second_high=ran.speed.high,
                peak_memory_bytes=ran.memory,
                equal_tokens=_best(ran.curve, setting.prepared),
                equal_seconds=None if timed is None else _best(timed.curve, setting.prepared),
                curve=ran.curve,
                timed_curve=[] if timed is None else timed.curve,
            )
        )
    return trained


def _best(curve: Sequence[CurvePoint], prepared: Prepared) -> dict[str, float]:
    """The best validation of a run: what training keeps, however long the budget lets it go on."""
    return min(({"loss": point.loss, **point.scores} for point in curve), key=prepared.criterion)


def _contract(
    setting: TaskSetting,
    found: TaskFound,
    models: list[TaskTrained],
    machine: Mapping[str, Any],
) -> dict[str, Any]:
    request, prepared = setting.request, setting.prepared
    train, tokenizer = prepared.config.train, prepared.tokenizer
    return {
        **terms.sizes(setting.models),
        "tokenizer": (f"{tokenizer.kind}, vocabulary {tokenizer.vocabulary}, the same for all"),
        "data_order": terms.order(request.seed),
        "batch": f"{train.batch_size} texts of at most {train.sequence_length} tokens",
        **terms.budgets(found.contest),
        "flops": {model.name: round(model.flops) for model in models} or "not measured",
        "flops_per_token": {model.name: round(model.flops / model.tokens) for model in models}
        or "not measured",
        "wall_clock": terms.wall_clock(request.repeats),
        "tokens_per_second": f"training, padding not counted, over {PIECES} pieces of a run",
        "peak_memory": terms.peak_memory(machine),
        "validation": (
            "the whole validation side, the best validation of each run; split "
            f"{prepared.facts.split}"
        ),
        "optimizer": {
            c.name: terms.describe_optimizer(found.rates[c.name]) for c in setting.models
        },
        "tuning_trials": {c.name: found.rates[c.name].trials for c in setting.models},
        "tuning": "learning rates from a sweep on language modelling, none on this task",
        **terms.on_what(machine),
    }
