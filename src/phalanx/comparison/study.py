"""A comparison from beginning to end, within a total of wall time.

Structure first: it is exact and quick. Then what this machine does, and training, which takes the
time that is left. Whatever is done is kept as it comes, so that an interrupted comparison still has
something to show.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from torch import Tensor

from phalanx.comparison import contest as training
from phalanx.comparison import gradients, recall
from phalanx.comparison.budget import Budget, parse_seconds
from phalanx.comparison.claims import claims
from phalanx.comparison.clocks import figure
from phalanx.comparison.contenders import (
    TOLERANCE,
    Contender,
    check_names,
    contenders,
    mismatch,
)
from phalanx.comparison.contest import Contest, Course, Shown, run_contest, selection
from phalanx.comparison.contract import contract, describe_optimizer, schedules
from phalanx.comparison.crossover import disagreements, predict
from phalanx.comparison.gradients import Carried
from phalanx.comparison.levels import ablations, measure_levels
from phalanx.comparison.machine import Machine, measure_machine
from phalanx.comparison.measured_rules import not_measured
from phalanx.comparison.recall import Recalled, train_recall
from phalanx.comparison.results import (
    FORMAT,
    DistancePoint,
    Level,
    Row,
    ScalingPoint,
    Study,
    Tagger,
    Trained,
    Verdict,
)
from phalanx.comparison.scaling import scaling
from phalanx.comparison.structure import Structure, examine, structure_rows
from phalanx.comparison.subjects import Subject
from phalanx.comparison.tagging import measure_tagging
from phalanx.comparison.tuning import rates_of
from phalanx.comparison.work import Work, count_work
from phalanx.data.batches import LanguageWindows
from phalanx.data.sources import Corpus, load_corpus
from phalanx.data.tokenizers import Tokenizer, train_tokenizer
from phalanx.errors import PhalanxError, UsageError
from phalanx.inference.sampling import Sampler
from phalanx.inference.text import generate_text
from phalanx.models import Decoder, build
from phalanx.profiling import hardware
from phalanx.training.precision import choose_device
from phalanx.training.trainer import Trainer

CONTEXT = training.LENGTH  # positions that presets are built for, and trained on
DEFAULT_SIZE = 400_000
DEFAULT_BUDGET = 240.0
_VALIDATION = (8_192, 262_144)  # tokens, least and most
_VALIDATION_PER_SECOND = 150  # tokens for each second of budget
_PROMPT = "def "
_SAMPLER = Sampler(temperature=0.8)
_LONG_RANGE = ("long_range_dependency", "")
_WAITING_CELLS = (
    ("core_dependency", ""),
    ("parallel_training", ""),
    ("parallel_inference", "one_pass"),
)


class Listener:
    """Told of what happens; every method may be left as it is."""

    def say(self, text: str) -> None:
        """One line on what comes next, or on what was found."""

    def structure(self, rows: Sequence[Row], models: Sequence[str]) -> None:
        """The structure verdicts are known."""

    def run(self, title: str, trainer: Trainer) -> AbstractContextManager[Shown]:
        """A training run begins; its events go to what this returns."""
        return nullcontext(_Silent())


class _Silent:
    def show(self, event: object) -> None:
        """Show nothing."""


@dataclass(frozen=True)
class Request:
    """What is to be compared, and how.

    Args:
        models: presets, YAML files, run directories.
        corpus: what ``load_corpus`` takes.
        tokenizer: ``bytes``, ``characters`` or ``bpe``.
        size: parameters of a preset outside its tables.
        budget: seconds of wall time in all.
        repeats: turns of every measured figure, at least 3.
        seed: of weights, order and sampling.
        device: ``auto``, ``cpu`` or ``cuda``.
        only_structure: stop after the structure verdicts.
        language: of the report.
        command: as it was typed, for the record.
    """

    models: tuple[str, ...]
    corpus: str = "stdlib"
    tokenizer: str = "bytes"
    size: int = DEFAULT_SIZE
    budget: float = DEFAULT_BUDGET
    repeats: int = 3
    seed: int = 0
    device: str = "auto"
    only_structure: bool = False
    language: str = "en"
    command: str = ""


@dataclass
class _Found:
    """What a comparison found so far."""

    structures: list[Structure] = field(default_factory=list)
    work: dict[str, Work] = field(default_factory=dict)
    machine: Machine | None = None
    levels: list[Level] = field(default_factory=list)
    carried: dict[str, list[Carried]] = field(default_factory=dict)
    recalled: dict[str, Recalled] = field(default_factory=dict)
    scaling: list[ScalingPoint] = field(default_factory=list)
    taggers: list[Tagger] = field(default_factory=list)
    contest: Contest = field(default_factory=Contest)
    samples: dict[str, str] = field(default_factory=dict)
    peaks: dict[str, float] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)  # part -> why
    notes: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)  # part -> taken


class Comparison:
    """A comparison under way; ``study()`` is what it has found so far.

    Args:
        request: what is wanted.
        listener: told of what happens.
        started: reading of ``time.perf_counter`` at which the budget began.

    Raises:
        UsageError: the request is wrong: models, corpus, tokenizer, size, repeats or device.
    """

    def __init__(
        self, request: Request, listener: Listener | None = None, started: float | None = None
    ) -> None:
        if request.repeats < 3:
            raise UsageError(f"repeats {request.repeats}: expected at least 3, to show a spread.")
        self.request = request
        self.listener = listener or Listener()
        self.budget = Budget(request.budget, started)
        self.device = str(choose_device(request.device))
        check_names(request.models)
        self.corpus: Corpus = load_corpus(request.corpus)
        self.tokenizer: Tokenizer = train_tokenizer(
            request.tokenizer, [document.text for document in self.corpus.train]
        )
        self.models = contenders(request.models, self.tokenizer.vocabulary, CONTEXT, request.size)
        self.names = [contender.name for contender in self.models]
        train_ids = self.tokenizer.encode_documents(d.text for d in self.corpus.train)
        self._windows = LanguageWindows(train_ids, training.LENGTH, request.seed)
        validation_ids = self.tokenizer.encode_documents(d.text for d in self.corpus.validation)
        least, most = _VALIDATION
        wanted = min(max(int(_VALIDATION_PER_SECOND * request.budget), least), most)
        self._text = selection(self.tokenizer, validation_ids, wanted)
        self._validation_side = len(validation_ids)
        self.found = _Found()
        self._facts = hardware.facts()

    def run(self) -> Study:
        """Do everything; the study is complete when this returns."""
        self._describe()
        self._part("structure", self._structure)
        if not self.request.only_structure:
            self._part("work", self._work)
            self._part("machine", self._machine)
            self._part("levels", self._levels)
            self._part("gradients", self._gradients)
            self._part("recall", self._recall)
            self._part("scaling", self._scaling)
            self._part("tagging", self._tagging)
            self._part("training", self._training)
            self._part("closing", self._closing)
        return self.study()

    def study(self) -> Study:
        """What is known, as plain data."""
        found = self.found
        machine = {name: self._cells(name) for name in self.names} if found.machine else {}
        rows = structure_rows(found.structures, machine)
        judged = [
            claim
            for structure in found.structures
            for claim in claims(
                structure.model,
                structure.claims,
                machine.get(structure.model),
                found.levels,
                self._gradient_verdict(structure.model),
            )
        ]
        corpus, facts = self._corpus_facts(), self._machine_facts()
        return Study(
            format=FORMAT,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            command=self.request.command,
            language=self.request.language,
            corpus=corpus,
            machine=facts,
            budget_seconds=self.request.budget,
            elapsed_seconds=self.budget.elapsed,
            models=self._trained(),
            rows=rows,
            levels=found.levels,
            claims=judged,
            scaling=found.scaling or [p for s in found.structures for p in s.scaling],
            distances=self._distances(),
            taggers=found.taggers,
            contract=(
                contract(
                    self.models,
                    found.work,
                    found.contest,
                    corpus,
                    facts,
                    self.request.seed,
                    self.request.repeats,
                )
                if found.work
                else {}
            ),
            notes=self._notes(),
            recall_chance=recall.CHANCE if found.recalled else None,
        )

    # -- the parts, in the order in which they run ----------------------------------------------

    def _part(self, name: str, do: Callable[[], None]) -> None:
        start = time.perf_counter()
        try:
            do()
        finally:
            self.found.seconds[name] = time.perf_counter() - start

    def _share(self, name: str) -> float | None:
        seconds = self.budget.share(name)
        if seconds is None:
            self.found.left_out[name] = self.budget.why_left_out(name)
        return seconds

    def _describe(self) -> None:
        say = self.listener.say
        say(
            f"text: {self.corpus.name}, {self.corpus.files} files, {self.corpus.bytes:,} bytes, "
            f"sha256 {self.corpus.digest[:12]}; {self.tokenizer.kind}, vocabulary "
            f"{self.tokenizer.vocabulary}"
        )
        for contender in self.models:
            total, inner = contender.parameters
            say(f"{contender.name}: {inner:,} parameters outside the tables, {total:,} in all")
        spread = mismatch(self.models)
        if spread > TOLERANCE:
            self._note(
                f"Sizes differ: the largest model has {spread:.0%} more parameters outside its "
                f"tables than the smallest (presets are matched within {TOLERANCE:.0%})."
            )
        for contender in self.models:
            if contender.origin == "run":
                self._note(
                    f"{contender.name}: the architecture of the run, trained anew; its weights "
                    "are not used."
                )
            if not rates_of(contender.preset).trials:
                self._note(
                    f"{contender.name}: no sweep of its own; trained with "
                    f"{describe_optimizer(contender)}."
                )

    def _structure(self) -> None:
        for contender in self.models:
            self.listener.say(f"tracing {contender.name}")
            self.found.structures.append(examine(Subject.of(contender.name, contender.config)))
        self.listener.structure(structure_rows(self.found.structures), self.names)

    def _work(self) -> None:
        for contender in self.models:
            self.found.work[contender.name] = count_work(contender.config)

    def _machine(self) -> None:
        seconds = self._share("machine")
        if seconds is not None:
            self.listener.say(f"timing passes and decoding, models in turn ({seconds:.0f} s)")
            start = time.perf_counter()
            measured = hardware.peaks(self.device, seconds=min(0.4, seconds / 40))
            self.found.peaks = {
                "peak_flops_fp32": measured.flops["float32"],
                "peak_flops_bf16": measured.flops["bfloat16"],
                "bandwidth_bytes_per_second": measured.bandwidth,
                "launch_seconds": measured.launch,
            }
            seconds -= time.perf_counter() - start
        self.found.machine = measure_machine(
            self.models,
            self.found.work,
            seconds,
            self.found.left_out.get("machine", "The time was too short for three turns."),
            self.device,
            self.request.repeats,
        )

    def _levels(self) -> None:
        seconds = self._share("levels")
        self.listener.say("making one level at a time serial")
        pairs = ablations(self.models, self.device)
        self.found.levels = measure_levels(pairs, seconds, self.device, self.request.repeats)

    def _gradients(self) -> None:
        if self._share("gradients") is None:
            return
        self.listener.say("gradients against distance, fresh weights")
        seeds = range(gradients.SEEDS)
        for contender in self.models:
            fresh = [self._fresh(contender, seed) for seed in seeds]
            tokens = self._gradient_tokens()
            curves = [gradients.carried(fresh, tokens, "fresh")]
            for radius in gradients.RADII:
                changed = [gradients.with_radius(model, radius) for model in fresh]
                known = [model for model in changed if model is not None]
                if known:
                    curves.append(gradients.carried(known, tokens, f"radius {radius:g}"))
            self.found.carried[contender.name] = curves

    def _recall(self) -> None:
        seconds = self._share("recall")
        if seconds is None:
            return
        self.listener.say(f"recall against distance, {seconds:.0f} s of training at most")
        end = time.perf_counter() + 0.95 * seconds
        for place, contender in enumerate(self.models):
            each = (end - time.perf_counter()) / (len(self.models) - place)
            self.found.recalled[contender.name] = train_recall(
                contender.config,
                rates_of(contender.preset),
                max(1.0, each),
                self.request.seed,
                self.device,
            )

    def _scaling(self) -> None:
        seconds = self._share("scaling")
        self.listener.say("time against length")
        self.found.scaling = scaling(
            self.models,
            self.found.work,
            [point for structure in self.found.structures for point in structure.scaling],
            seconds,
            self.device,
            self.request.repeats,
        )

    def _tagging(self) -> None:
        seconds = self._share("tagging")
        if seconds is None:
            return
        self.found.taggers = measure_tagging(
            seconds, self.request.seed, self.device, self.listener.run
        )

    def _training(self) -> None:
        seconds = self._share("training")
        if seconds is None:
            return
        course = Course(
            self._windows,
            self._text,
            self.request.seed,
            self.device,
        )
        keep = self.budget.left - seconds  # for what comes after
        run_contest(
            self.models,
            self.found.work,
            course,
            seconds,
            self.found.contest,
            self.listener.run,
            lambda: self.budget.left - keep,
        )

    def _closing(self) -> None:
        if not self.found.contest.equal_tokens:
            return
        tokens = self._gradient_tokens()
        for contender in self.models:
            ran = self.found.contest.equal_tokens.get(contender.name)
            if ran is None:
                continue
            self.found.samples[contender.name] = self._sample(ran.model)
            if contender.name in self.found.carried and self.budget.left > 0:
                curve = gradients.carried([ran.model], tokens, "trained")
                self.found.carried[contender.name].append(curve)

    # -- small things -----------------------------------------------------------------------------

    def _note(self, text: str) -> None:
        self.found.notes.append(text)
        self.listener.say(text)

    def _fresh(self, contender: Contender, seed: int) -> Decoder:
        # Where a preset starts branches at zero, nothing would be carried at all.
        drawn = contender.config.model_copy(update={"init": "glorot"})
        model = build(drawn, seed=self.request.seed + seed)
        assert isinstance(model, Decoder)
        return model.to(self.device)

    def _gradient_tokens(self) -> list[Tensor]:
        """Text that training does not see, for each seed."""
        rows = self._text.windows.inputs_NT
        count = min(gradients.ROWS, len(rows))
        starts = [seed * count % max(1, len(rows) - count + 1) for seed in range(gradients.SEEDS)]
        return [rows[at : at + count].to(self.device) for at in starts]

    def _sample(self, model: Decoder) -> str:
        prompt = self.tokenizer.encode(_PROMPT)
        try:
            [text] = generate_text(
                model,
                self.tokenizer,
                [_PROMPT],
                max_new_tokens=CONTEXT - len(prompt) + 1,  # as far as any model was trained
                sampler=_SAMPLER,
                seed=self.request.seed,
            )
        except PhalanxError as error:  # scores that are not numbers: the table says so already
            return f"{_PROMPT} ({error})"
        return _PROMPT + text

    def _cells(self, name: str) -> dict[tuple[str, str], Verdict]:
        assert self.found.machine is not None
        cells = dict(self.found.machine.verdicts[name])
        recalled = self.found.recalled.get(name)
        why = self.found.left_out.get("recall", "The comparison ended before it.")
        cells[_LONG_RANGE] = recalled.verdict() if recalled else not_measured(_LONG_RANGE, why)
        return cells

    def _gradient_verdict(self, name: str) -> Verdict | None:
        curves = self.found.carried.get(name)
        if not curves:
            return None
        others = "; ".join(
            f"{curve.variant} {figure(curve.decades).median:+.3f}" for curve in curves[:-1]
        )
        # The last one: trained where training was reached.
        chosen = curves[-1] if curves[-1].variant == "trained" else curves[0]
        return chosen.verdict(f"Others: {others}." if others else "")

    def _distances(self) -> list[DistancePoint]:
        hops = [point for structure in self.found.structures for point in structure.distances]
        carried = [
            point
            for name, curves in self.found.carried.items()
            for curve in curves
            for point in curve.points(name)
        ]
        recalled = [p for name, r in self.found.recalled.items() for p in r.points(name)]
        return hops + carried + recalled

    def _trained(self) -> list[Trained]:
        contest, found = self.found.contest, []
        for contender in self.models:
            ran = contest.equal_tokens.get(contender.name)
            if ran is None:
                continue
            timed = contest.equal_seconds.get(contender.name)
            rates = rates_of(contender.preset)
            work = self.found.work[contender.name]
            found.append(
                Trained(
                    name=contender.name,
                    parameters=contender.parameters[0],
                    non_embedding_parameters=contender.parameters[1],
                    config=contender.config.model_dump(mode="json"),
                    schedules=schedules(ran.model),
                    learning_rate=(
                        rates.muon_learning_rate
                        if rates.optimizer == "muon"
                        else rates.learning_rate
                    ),
                    optimizer=describe_optimizer(contender),
                    tuning_trials=rates.trials,
                    steps=ran.steps,
                    tokens=ran.tokens,
                    seconds=ran.seconds,
                    flops_per_token=float(work.train.at(training.LENGTH)) / training.LENGTH,
                    tokens_per_second=ran.speed.median,
                    tokens_per_second_low=ran.speed.low,
                    tokens_per_second_high=ran.speed.high,
                    peak_memory_bytes=ran.memory,
                    curve=ran.curve,
                    loss_at_equal_tokens=ran.last.loss,
                    loss_at_equal_seconds=None if timed is None else timed.last.loss,
                    bits_per_byte=ran.last.bits_per_byte,
                    prompt=_PROMPT,
                    sample=self.found.samples.get(contender.name, _PROMPT),
                )
            )
        return found

    def _notes(self) -> list[str]:
        found = self.found
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

    def _corpus_facts(self) -> dict[str, Any]:
        text = self._text.windows
        return {
            "name": self.corpus.name,
            "hash": self.corpus.digest,
            "files": self.corpus.files,
            "bytes": self.corpus.bytes,
            "train_tokens": len(self._windows.tokens),
            "validation_tokens": text.positions,
            "tokenizer": f"{self.tokenizer.kind}, vocabulary {self.tokenizer.vocabulary}",
            "validation": (
                f"{text.positions:,} of {self._validation_side:,} tokens of the validation side "
                f"(split {self.corpus.split}): whole windows of {training.LENGTH}, evenly spread"
            ),
        }

    def _machine_facts(self) -> dict[str, Any]:
        facts = dict(self._facts)
        versions = {name: facts.pop(name) for name in ("python", "torch", "phalanx")}
        return {"device": self.device, **facts, **self.found.peaks, "versions": versions}


def compare(
    models: Sequence[str],
    *,
    corpus: str = "stdlib",
    tokenizer: str = "bytes",
    size: int = DEFAULT_SIZE,
    budget: float | str = DEFAULT_BUDGET,
    repeats: int = 3,
    seed: int = 0,
    device: str = "auto",
    only_structure: bool = False,
    language: str = "en",
    listener: Listener | None = None,
) -> Study:
    """Compare models by structure and on this machine.

    Args:
        models: presets, YAML files, run directories.
        corpus: files, directory, glob or ``stdlib``.
        tokenizer: ``bytes``, ``characters`` or ``bpe``.
        size: parameters of each preset outside its tables; met within 1 %.
        budget: wall time in all: seconds, or a text such as ``"60s"`` or ``"5m"``.
        repeats: turns of every measured figure, at least 3.
        seed: of weights, order and sampling.
        device: ``auto``, ``cpu`` or ``cuda``.
        only_structure: leave out everything that is measured.
        language: ``en`` or ``zh``.
        listener: told of what happens.

    Raises:
        UsageError: an argument is wrong; the message says which and what to do.
    """
    request = Request(
        models=tuple(models),
        corpus=corpus,
        tokenizer=tokenizer,
        size=size,
        budget=parse_seconds(budget),
        repeats=repeats,
        seed=seed,
        device=device,
        only_structure=only_structure,
        language=language,
        command=f"phalanx.compare({', '.join(models)})",
    )
    return Comparison(request, listener).run()
