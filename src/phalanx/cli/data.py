"""``phalanx data``: look at text and labels before anything is trained on them."""

from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import App, Parameter

from phalanx.cli.common import Json, Overrides, TaskName, print_json

if TYPE_CHECKING:
    from phalanx.data.check import DataReport, FileReport

FILES_SHOWN = 20  # of those with nothing to remark

data = App(name="data", help_format="plaintext")


@data.command
def check(
    *texts: str,
    task: TaskName | None = None,
    text_column: str | None = None,
    label_column: str | None = None,
    pair_column: str | None = None,
    source_column: str | None = None,
    target_column: str | None = None,
    tag_column: str | None = None,
    encoding_errors: Literal["strict", "replace"] | None = None,
    validation: Annotated[tuple[str, ...], Parameter(consume_multiple=True, negative=())] = (),
    json: Json = False,
    overrides: Overrides = (),
) -> int:
    """Read text as training would, and report what is there and what training would refuse.

    Exits with 0 where `phalanx train` would read the text, with 1 where it would refuse it.
    The settings that say how text is read can be given as dotted options too, as for
    `phalanx train`: --data.validation_fraction, --data.scheme and the like.

    Parameters
    ----------
    texts
        Text files, directories, globs, or stdlib. Endings name formats: .jsonl, .csv, .tsv,
        .parquet and lists in .json have a document a row, all else is text; .gz is unpacked.
        For classification CSV, TSV, JSONL or Parquet with columns text and label; for tagging
        CoNLL columns or JSONL with tokens and tags; for translation a TSV or JSONL of pairs, or
        two files, source and target.
    task
        What is to be learnt. Default: language-modelling.
    text_column
        The column of rows that holds the text: its name, or its number from 1 in a file without a
        header. Default: text, content, body and the like.
    label_column
        The column of the label, for classification. Default: label, category, intent and the like.
    pair_column
        The column of a second text, for classification of pairs.
    source_column
        The column of the text to translate.
    target_column
        The column of its translation.
    tag_column
        The column of the tags, for tagging. Default: the last.
    encoding_errors
        strict refuses what is not UTF-8, replace goes on with U+FFFD in its stead.
    validation
        Text to validate on, instead of a share of the other.
    """
    from phalanx.config import DataConfig, override, parse, put
    from phalanx.data.check import check_data
    from phalanx.errors import UsageError

    values = override({}, overrides)
    if any(not key.startswith("data.") for key, _ in overrides):
        raise UsageError("`phalanx data check` takes dotted options of data alone: --data.KEY.")
    for key, value in (
        ("data.paths", list(texts)),
        ("data.text_column", text_column),
        ("data.label_column", label_column),
        ("data.pair_column", pair_column),
        ("data.source_column", source_column),
        ("data.target_column", target_column),
        ("data.tag_column", tag_column),
        ("data.encoding_errors", encoding_errors),
        ("data.validation_paths", list(validation)),
    ):
        if value:
            put(values, key, value)
    if "paths" not in values.get("data", {}):
        raise UsageError("No text was given. Expected files, directories, globs or stdlib.")
    config = parse(DataConfig, values["data"], "data")
    if task in ("classification", "tagging", "translation"):
        from phalanx.cli.checked_labels import show
        from phalanx.cli.columns import check_columns
        from phalanx.data.check_labelled import check_labelled

        check_columns(task, values["data"])
        labelled = check_labelled(task, config)
        if json:
            print_json(labelled.as_dict())
        else:
            show(labelled)
        return 0 if labelled.accepted else 1
    for option, given in (
        ("--label-column", label_column),
        ("--pair-column", pair_column),
        ("--source-column", source_column),
        ("--target-column", target_column),
        ("--tag-column", tag_column),
    ):
        if given is not None:
            raise UsageError(
                f"{option} is given, and text to model has no such column. Say what is to be "
                "learnt: --task classification, tagging or translation."
            )
    report = check_data(
        config.paths,
        config.validation_fraction,
        validation_paths=config.validation_paths,
        text_column=config.text_column,
        encoding_errors=config.encoding_errors,
    )
    if json:
        print_json(report.as_dict())
    else:
        _show(report)
    return 0 if report.accepted else 1


def _show(report: "DataReport") -> None:
    plain = 0
    for file in report.files:
        noteworthy = file.faults or file.remarks()
        plain += not noteworthy
        if noteworthy or plain <= FILES_SHOWN:
            _show_file(file)
    if plain > FILES_SHOWN:
        print(f"and {plain - FILES_SHOWN:,} more files with nothing to remark")
    print()
    print(f"in all       {_count(len(report.files), 'file')}, {_amount(report)}")
    print(f"characters   {report.distinct_characters:,} distinct")
    if report.duplicates:
        print(f"duplicates   {_count(report.duplicates, 'document')} exactly as one before")
    if report.corpus is not None:
        train, validation = report.corpus.train, report.corpus.validation
        print(
            f"split        {report.corpus.split}: "
            f"{_count(train.documents, 'document')} ({train.characters:,} characters) to learn "
            f"from, {_count(validation.documents, 'document')} ({validation.characters:,}) to "
            "validate on"
        )
        if report.shared:
            share = _count(report.shared, "validation document")
            print(f"             {share} also learnt from word for word: the loss flatters there")
        print("Training would read this text.")
        return
    for fault in report.faults:
        print(f"refused      {fault}")
    faulty = sum(bool(file.faults) for file in report.files)
    where = f" in {_count(faulty, 'file')}" if faulty else ""
    print(f"Training would refuse this text: mend what is marked as refused{where}.")


def _show_file(file: "FileReport") -> None:
    print(f"{file.path}: {file.format}")
    print(
        f"  {_amount(file)}; longest line {file.longest_line:,}, "
        f"{_count(file.distinct_characters, 'distinct character')}"
    )
    for remark in file.remarks():
        print(f"  found    {remark}")
    for fault in file.faults:
        print(f"  refused  {fault}")
    if file.more_faults:
        print(f"  refused  {file.more_faults:,} places more")


def _amount(of: "DataReport | FileReport") -> str:
    return (
        f"{_count(of.documents, 'document')}, {_count(of.lines, 'line')}, "
        f"{_count(of.characters, 'character')}, {_count(of.bytes, 'byte')}"
    )


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"
