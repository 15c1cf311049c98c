"""Texts for a tagger: read from files, and shown or written with what was found in them."""

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.text import Text as Styled

from phalanx.cli.lines import opened_lines
from phalanx.config import DataConfig
from phalanx.data.columns import of_sentences
from phalanx.data.labelled import SENTENCES, read_sentences, units_of
from phalanx.data.opening import Source
from phalanx.data.reading import Findings, Reading
from phalanx.data.tables import ending_of, rows_of
from phalanx.data.tag_schemes import NO_TYPE
from phalanx.data.word_splitting import Word, begins_without_space, words_of
from phalanx.errors import UsageError
from phalanx.inference.tagging import Tagged
from phalanx.pages.console import make_console

COLUMNS, ROWS = (".conll", ".iob", ".bio"), ".jsonl"
STDIN = "-"
_PLAIN = (".txt", ".md", "")
_STYLES = ("bold cyan", "bold green", "bold magenta", "bold yellow", "bold blue", "bold red")


@dataclass(frozen=True)
class Text:
    """A text and its words."""

    text: str
    words: tuple[Word, ...]


def of_text(text: str) -> Text:
    """A raw text, taken apart into words."""
    return Text(text, tuple(words_of(text)))


def of_words(words: Sequence[str]) -> Text:
    """Words, joined to a text: by spaces, but before scripts that have none."""
    found, at = [], 0
    text = ""
    for word in words:
        if text and not begins_without_space(word):
            text += " "
        at = len(text)
        text += word
        found.append(Word(word, at, len(text)))
    return Text(text, tuple(found))


def read(files: Sequence[str], data: DataConfig) -> list[Text]:
    """The texts of files: one a line in plain text and stdin (``-``), a sentence of CoNLL, a row.

    A row's text is taken apart into words where it is one; a list is taken as the words.

    Raises:
        UsageError: a file is malformed.
    """
    return [text for file in files for text in _texts(file, data)]


def _texts(file: str, data: DataConfig) -> Iterator[Text]:
    if file == STDIN or (Path(file).suffix.lower() in _PLAIN and Path(file).is_file()):
        with opened_lines(file, data.encoding_errors) as lines:
            for some in lines:
                yield from map(of_text, some)
        return
    for [source] in units_of(SENTENCES, file):
        rows = None if ending_of(source) == ".tsv" else _rows(source, data)
        if rows is None:
            for sentence in read_sentences(source.path, data, labelled=False):
                yield of_words(sentence.words)
        else:
            yield from rows


def _rows(source: Source, data: DataConfig) -> list[Text] | None:
    findings = Findings(source.shown)
    reading = Reading(data.text_column, data.encoding_errors)
    table = rows_of(source, reading, findings, of_sentences(data))
    if table is None:
        return None
    found = []
    for row in table:
        value = row.values.get("words")
        if isinstance(value, list) and all(isinstance(word, str) and word for word in value):
            found.append(of_words(value))
        elif isinstance(value, str):
            found.append(of_text(value))
        else:
            raise UsageError(
                f"{row.place} holds no text. Expected a text, or a list of words. Mend the row, "
                "or name another column: --text-column."
            )
    return found


def check_output(path: Path, inputs: Sequence[str], *, json: bool) -> None:
    """Refuse an output that cannot be written.

    Raises:
        UsageError: its ending is none that is known, it is an input, or JSON is to be printed too.
    """
    if json:
        raise UsageError(
            "--json prints and --output writes a file: expected one of them. For JSON in a file "
            "name it .jsonl."
        )
    if path.suffix.lower() not in (*COLUMNS, ROWS) or path.is_dir():
        raise UsageError(
            f"--output {path}: expected a file that ends in {', '.join((*COLUMNS, ROWS))}, the "
            "ending being its format."
        )
    if path.exists() and any(Path(file).exists() and path.samefile(file) for file in inputs):
        raise UsageError(
            f"--output {path} is an input too. Expected another file: what was given is left as "
            "it is."
        )


def in_file(path: Path, texts: Sequence[Text], found: Sequence[Tagged]) -> str:
    """What was found as the content of a file: CoNLL (word, tab, tag) or JSON lines.

    Both can be trained on. A sentence without words has no place in CoNLL and is left out there.
    """
    if path.suffix.lower() == ROWS:
        rows = (as_values(text, tagged) for text, tagged in zip(texts, found, strict=True))
        return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    sentences = (zip(tagged.words, tagged.tags, strict=True) for tagged in found if tagged.words)
    return "\n".join("".join(f"{word}\t{tag}\n" for word, tag in each) for each in sentences)


def as_values(text: Text, tagged: Tagged) -> dict[str, object]:
    """What was found in a text as JSON values; places count characters of the text."""
    return {
        "text": text.text,
        "tokens": list(tagged.words),
        "offsets": [[word.start, word.end] for word in text.words],
        "tags": list(tagged.tags),
        "scores": [round(float(score), 6) for score in tagged.probabilities_W],
        "entities": [
            {
                "type": entity.type,
                "text": text.text[text.words[entity.start].start : text.words[entity.end - 1].end],
                "start": text.words[entity.start].start,
                "end": text.words[entity.end - 1].end,
                "score": round(entity.score, 6),
            }
            for entity in tagged.entities
        ],
    }


def show(texts: Sequence[Text], found: Sequence[Tagged], scheme: str) -> None:
    """Print each text in a line: ``[Empire State Building](location)``, or ``word/TAG``."""
    console = make_console()
    for text, tagged in zip(texts, found, strict=True):
        line = _with_tags(tagged) if scheme == "none" else marked(text, tagged)
        if console.is_terminal:
            console.print(line, soft_wrap=True)
        else:
            sys.stdout.write(f"{line.plain}\n")


def marked(text: Text, tagged: Tagged) -> Styled:
    """A text with its entities marked; white space within it becomes spaces, for it is a line."""
    line = Styled()
    at = 0
    for entity in tagged.entities:
        start, end = text.words[entity.start].start, text.words[entity.end - 1].end
        line.append(_flat(text.text[at:start]))
        style = _style(entity.type)
        line.append("[", "dim").append(_flat(text.text[start:end]), style).append("]", "dim")
        if entity.type != NO_TYPE:
            line.append(f"({entity.type})", "dim")
        at = end
    return line.append(_flat(text.text[at:]))


def _with_tags(tagged: Tagged) -> Styled:
    line = Styled()
    for word, tag in zip(tagged.words, tagged.tags, strict=True):
        line.append(" " if line else "").append(word).append(f"/{tag}", "dim")
    return line


def _style(kind: str) -> str:
    return _STYLES[sum(kind.encode()) % len(_STYLES)]


def _flat(text: str) -> str:
    return "".join(" " if character.isspace() else character for character in text)
