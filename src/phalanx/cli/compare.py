"""``phalanx compare``: what is parallel by structure, and what is fast here."""

import shlex
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Protocol

from cyclopts import Parameter

from phalanx.cli.common import (
    TERMINATED,
    Device,
    Json,
    Overrides,
    Seed,
    TaskName,
    given_options,
    note,
)
from phalanx.errors import UsageError

if TYPE_CHECKING:
    from phalanx.comparison.listener import Listener

_STARTED = time.perf_counter()  # the budget includes what importing torch takes


def compare(
    *models: str,
    task: TaskName | None = None,
    corpus: str | None = None,
    validation: Annotated[list[str] | None, Parameter(consume_multiple=True, negative=())] = None,
    text_column: str | None = None,
    label_column: str | None = None,
    pair_column: str | None = None,
    tag_column: str | None = None,
    tokenizer: str | None = None,
    size: int = 400_000,
    budget: str = "240",
    repeats: int = 3,
    seed: Seed = 0,
    device: Device = "auto",
    output: Annotated[Path | None, Parameter(name=["--output", "-o"])] = None,
    picture: Path | None = None,
    lang: str = "en",
    only: str | None = None,
    json: Json = False,
    overrides: Overrides = (),
) -> int:
    """Compare architectures: what is parallel by structure, and what is fast on this machine.

    Structure verdicts come first, from traced data dependence. Then every model is measured and
    trained on the same text, with the same tokenizer, order and optimizer, and the table, three
    levels, samples and the fairness contract are printed.

    With --task tagging or classification the models are encoders: presets read in both directions,
    and the table says how well each one answers beside the baselines, and what one answer waits
    for. How data is read and batched can then be given as dotted options, as for `phalanx train`:
    --data.KEY and --train.KEY, such as --train.batch_size 16.

    Parameters
    ----------
    models
        Presets (rnn, lstm, gru, mingru, transformer, transformer-2017, gpt2, bert-base), YAML files
        of a model or a run, or run directories.
    task
        tagging or classification. Default: language modelling.
    corpus
        A text file, a directory, a glob, or stdlib (source of Python's standard library). For a
        task the file with its labels; tagging without one takes what Python's own tokenizer calls
        each byte of the standard library.
    validation
        Files with labels to score the models on, named last. Default: a tenth of the corpus.
    text_column
        The column of the text, for a task: its name, or its number from 1.
    label_column
        The column of the label, for classification.
    pair_column
        The column of a second text, for classification of pairs.
    tag_column
        The column of the tags, for tagging. Default: the last.
    tokenizer
        bytes, characters or bpe; for a task any that `phalanx train` takes. Default: bytes, or the
        task's own.
    size
        Parameters of each preset outside its tables of tokens and positions.
    budget
        Wall time in all: seconds, or such as 5m. Everything is shrunk to fit.
    repeats
        Turns of every measured figure, at least 3.
    output
        A directory for report.html and study.json.
    picture
        An SVG file of span and time against length; not for a task.
    lang
        Language of tables and report: en or zh.
    only
        structure: stop after the structure verdicts.
    """
    if only not in (None, "structure"):
        raise UsageError(f"--only {only}: expected `structure`.")
    from phalanx.cli.columns import check_columns
    from phalanx.cli.compared import check_writable, make_listener, show_study, show_task_study
    from phalanx.comparison.budget import parse_seconds
    from phalanx.comparison.report.language import catalogue
    from phalanx.pages.console import make_console

    catalogue(lang)  # a language that is not known is said before anything is done
    shared: dict[str, Any] = {
        "models": models,
        "size": size,
        "budget": parse_seconds(budget),
        "repeats": repeats,
        "seed": seed,
        "device": device,
        "only_structure": only == "structure",
        "language": lang,
        "command": shlex.join(["phalanx", *sys.argv[1:]]),
    }
    reading: dict[str, Any] = given_options(
        text_column=text_column,
        label_column=label_column,
        pair_column=pair_column,
        tag_column=tag_column,
    )
    if validation:
        reading["validation_paths"] = validation
    console = make_console(stderr=json)
    listener = make_listener(console, lang, _STARTED)
    if task in (None, "language-modelling"):
        _refuse([*reading, *(key for key, _ in overrides)])
        check_writable(output, picture)
        found = _of_language(
            {**shared, **given_options(corpus=corpus, tokenizer=tokenizer)}, listener
        )
        return _finish(found, lambda s: show_study(s, console, output, picture, json))
    if picture is not None:
        raise UsageError("--picture is drawn for language models alone. Expected no --picture.")
    check_columns(str(task).replace("-", "_"), reading)
    check_writable(output, None)
    reading |= given_options(tokenizer=tokenizer)
    found = _of_task(str(task), corpus, reading, overrides, shared, listener)
    return _finish(found, lambda s: show_task_study(s, console, output, json))


class _Comparison(Protocol):
    def run(self) -> Any: ...

    def study(self) -> Any: ...


def _of_language(given: dict[str, Any], listener: "Listener") -> _Comparison:
    from phalanx.comparison.record import Request
    from phalanx.comparison.study import Comparison

    return Comparison(Request(**given), listener, _STARTED)


def _of_task(
    task: str,
    corpus: str | None,
    reading: dict[str, Any],
    overrides: Overrides,
    shared: dict[str, Any],
    listener: "Listener",
) -> _Comparison:
    from phalanx.comparison.tasks.request import TaskRequest, settings
    from phalanx.comparison.tasks.study import TaskComparison

    data, train = settings(corpus, reading, overrides)
    request = TaskRequest(task=task.replace("-", "_"), data=data, train=train, **shared)  # type: ignore[arg-type]  # checked there
    return TaskComparison(request, listener, _STARTED)


def _refuse(given: list[str]) -> None:
    if given:
        option = f"--{given[0].replace('_', '-')}"
        raise UsageError(
            f"{option} is for a task with labels. Expected --task tagging or --task "
            f"classification beside it, or no {option}."
        )


def _finish(comparison: _Comparison, show: Callable[[Any], None]) -> int:
    try:
        study = comparison.run()
    except (KeyboardInterrupt, SystemExit) as stop:
        if isinstance(stop, SystemExit) and stop.code != TERMINATED:
            raise  # nobody reads on
        note("interrupted: what is done so far")
        show(comparison.study())
        raise
    show(study)
    return 0
