"""A comparison on a task from beginning to end, within a total of wall time.

Everything is kept as it comes, so that an interrupted comparison still has something to show.
"""

from dataclasses import replace
from typing import Any

from phalanx.comparison.budget import TASK_PARTS, Budget
from phalanx.comparison.contenders import (
    TOLERANCE,
    Form,
    check_names,
    contenders,
    mismatch,
)
from phalanx.comparison.contest import run_contest
from phalanx.comparison.contract import describe_optimizer
from phalanx.comparison.listener import Listener
from phalanx.comparison.rules import SPEED_KEPT_PASS
from phalanx.comparison.subjects import Subject
from phalanx.comparison.tasks import inference
from phalanx.comparison.tasks.baselines import baselines_of
from phalanx.comparison.tasks.course import TaskCourse
from phalanx.comparison.tasks.python_tags import prepare_python_tags
from phalanx.comparison.tasks.request import TaskRequest, check
from phalanx.comparison.tasks.results import TaskStudy
from phalanx.comparison.tasks.summary import TaskFound, TaskSetting, summarize
from phalanx.comparison.tuning import rates_of
from phalanx.comparison.work import count_work
from phalanx.config import RunConfig, TrainingConfig
from phalanx.profiling.machine import hardware
from phalanx.training.precision import choose_device
from phalanx.training.prepared import Prepared
from phalanx.training.run import prepare

# Texts of a step, and tokens of a text at most.
_TRAIN: dict[str, Any] = {"batch_size": 32, "sequence_length": 128, "precision": "float32"}
_SHOWING = 100_000  # parameters of a model that nobody trains
# Fields of a model that the task decides, whatever the architecture.
_OF_THE_TASK = ("outputs", "pooling", "head", "token_types", "tied", "output_bias")


class TaskComparison:
    """A comparison under way; ``study()`` is what it has found so far.

    Args:
        request: what is wanted.
        listener: told of what happens.
        started: reading of ``time.perf_counter`` at which the budget began.
        prepared: the data of the task, read already; None: it is read as the request says.

    Raises:
        UsageError: the request is wrong: models, data, tokenizer, size, repeats, seed or device.
    """

    def __init__(
        self,
        request: TaskRequest,
        listener: Listener | None = None,
        started: float | None = None,
        prepared: Prepared | None = None,
    ) -> None:
        check(request)
        self.request = request
        self.listener = listener or Listener()
        self.budget = Budget(request.budget, started, parts=TASK_PARTS)
        self.device = str(choose_device(request.device))
        check_names(request.models)
        self.prepared = prepared or _prepare(request)
        self.models = contenders(
            request.models,
            self.prepared.tokenizer.vocabulary,
            self.prepared.model_config.context,
            request.size,
            form_of(self.prepared),
        )
        self.setting = TaskSetting(
            request, self.device, self.models, self.prepared, hardware.facts()
        )
        self.found = TaskFound(rates={c.name: rates_of(c.preset) for c in self.models})

    def run(self) -> TaskStudy:
        """Do everything; the study is complete when this returns."""
        self._describe()
        self._structure()
        if not self.request.only_structure:
            self.found.baselines = baselines_of(self.prepared)
            for contender in self.models:
                self.found.work[contender.name] = count_work(contender.config)
            self._inference()
            self._training()
        return self.study()

    def study(self) -> TaskStudy:
        """What is known, as plain data."""
        return summarize(self.setting, self.found, self.budget.elapsed)

    # -- the parts, in the order in which they run ----------------------------------------------

    def _describe(self) -> None:
        for line in self.prepared.described():
            self.listener.say(line)
        self.found.notes += self.prepared.facts.notes
        for contender in self.models:
            total, inner = contender.parameters
            self.listener.say(
                f"{contender.name}: {inner:,} parameters outside the tables, {total:,} in all"
            )
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
            how = describe_optimizer(self.found.rates[contender.name])
            if self.found.rates[contender.name].trials:
                self._note(
                    f"{contender.name}: no sweep on this task; trained with {how}, the best of "
                    f"{self.found.rates[contender.name].trials} trials on language modelling."
                )
            else:
                self._note(f"{contender.name}: no sweep of its own; trained with {how}.")

    def _structure(self) -> None:
        for contender in self.models:
            self.listener.say(f"tracing {contender.name}")
            subject = Subject.of(contender.name, contender.config)
            self.found.inference.append(inference.examine(subject))

    def _inference(self) -> None:
        seconds = self.budget.share("inference")
        if seconds is None:
            why = self.budget.why_left_out("inference")
            verdict = SPEED_KEPT_PASS.judge(None, how=why)
            self.found.inference = [replace(i, machine=verdict) for i in self.found.inference]
            self._note(f"Inference: not measured. {why}")
            return
        self.listener.say(f"timing one text and batches, models in turn ({seconds:.0f} s)")
        self.found.inference = inference.measure(
            self.models,
            self.found.work,
            self.found.inference,
            seconds,
            self.device,
            self.request.repeats,
        )

    def _training(self) -> None:
        seconds = self.budget.share("training")
        if seconds is None:
            self._note(f"Training: not measured. {self.budget.why_left_out('training')}")
            return
        course = TaskCourse(self.prepared, self.found.rates, self.found.work, self.device)
        run_contest(
            self.models,
            course,
            seconds,
            self.found.contest,
            self.listener.run,
            lambda: self.budget.left,
        )

    def _note(self, text: str) -> None:
        self.found.notes.append(text)
        self.listener.say(text)


def form_of(prepared: Prepared) -> Form:
    """What the task needs every model to be: that which its own model is."""
    config = prepared.model_config
    assert config.kind == "encoder"
    fields = {name: getattr(config, name) for name in _OF_THE_TASK}
    return Form("encoder", fields)


def run_config(request: TaskRequest) -> RunConfig:
    """What is prepared for a comparison: its data, and a model that only shows the task's form."""
    assert request.data is not None
    return RunConfig(
        task=request.task,
        size=_SHOWING,
        data=request.data,
        train=TrainingConfig(**{**_TRAIN, **request.train}),
        seed=request.seed,
        device=request.device,
    )


def _prepare(request: TaskRequest) -> Prepared:
    if request.data is None:
        return prepare_python_tags(request.seed)
    return prepare(run_config(request))
