"""A classifier's report in the terminal."""

from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

from phalanx.pages.console import make_console
from phalanx.tasks.classification_report import Report

NAMES = {"naive_bayes": "naive Bayes", "majority": "majority"}
MATRIX = 10
"""Of more labels, a terminal shows the pairs that are confused most in place of the matrix."""
LABELS = 12
PAIRS = 10
MISTAKES = 5


def show(report: Report) -> None:
    """Print the figures beside the baselines', what is confused, and the worst mistakes."""
    console = make_console()
    console.print(f"{report.rows:,} rows, loss {report.loss:.4f} nats a row\n", style="bold")
    console.print(_overall(report))
    if not report.baselines:
        console.print("no baselines are kept with this model", style="dim")
    if report.cut:
        console.print(f"{report.cut:,} texts are longer than the model reads; their end was cut")
    for title, table in (_labels(report), _confusion(report)):
        if table.row_count:
            console.print(f"\n{title}", style="bold")
            console.print(table)
    if report.mistakes:
        console.print("\nworst mistakes", style="bold")
    for mistake in report.mistakes[:MISTAKES]:
        text = mistake.text if mistake.pair is None else f"{mistake.text} | {mistake.pair}"
        console.print(
            Text(f"{mistake.place}  {mistake.label}, given {mistake.given} "),
            Text(f"{mistake.probability:.4f}", style="dim"),
        )
        console.print(Text(f"  {_line(text, console.width - 2)}", style="dim"))


def _overall(report: Report) -> Table:
    table = _table("", "accuracy", "macro F1")
    table.add_row("this model", f"{report.accuracy:.4f}", f"{report.macro_f1:.4f}")
    for name in NAMES:
        if name in report.baselines:
            found = report.baselines[name]
            table.add_row(NAMES[name], f"{found.accuracy:.4f}", f"{found.macro_f1:.4f}")
    return table


def _labels(report: Report) -> tuple[str, Table]:
    """Figures of the labels: of many, of those with the lowest F1."""
    table = _table("label", "precision", "recall", "F1", "rows")
    chosen = list(report.labels)
    title = "labels"
    if len(chosen) > LABELS:
        chosen = sorted(chosen, key=lambda figures: figures.f1)[:LABELS]
        title = f"labels with the lowest F1, {LABELS} of {len(report.labels)}"
    for one in chosen:
        shares = [f"{share:.4f}" for share in (one.precision, one.recall, one.f1)]
        table.add_row(Text(one.label), *shares, f"{one.support:,}")
    return title, table


def _confusion(report: Report) -> tuple[str, Table]:
    labels = [figures.label for figures in report.labels]
    # Each column takes its longest word and two spaces, the first the name of the right label.
    wide = sum(max(cell_len(label), 5) + 2 for label in labels) + max(map(cell_len, labels)) + 2
    if len(labels) <= MATRIX and wide <= make_console().width:
        table = _table("right \\ given", *labels)
        for right in labels:
            counts = [report.confusion.get((right, given), 0) for given in labels]
            table.add_row(Text(right), *(f"{count:,}" if count else "·" for count in counts))
        return "confusion: rows of a label, by the label that they were given", table
    table = _table("rows", "right", "given")
    table.columns[1].justify = table.columns[2].justify = "left"
    for right, given, count in report.confused()[:PAIRS]:
        table.add_row(f"{count:,}", Text(right), Text(given))
    return "confused most", table


def _table(*names: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for place, name in enumerate(names):
        table.add_column(Text(name), justify="right" if place else "left")
    return table


def _line(text: str, width: int) -> str:
    line = " ".join(text.split())
    if cell_len(line) <= width:
        return line
    while cell_len(line) > width - 1:
        line = line[: max(width - 1, 0)] if len(line) > width else line[:-1]
    return f"{line}…"
