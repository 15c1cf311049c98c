"""From what a comparison has found to a study: plain data, complete or not."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from phalanx.comparison import recall
from phalanx.comparison.claims import claims
from phalanx.comparison.clocks import figure
from phalanx.comparison.contract import contract, describe_optimizer, schedules
from phalanx.comparison.crossover import disagreements, predict
from phalanx.comparison.language_course import LENGTH
from phalanx.comparison.record import Found, Setting
from phalanx.comparison.results import FORMAT, DistancePoint, Study, Trained, Verdict
from phalanx.comparison.rules import no_efficiency, not_measured
from phalanx.comparison.structure import structure_rows
from phalanx.comparison.tuning import rates_of

PROMPT = "def "
_VERSIONS = ("python", "torch", "phalanx")
LONG_RANGE = ("long_range_dependency", "")
_WAITING_CELLS = (
    ("core_dependency", ""),
    ("parallel_training", ""),
    ("parallel_inference", "one_pass"),
)


def summarize(setting: Setting, found: Found, elapsed: float) -> Study:
    """What is known, as plain data."""
    machine = {name: _cells(found, name) for name in setting.names} if found.machine else {}
    rows = structure_rows(found.structures, machine)
    judged = [
        claim
        for structure in found.structures
        for claim in claims(
            structure.model,
            structure.claims,
            machine.get(structure.model),
            found.levels,
            _gradient_verdict(found, structure.model),
            _size_verdict(found, structure.model),
        )
    ]
    corpus, facts = _corpus_facts(setting), _machine_facts(setting, found)
    return Study(
        format=FORMAT,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        command=setting.request.command,
        language=setting.request.language,
        corpus=corpus,
        machine=facts,
        budget_seconds=setting.request.budget,
        elapsed_seconds=elapsed,
        models=_trained(setting, found),
        rows=rows,
        levels=found.levels,
        claims=judged,
        scaling=found.scaling or [p for s in found.structures for p in s.scaling],
        distances=_distances(found),
        taggers=found.taggers,
        contract=(
            contract(
                setting.models,
                found.work,
                found.contest,
                corpus,
                facts,
                setting.request.seed,
                setting.request.repeats,
            )
            if found.work
            else {}
        ),
        notes=_notes(found),
        sizes=[point for sized in found.sizes.values() for point in sized.points],
        recall_chance=recall.CHANCE if found.recalled else None,
    )


def _cells(found: Found, name: str) -> dict[tuple[str, str], Verdict]:
    assert found.machine is not None
    cells = dict(found.machine.verdicts[name])
    recalled = found.recalled.get(name)
    why = found.left_out.get("recall", "The comparison ended before it.")
    cells[LONG_RANGE] = recalled.verdict() if recalled else not_measured(LONG_RANGE, why)
    return cells


def _gradient_verdict(found: Found, name: str) -> Verdict | None:
    curves = found.carried.get(name)
    if not curves:
        return None
    others = "; ".join(
        f"{curve.variant} {figure(curve.decades).median:+.3f}" for curve in curves[:-1]
    )
    # The last one: trained where training was reached.
    chosen = curves[-1] if curves[-1].variant == "trained" else curves[0]
    return chosen.verdict(f"Others: {others}." if others else "")


def _size_verdict(found: Found, name: str) -> Verdict | None:
    if found.machine is None:  # nothing was asked of this machine
        return None
    sized = found.sizes.get(name)
    why = found.left_out.get("sizes", "The comparison ended before it.")
    return sized.verdict if sized else no_efficiency(why)


def _distances(found: Found) -> list[DistancePoint]:
    hops = [point for structure in found.structures for point in structure.distances]
    carried = [
        point
        for name, curves in found.carried.items()
        for curve in curves
        for point in curve.points(name)
    ]
    recalled = [p for name, r in found.recalled.items() for p in r.points(name)]
    return hops + carried + recalled


def _trained(setting: Setting, found: Found) -> list[Trained]:
    contest, trained = found.contest, []
    for contender in setting.models:
        ran = contest.equal_tokens.get(contender.name)
        if ran is None:
            continue
        timed = contest.equal_seconds.get(contender.name)
        rates = rates_of(contender.preset)
        work = found.work[contender.name]
        trained.append(
            Trained(
                name=contender.name,
                parameters=contender.parameters[0],
                non_embedding_parameters=contender.parameters[1],
                config=contender.config.model_dump(mode="json"),
                schedules=schedules(ran.model),
                learning_rate=(
                    rates.muon_learning_rate if rates.optimizer == "muon" else rates.learning_rate
                ),
                optimizer=describe_optimizer(rates),
                tuning_trials=rates.trials,
                steps=ran.steps,
                tokens=ran.tokens,
                seconds=ran.seconds,
                flops_per_token=float(work.train.at(LENGTH)) / LENGTH,
                tokens_per_second=ran.speed.median,
                tokens_per_second_low=ran.speed.low,
                tokens_per_second_high=ran.speed.high,
                peak_memory_bytes=ran.memory,
                curve=ran.curve,
                loss_at_equal_tokens=ran.last.loss,
                loss_at_equal_seconds=None if timed is None else timed.last.loss,
                bits_per_byte=ran.last.scores["bits_per_byte"],
                prompt=PROMPT,
                sample=found.samples.get(contender.name, PROMPT),
            )
        )
    return trained


def _notes(found: Found) -> list[str]:
    notes = list(found.notes) + list(found.contest.notes)
    if found.machine is not None:
        structure = {
            s.model: {cell: verdict.verdict for cell, verdict in s.cells.items()}
            for s in found.structures
        }
        measured = {
            name: {cell: verdict.verdict for cell, verdict in cells.items()}
            for name, cells in found.machine.verdicts.items()
        }
        notes += disagreements(structure, measured, _WAITING_CELLS)
        trains = {m: cells[("parallel_training", "")] for m, cells in structure.items()}
        notes += predict(found.machine.waiting, trains)
    named = {"closing": "samples and trained gradients"}
    notes += [
        f"{named.get(part, part).capitalize()}: not measured. {why}"
        for part, why in found.left_out.items()
    ]
    if found.seconds:
        parts = ", ".join(f"{part} {taken:.1f}" for part, taken in found.seconds.items())
        notes.append(f"Seconds of each part: {parts}.")
    return notes


def _corpus_facts(setting: Setting) -> dict[str, Any]:
    text = setting.text.windows
    return {
        "name": setting.corpus.name,
        "hash": setting.corpus.digest,
        "files": setting.corpus.files,
        "bytes": setting.corpus.bytes,
        "train_tokens": setting.train_tokens,
        "validation_tokens": text.positions,
        "tokenizer": f"{setting.tokenizer.kind}, vocabulary {setting.tokenizer.vocabulary}",
        "validation": (
            f"{text.positions:,} of {setting.validation_side:,} tokens of the validation side "
            f"(split {setting.corpus.split}): whole windows of {LENGTH}, evenly spread"
        ),
    }


def _machine_facts(setting: Setting, found: Found) -> dict[str, Any]:
    return {**machine_facts(setting.facts, setting.device), **found.peaks}


def machine_facts(facts: Mapping[str, Any], device: str) -> dict[str, Any]:
    """The machine, the device in use first and the versions together.

    Args:
        facts: ``hardware.facts()``.
        device: in use.
    """
    versions = {name: facts[name] for name in _VERSIONS}
    others = {name: fact for name, fact in facts.items() if name not in _VERSIONS}
    return {"device": device, **others, "versions": versions}
