"""A tagger's report in the terminal."""

from rich.table import Table
from rich.text import Text

from phalanx.data.tag_schemes import OUTSIDE
from phalanx.pages.console import make_console
from phalanx.tasks.tagging_report import Agreement, Mistake, Report

PAIRS = 10
MISTAKES = 5


def show(report: Report) -> None:
    """Print the figures beside the baselines', those of each type, and the worst mistakes."""
    console = make_console()
    console.print(
        f"{report.sentences:,} sentences, {report.words:,} words, loss {report.loss:.4f} nats a "
        f"word\n",
        style="bold",
    )
    console.print(_overall(report))
    if not report.baselines:
        console.print("no baselines are kept with this model", style="dim")
    for line in _remarks(report):
        console.print(line)
    if report.model.types:
        console.print(f"\nentities, strict ({report.scheme})", style="bold")
        console.print(_types(report))
    if report.confused():
        console.print("\ntags confused most", style="bold")
        console.print(_confused(report))
    if report.mistakes:
        console.print("\nworst mistakes", style="bold")
    for mistake in report.mistakes[:MISTAKES]:
        console.print(Text(f"{mistake.place}, {mistake.wrong} wrong"))
        console.print(Text(f"  right {_said(mistake, mistake.right)}", style="dim"))
        console.print(Text(f"  given {_said(mistake, mistake.given)}", style="dim"))


def _overall(report: Report) -> Table:
    marks = report.scheme != "none"
    table = _table("", "accuracy", *(("precision", "recall", "F1") if marks else ()))
    for name, agreement in (("this model", report.model), *report.baselines.items()):
        table.add_row(name, f"{agreement.accuracy:.4f}", *(_shares(agreement) if marks else ()))
    return table


def _shares(agreement: Agreement) -> list[str]:
    found = agreement.entities
    return [f"{share:.4f}" for share in (found.precision, found.recall, found.f1)]


def _remarks(report: Report) -> list[str]:
    found = []
    if report.unseen:
        names = ", ".join(f"{tag} ({count:,})" for tag, count in report.unseen.items())
        found.append(f"tags that training had not count as mistakes, but in the loss: {names}")
    if report.divided:
        found.append(f"{report.divided:,} sentences are longer than the model reads, and divided")
    if report.unknown:
        found.append(f"{report.unknown:,} words hold what the tokenizer does not know")
    return found


def _types(report: Report) -> Table:
    table = _table("type", "precision", "recall", "F1", "there", "found")
    for kind, one in (*report.model.types.items(), ("all", report.model.entities)):
        shares = [f"{share:.4f}" for share in (one.precision, one.recall, one.f1)]
        table.add_row(Text(kind), *shares, f"{one.support:,}", f"{one.found:,}")
    return table


def _confused(report: Report) -> Table:
    table = _table("words", "right", "given")
    table.columns[1].justify = table.columns[2].justify = "left"
    for right, given, count in report.confused()[:PAIRS]:
        table.add_row(f"{count:,}", Text(right), Text(given))
    return table


def _said(mistake: Mistake, tags: tuple[str, ...]) -> str:
    pairs = zip(mistake.words, tags, strict=True)
    return " ".join(word if tag == OUTSIDE else f"{word}/{tag}" for word, tag in pairs)


def _table(*names: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for place, name in enumerate(names):
        table.add_column(Text(name), justify="right" if place else "left")
    return table
