"""What ``phalanx compare`` shows while it runs and when it ends, and the files that it writes."""

import tempfile
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from rich.console import Console

from phalanx.cli.common import note
from phalanx.comparison.course import Shown
from phalanx.comparison.listener import Listener
from phalanx.comparison.report.five_rows import print_structure
from phalanx.comparison.report.language import catalogue
from phalanx.comparison.report.page import render_json, render_page
from phalanx.comparison.report.picture import draw_picture
from phalanx.comparison.report.table import print_samples, print_tables
from phalanx.comparison.report.task_page import render_task_json, render_task_page
from phalanx.comparison.report.task_table import print_task
from phalanx.comparison.results import Row, Study
from phalanx.comparison.tasks.results import TaskStudy
from phalanx.errors import UsageError
from phalanx.training.progress import make_progress
from phalanx.training.trainer import Trainer


def check_writable(output: Path | None, picture: Path | None) -> None:
    """Make the directories now, so that a wrong path is said before minutes of work.

    Raises:
        UsageError: a path of another kind, or one that cannot be written.
    """
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


def make_listener(console: Console, language: str, started: float) -> Listener:
    """Who says what happens on stderr, and prints the structure table."""

    @contextmanager
    def shown(trainer: Trainer):  # type: ignore[no-untyped-def]  # a generator of a progress
        with make_progress(trainer) as progress:
            yield progress

    class Printer(Listener):
        def say(self, text: str) -> None:
            note(f"[{time.perf_counter() - started:5.1f} s] {text}")

        def structure(self, rows: Sequence[Row], models: Sequence[str]) -> None:
            print_structure(rows, models, console, language)

        def run(self, title: str, trainer: Trainer) -> AbstractContextManager[Shown]:
            self.say(title)
            found: AbstractContextManager[Shown] = shown(trainer)
            return found

    return Printer()


def show_study(
    study: Study, console: Console, output: Path | None, picture: Path | None, json: bool
) -> None:
    """Print a comparison of language models and write what was asked for."""
    print_tables(study, console)
    print_samples(study.models, console, study.language)
    if picture is not None:
        note(f"picture: {draw_picture(study, picture)}")
    written = render_json(study)
    if output is not None:
        _write(output, written, render_page(study), console, study.language)
    if json:
        print(written)


def show_task_study(study: TaskStudy, console: Console, output: Path | None, json: bool) -> None:
    """Print a comparison on a task and write what was asked for."""
    print_task(study, console)
    written = render_task_json(study)
    if output is not None:
        _write(output, written, render_task_page(study), console, study.language)
    if json:
        print(written)


def _write(output: Path, written: str, page: str, console: Console, language: str) -> None:
    (output / "study.json").write_text(written, encoding="utf-8")
    report = output / "report.html"
    report.write_text(page, encoding="utf-8")
    console.print(catalogue(language).text("saved", path=report), highlight=False)
