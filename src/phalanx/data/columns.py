"""Which columns of a table a task reads: names that are known, names or numbers that were given."""

from collections.abc import Mapping, Sequence

from phalanx.config import DataConfig
from phalanx.data.reading import Findings
from phalanx.data.rows import TEXT_COLUMNS, Choose, Chosen, Header, find_column, lacking, short
from phalanx.errors import UsageError

TEXTS = (*TEXT_COLUMNS, "utterance", "query", "question", "review", "comment", "message", "tweet")
LABELS = (
    *("label_text", "label", "category", "intent", "class", "sentiment", "target", "topic"),
    *("labels", "emotion", "polarity", "tag", "stars", "rating"),
)
PAIRS = (  # two texts, the first of them first
    ("premise", "hypothesis"),
    ("sentence1", "sentence2"),
    ("sentence_1", "sentence_2"),
    ("text_a", "text_b"),
    ("text1", "text2"),
    ("text_1", "text_2"),
    ("question1", "question2"),
    ("question", "answer"),
    ("question", "sentence"),
    ("question", "passage"),
    ("query", "passage"),
    ("query", "document"),
)
WORDS = ("tokens", "words", "token", "word", "text", "sentence")
TAGS = (
    *("tags", "ner_tags", "labels", "ner", "pos_tags", "upos", "pos", "chunk_tags", "tag"),
    "label",
)
SOURCES = ("source", "src", "input", "source_text", "commands", "command")
TARGETS = ("target", "tgt", "trg", "output", "target_text", "translation", "actions", "action")
_ANSWERS = ("label", "target")  # which need not be there where they are to be found
_BY_NAME = "NAME, or NUMBER where no header is"
# ISO 639-1, for bitext whose columns are called by their languages.
_LANGUAGES = """
aa ab af ak am ar as av ay az ba be bg bm bn bo br bs ca ce co cs cv cy da de dv dz ee el en eo es
et eu fa ff fi fj fo fr fy ga gd gl gn gu gv ha he hi hr ht hu hy ia id ig is it iu ja jv ka kg ki
kk kl km kn ko ks ku kw ky la lb lg ln lo lt lu lv mg mi mk ml mn mr ms mt my nb nd ne nl nn no nr
nv ny oc oj om or os pa pl ps pt qu rm rn ro ru rw sa sc sd se sg si sk sl sm sn so sq sr ss st su
sv sw ta te tg th ti tk tl tn to tr ts tt tw ty ug uk ur uz ve vi wa wo xh yi yo za zh zu
"""
LANGUAGES = frozenset(_LANGUAGES.split())


def of_examples(data: DataConfig, findings: Findings, labelled: bool) -> Choose:
    """Choose ``text``, ``label`` and, where texts come in pairs, ``pair``.

    Args:
        data: names or numbers of the columns, where given.
        findings: takes what was chosen without being asked for.
        labelled: whether a label has to be there.
    """
    given = {"text": data.text_column, "pair": data.pair_column, "label": data.label_column}

    def choose(header: Header) -> Chosen:
        if by_number(header, given):
            needed = ("text", "label") if labelled else ("text",)
            return _distinct(header, _numbered(header, given, needed), False)
        return _distinct(header, _example_columns(header, given, labelled, findings), True)

    return choose


def of_sentences(data: DataConfig) -> Choose:
    """Choose ``words`` and ``tags``; tags may be missing, where the reader is to say so."""
    given = {"words": data.text_column, "tags": data.tag_column or data.label_column}

    def choose(header: Header) -> Chosen:
        columns = {}
        for role, known, option in (
            ("words", WORDS, "--text-column NAME"),
            ("tags", TAGS, "--tag-column NAME"),
        ):
            name = find_column(header, given[role], known)
            if name is None and (role == "words" or given[role] is not None):
                raise lacking(header, given[role], known, role, option)
            if name is not None:
                columns[role] = name
        return _distinct(header, columns, True)

    return choose


def of_pairs(data: DataConfig, findings: Findings, labelled: bool) -> Choose:
    """Choose ``source`` and ``target``, or ``both`` where one column holds an object of the two.

    A TSV of two columns without a known name in its first line has no header.
    """
    given = {"source": data.source_column, "target": data.target_column}

    def choose(header: Header) -> Chosen:
        if by_number(header, given):
            needed = ("source", "target") if labelled else ("source",)
            return _distinct(header, _numbered(header, given, needed), False)
        columns = {
            role: name
            for role, known in (("source", SOURCES), ("target", TARGETS))
            if (name := find_column(header, given[role], known)) is not None
        }
        if "translation" in header.names and "source" not in columns:
            return Chosen({"both": "translation"})
        if not any(given.values()):
            codes = [name for name in header.names if name in LANGUAGES]
            if len(codes) > 2:
                codes = [name for name in codes if name != "id"]  # Indonesian, or a row's number
            if not columns and len(codes) == 2:
                columns = dict(zip(given, codes, strict=True))
                findings.remarks.append(f"from the column {codes[0]!r} into {codes[1]!r}")
            if not columns and header.tabs and len(header.names) == 2:
                findings.remarks.append(
                    "no known name of a column in its first line, so that it is read as data: the "
                    "source in column 1, the target in column 2"
                )
                return Chosen({"source": "1", "target": "2"}, headed=False)
        for role, known in (("source", SOURCES), ("target", TARGETS)):
            if role not in columns and (role == "source" or labelled):
                raise lacking(header, given[role], known, role, f"--{role}-column {_BY_NAME}")
        if not labelled and columns.get("target") == columns["source"]:
            del columns["target"]  # of a known name, but asked to be read
        return _distinct(header, columns, True)

    return choose


def by_number(header: Header, given: Mapping[str, str | None]) -> bool:
    """Whether columns were given by their numbers, so that the first line is data.

    Raises:
        UsageError: one was given by its number and another by its name.
    """
    wanted = [name for name in given.values() if name is not None]
    numbers = [name for name in wanted if name.isdecimal()]
    if not header.first_line or not numbers or all(name in header.names for name in wanted):
        return False
    if len(numbers) < len(wanted):
        name = next(name for name in wanted if name not in numbers)
        raise UsageError(
            f"{header.shown}: column {numbers[0]} is asked for by its number, as in a file "
            f"without a header, and {name!r} by its name. Expected one or the other for all."
        )
    return True


def _example_columns(
    header: Header, given: Mapping[str, str | None], labelled: bool, findings: Findings
) -> dict[str, str]:
    columns: dict[str, str] = {}
    plain = {name.strip().casefold(): name for name in reversed(header.names)}
    if given["text"] is None and given["pair"] is None and "text" not in plain:
        for first, second in PAIRS:
            if first in plain and second in plain:
                columns = {"text": plain[first], "pair": plain[second]}
                findings.remarks.append(
                    f"texts come in pairs, from the columns {plain[first]!r} and {plain[second]!r}"
                )
                break
    if "text" not in columns:
        name = find_column(header, given["text"], TEXTS)
        if name is None:
            raise lacking(
                header,
                given["text"],
                TEXTS,
                "text",
                f"--text-column {_BY_NAME}",
            )
        columns["text"] = name
    if given["pair"] is not None:
        if given["pair"] not in header.names:
            raise lacking(header, given["pair"], (), "second text", "--pair-column NAME")
        columns["pair"] = given["pair"]
    taken = columns.values() if given["label"] is None else ()
    label = find_column(header, given["label"], [n for n in LABELS if plain.get(n) not in taken])
    if label is None and labelled:
        raise lacking(
            header,
            given["label"],
            LABELS,
            "label",
            f"--label-column {_BY_NAME}",
        )
    if label is not None:
        columns["label"] = label
    return columns


def _numbered(
    header: Header, given: Mapping[str, str | None], needed: Sequence[str]
) -> dict[str, str]:
    """Return the number of each column; one that is needed and not given is the only other one.

    Raises:
        UsageError: a number is too high (unless its column holds what is not needed), or a column
            that is needed could be any of several.
    """
    numbers = [str(number) for number in range(1, len(header.names) + 1)]
    columns = {role: str(int(name)) for role, name in given.items() if name is not None}
    for role, name in list(columns.items()):
        if name not in numbers and role in _ANSWERS and role not in needed:
            del columns[role]
        elif name not in numbers:
            raise UsageError(
                f"{header.shown} has {len(numbers)} column{'s' * (len(numbers) != 1)} in its first "
                f"line. Expected column {name} there, counted from 1, with the {role}."
            )
    for role in needed:
        others = [number for number in numbers if number not in columns.values()]
        if role not in columns and len(others) != 1:
            raise UsageError(
                f"{header.shown} has {len(numbers)} columns and, as they are given by number, no "
                f"header. Expected the number of the {role} too: --{role}-column NUMBER."
            )
        columns.setdefault(role, others[0] if others else "")
    return columns


def _distinct(header: Header, columns: Mapping[str, str], headed: bool) -> Chosen:
    roles: dict[str, str] = {}
    for role, name in columns.items():
        if name in roles:
            raise UsageError(
                f"{header.shown}: the column {short(name)} is to be both {roles[name]} and {role}. "
                f"Expected two columns. Name the other one: --{role}-column."
            )
        roles[name] = role
    return Chosen(columns, headed)
