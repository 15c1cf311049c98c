"""A comparison from beginning to end, within a total of wall time.

Structure first: it is exact and quick. Then what this machine does, and training, which takes the
time that is left. Whatever is done is kept as it comes, so that an interrupted comparison still has
something to show.
"""

import time
from collections.abc import Callable, Sequence

from torch import Tensor

from phalanx.comparison import gradients
from phalanx.comparison.budget import Budget, parse_seconds
from phalanx.comparison.contenders import (
    TOLERANCE,
    Contender,
    check_names,
    contenders,
    mismatch,
)
from phalanx.comparison.contest import run_contest
from phalanx.comparison.contract import describe_optimizer
from phalanx.comparison.efficiency import measure_sizes
from phalanx.comparison.language_course import LENGTH, LanguageCourse, selection
from phalanx.comparison.levels import ablations, measure_levels
from phalanx.comparison.listener import Listener
from phalanx.comparison.machine import measure_machine
from phalanx.comparison.recall import train_recall
from phalanx.comparison.record import (
    DEFAULT_BUDGET,
    DEFAULT_SIZE,
    Found,
    Request,
    Setting,
    check_numbers,
)
from phalanx.comparison.results import Study
from phalanx.comparison.scaling import scaling
from phalanx.comparison.structure import examine, structure_rows
from phalanx.comparison.subjects import Subject
from phalanx.comparison.summary import PROMPT, summarize
from phalanx.comparison.tagging import measure_tagging
from phalanx.comparison.tuning import rates_of
from phalanx.comparison.work import count_work
from phalanx.data.batches import LanguageWindows
from phalanx.data.sources import load_corpus
from phalanx.data.tokenizers import train_tokenizer
from phalanx.errors import PhalanxError
from phalanx.inference.sampling import Sampler
from phalanx.inference.text import generate_text
from phalanx.models import Decoder, build
from phalanx.profiling.machine import hardware
from phalanx.training.precision import choose_device

CONTEXT = LENGTH  # positions that presets are built for, and trained on
_VALIDATION = (8_192, 262_144)  # tokens, least and most
_VALIDATION_PER_SECOND = 150  # tokens for each second of budget
_SAMPLER = Sampler(temperature=0.8)


class Comparison:
    """A comparison under way; ``study()`` is what it has found so far.

    Args:
        request: what is wanted.
        listener: told of what happens.
        started: reading of ``time.perf_counter`` at which the budget began.

    Raises:
        UsageError: the request is wrong: models, corpus, tokenizer, size, repeats, seed or
            device.
    """

    def __init__(
        self, request: Request, listener: Listener | None = None, started: float | None = None
    ) -> None:
        check_numbers(request.repeats, request.seed)
        self.request = request
        self.listener = listener or Listener()
        self.budget = Budget(request.budget, started)
        device = str(choose_device(request.device))
        check_names(request.models)
        corpus = load_corpus(request.corpus)
        texts = corpus.train.texts()
        tokenizer = train_tokenizer(request.tokenizer, texts)
        models = contenders(request.models, tokenizer.vocabulary, CONTEXT, request.size)
        train_ids = tokenizer.encode_documents(texts)
        self._windows = LanguageWindows(train_ids, LENGTH, request.seed)
        validation_ids = tokenizer.encode_documents(corpus.validation.texts())
        least, most = _VALIDATION
        wanted = min(max(int(_VALIDATION_PER_SECOND * request.budget), least), most)
        self.setting = Setting(
            request=request,
            device=device,
            models=models,
            corpus=corpus,
            tokenizer=tokenizer,
            train_tokens=len(train_ids),
            text=selection(tokenizer, validation_ids, wanted),
            validation_side=len(validation_ids),
            facts=hardware.facts(),
        )
        self.models, self.device = models, device
        self.found = Found()

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
            self._part("sizes", self._sizes)
            self._part("tagging", self._tagging)
            self._part("training", self._training)
            self._part("closing", self._closing)
        return self.study()

    def study(self) -> Study:
        """What is known, as plain data."""
        return summarize(self.setting, self.found, self.budget.elapsed)

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
        corpus, tokenizer = self.setting.corpus, self.setting.tokenizer
        say(
            f"text: {corpus.name}, {corpus.files} files, {corpus.bytes:,} bytes, "
            f"sha256 {corpus.digest[:12]}; {tokenizer.kind}, vocabulary {tokenizer.vocabulary}"
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
                    f"{describe_optimizer(rates_of(contender.preset))}."
                )

    def _structure(self) -> None:
        for contender in self.models:
            self.listener.say(f"tracing {contender.name}")
            self.found.structures.append(examine(Subject.of(contender.name, contender.config)))
        self.listener.structure(structure_rows(self.found.structures), self.setting.names)

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

    def _sizes(self) -> None:
        seconds = self._share("sizes")
        if seconds is None:
            return
        self.listener.say(f"time against the size of the model ({seconds:.0f} s)")
        self.found.sizes = measure_sizes(
            self.models,
            {structure.model: structure.grown for structure in self.found.structures},
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
        course = LanguageCourse(
            self._windows,
            self.setting.text,
            self.found.work,
            self.request.seed,
            self.device,
        )
        keep = self.budget.left - seconds  # for what comes after
        run_contest(
            self.models,
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
        windows = self.setting.text.windows
        rows, _ = windows.take(0, len(windows))
        count = min(gradients.ROWS, len(rows))
        starts = [seed * count % max(1, len(rows) - count + 1) for seed in range(gradients.SEEDS)]
        return [rows[at : at + count].to(self.device) for at in starts]

    def _sample(self, model: Decoder) -> str:
        prompt = self.setting.tokenizer.encode(PROMPT)
        try:
            [text] = generate_text(
                model,
                self.setting.tokenizer,
                [PROMPT],
                max_new_tokens=CONTEXT - len(prompt) + 1,  # as far as any model was trained
                sampler=_SAMPLER,
                seed=self.request.seed,
            )
        except PhalanxError as error:  # scores that are not numbers: the table says so already
            return f"{PROMPT} ({error})"
        return PROMPT + text


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
