"""What ``phalanx data check --task`` prints of labelled data."""

from collections.abc import Sequence

from rich.cells import cell_len

from phalanx.data.check_labelled import FileReport, LabelledReport
from phalanx.data.label_statistics import Balance, Lengths

_LABELS = 20  # shown of one table: all, or the first and the last few
_RAREST = 5


def show(report: LabelledReport) -> None:
    """Print the report of files, sides, lengths, balance and faults."""
    for file in report.files:
        _show_file(file)
    if report.split is not None:
        print()
        print(
            f"split        {report.split}: {report.train:,} to learn from, "
            f"{report.validation:,} to validate on"
        )
        if report.scheme is not None:
            none = report.scheme == "none"
            print(f"tags         {'mark no entities' if none else f'scheme {report.scheme}'}")
        for lengths in report.lengths:
            _show_lengths(lengths)
        for balance in report.balances:
            _show_balance(balance)
        for remark in report.remarks:
            print(f"note         {remark}")
        for each in report.found:
            print(f"found        {each.count:,} {each.what}")
            for place in each.places:
                print(f"             {place}")
            if each.count > len(each.places):
                print(f"             and {each.count - len(each.places):,} more")
    print()
    for fault in report.faults:
        print(f"refused      {fault}")
    if report.more_faults:
        print(f"refused      {report.more_faults:,} for reasons of this kind more")
    if report.accepted:
        print("Training would read this data.")
        return
    faulty = sum(file.findings.faulty for file in report.files)
    where = f" in {faulty} file{'s' * (faulty != 1)}" if faulty else ""
    print(f"Training would refuse this data: mend what is marked as refused{where}.")


def _show_file(file: FileReport) -> None:
    findings = file.findings
    for_what = ", to validate on" if file.side == "validation" else ""
    print(f"{file.path}: {findings.format}, {file.samples:,} read{for_what}")
    for remark in findings.found():
        print(f"  found    {remark}")
    for fault in findings.faults:
        print(f"  refused  {fault}")
    if findings.more_faults:
        print(f"  refused  {findings.more_faults:,} places more")


def _show_lengths(lengths: Lengths) -> None:
    print(
        f"length       {lengths.what}: {lengths.median:g} in the middle, 95 % up to "
        f"{lengths.most:,}, the longest {lengths.longest:,} ({lengths.place})"
    )


def _show_balance(balance: Balance) -> None:
    rows = balance.rows
    learnt = sum(train for _, train, _ in rows)
    plural = {"entity": "entities"}.get(balance.of, f"{balance.of}s")
    if not rows or not learnt:
        print(f"{plural:<13}none")
        return
    common = rows[0]
    rare = min((row for row in rows if row[1]), key=lambda row: (row[1], row[0]))
    print(
        f"{plural:<13}{learnt:,} to learn from, of {len(rows):,} "
        f"kind{'s' * (len(rows) != 1)}; the commonest, {common[0]}, is "
        f"{100 * common[1] / learnt:.1f} %, {common[1] / rare[1]:.1f} times the rarest, {rare[0]}"
    )
    shown: Sequence[tuple[str, int, int] | None] = rows
    if len(rows) > _LABELS:
        shown = (*rows[: _LABELS - _RAREST], None, *rows[-_RAREST:])
    width = min(40, max(cell_len(row[0]) for row in shown if row is not None))
    print(f"             {balance.of:<{width}} {'train':>9} {'share':>7} {'validation':>10}")
    for row in shown:
        if row is None:
            print(f"             ... {len(rows) - _LABELS:,} more ...")
            continue
        label, train, validation = row
        padding = " " * max(0, width - cell_len(label))
        print(
            f"             {label}{padding} {train:>9,} {100 * train / learnt:>5.1f} % "
            f"{validation:>10,}"
        )
