"""``phalanx compare``: what is parallel by structure, and what is fast here."""

import shlex
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from phalanx.cli.common import TERMINATED, Device, Json, Seed, note
from phalanx.errors import UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from phalanx.comparison.results import Study
    from phalanx.comparison.study import Listener

_STARTED = time.perf_counter()  # the budget includes what importing torch takes


def compare(
    *models: str,
    corpus: str = "stdlib",
    tokenizer: str = "bytes",
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
) -> int:
    """Compare architectures: what is parallel by structure, and what is fast on this machine.

    Structure verdicts come first, from traced data dependence. Then every model is measured and
    trained on the same text, with the same tokenizer, order and optimizer, and the table, three
    levels, samples and the fairness contract are printed.

    Parameters
    ----------
    models
        Presets (rnn, lstm, gru, mingru, transformer, transformer-2017, gpt2), YAML files of a
        model or a run, or run directories.
    corpus
        A text file, a directory, a glob, or stdlib (source of Python's standard library).
    tokenizer
        bytes, characters or bpe.
    size
        Parameters of each preset outside its tables of tokens and positions.
    budget
        Wall time in all: seconds, or such as 5m. Everything is shrunk to fit.
    repeats
        Turns of every measured figure, at least 3.
    output
        A directory for report.html and study.json.
    picture
        An SVG file of span and time against length.
    lang
        Language of tables and report: en or zh.
    only
        structure: stop after the structure verdicts.
    """
    if only not in (None, "structure"):
        raise UsageError(f"--only {only}: expected `structure`.")
    from phalanx.comparison.budget import parse_seconds
    from phalanx.comparison.record import Request
    from phalanx.comparison.report.language import catalogue
    from phalanx.comparison.study import Comparison

    catalogue(lang)  # a language that is not known is said before anything is done
    seconds = parse_seconds(budget)
    _writable(output, picture)
    request = Request(
        models=models,
        corpus=corpus,
        tokenizer=tokenizer,
        size=size,
        budget=seconds,
        repeats=repeats,
        seed=seed,
        device=device,
        only_structure=only == "structure",
        language=lang,
        command=shlex.join(["phalanx", *sys.argv[1:]]),
    )
    console = _console(json)
    comparison = Comparison(request, _listener(console, lang), _STARTED)
    try:
        study = comparison.run()
    except (KeyboardInterrupt, SystemExit) as stop:
        if isinstance(stop, SystemExit) and stop.code != TERMINATED:
            raise  # nobody reads on
        note("interrupted: what is done so far")
        _finish(comparison.study(), console, output, picture, json)
        raise
    _finish(study, console, output, picture, json)
    return 0


def _writable(output: Path | None, picture: Path | None) -> None:
    """Make the directories now, so that a wrong path is said before minutes of work."""
    if output is not None:
        if output.exists() and not output.is_dir():
            raise UsageError(f"--output {output} is a file. Expected a directory for the report.")
        _make("--output", output)
    if picture is not None:
        if picture.is_dir():
            raise UsageError(f"--picture {picture} is a directory. Expected a file, such as a.svg.")
        _make("--picture", picture.parent)


def _make(option: str, directory: Path) -> None:
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=directory):
            pass  # that a directory is there does not say that it can be written
    except OSError as error:
        raise UsageError(
            f"{option}: cannot write into {directory}: {error.strerror}. Expected a directory to "
            "write into. Choose another."
        ) from None


def _console(json: bool) -> "Console":
    from phalanx.pages.console import make_console

    return make_console(stderr=json)


def _listener(console: "Console", language: str) -> "Listener":
    from contextlib import AbstractContextManager, contextmanager

    from phalanx.comparison.contest import Shown
    from phalanx.comparison.report.table import print_structure
    from phalanx.comparison.results import Row
    from phalanx.comparison.study import Listener as Silent
    from phalanx.training.progress import make_progress
    from phalanx.training.trainer import Trainer

    @contextmanager
    def shown(trainer: Trainer):  # type: ignore[no-untyped-def]  # a generator of a progress
        with make_progress(trainer) as progress:
            yield progress

    class Printer(Silent):
        """Says what happens on stderr, and prints the structure table."""

        def say(self, text: str) -> None:
            note(f"[{time.perf_counter() - _STARTED:5.1f} s] {text}")

        def structure(self, rows: Sequence[Row], models: Sequence[str]) -> None:
            print_structure(rows, models, console, language)

        def run(self, title: str, trainer: Trainer) -> AbstractContextManager[Shown]:
            self.say(title)
            found: AbstractContextManager[Shown] = shown(trainer)
            return found

    return Printer()


def _finish(
    study: "Study", console: "Console", output: Path | None, picture: Path | None, json: bool
) -> None:
    from phalanx.comparison.report.page import render_json, render_page
    from phalanx.comparison.report.table import print_samples, print_tables

    print_tables(study, console)
    print_samples(study.models, console, study.language)
    if picture is not None:
        from phalanx.comparison.report.picture import draw_picture

        note(f"picture: {draw_picture(study, picture)}")
    if output is not None:
        (output / "study.json").write_text(render_json(study), encoding="utf-8")
        report = output / "report.html"
        report.write_text(render_page(study), encoding="utf-8")
        from phalanx.comparison.report.language import catalogue

        console.print(catalogue(study.language).text("saved", path=report), highlight=False)
    if json:
        print(render_json(study))
