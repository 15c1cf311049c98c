"""All words of the tables and the page, in English and Chinese.

A catalogue is a JSON file of sections (``verdict``, ``unit``, ``text`` ...) with the same keys in
each language. Measurements speak in keys; only their free sentences (``how``, notes) arrive in
English, and ``sentence`` translates those that the catalogue knows as templates.
"""

import json
import re
from collections.abc import Sequence
from functools import cache
from importlib import resources
from typing import Any

from phalanx.errors import UsageError, did_you_mean

LANGUAGES = ("en", "zh")

# "> 0.5 serial", "0.05..0.5 partly", "<= 1e-12 exact", "otherwise no": a rule ends in a verdict.
_CLAUSE = re.compile(
    r"(?P<rule>(?:[^A-Za-z,;]|(?<=\d)e(?=[-+]?\d))*|else |otherwise )(?P<verdict>[a-z_]+)"
)
_ELSE = {"en": "otherwise ", "zh": "否则"}


class Catalogue:
    """The words of one language.

    Args:
        language: ``en`` or ``zh``.
        sections: words in place of the language's own file.

    Raises:
        UsageError: the language has no catalogue.
    """

    def __init__(self, language: str, sections: dict[str, Any] | None = None) -> None:
        if language not in LANGUAGES:
            raise UsageError(
                f"language is {language!r}, expected one of {', '.join(LANGUAGES)}."
                + did_you_mean(language, LANGUAGES)
            )
        self.language = language
        self.sections = _load(language) if sections is None else sections
        self._sentences: list[tuple[re.Pattern[str], str]] = [
            (_pattern(english), translated) for english, translated in self.sections["sentence"]
        ]

    def text(self, key: str, **values: object) -> str:
        """Return the report's own words under ``key``; a missing key is a defect (KeyError)."""
        words = str(self.sections["text"][key])
        return words.format(**values) if values else words

    def name(self, section: str, key: str) -> str:
        """Return the words for a key that came with the data, or the key itself made readable."""
        known: dict[str, str] = self.sections[section]
        return known.get(key, key.replace("_", " "))

    def threshold(self, rule: str) -> str:
        """Return a rule such as ``> 0.5 serial, < 0.05 parallel`` with its verdicts in words."""
        clauses = re.split(r"\s*([,;])\s*", rule.strip())
        words = []
        for clause in clauses:
            match = _CLAUSE.fullmatch(clause)
            if clause in (",", ";"):
                words.append(clause + " ")
            elif match and match["verdict"] in self.sections["verdict"]:
                lead = match["rule"]
                lead = _ELSE[self.language] if lead in ("else ", "otherwise ") else _signs(lead)
                words.append(lead + self.name("verdict", match["verdict"]))
            else:
                return self.sentence(rule)
        return "".join(words)

    def sentence(self, words: str) -> str:
        """Return free English sentences in this language where the catalogue has their template."""
        whole = self._translated(words.strip())
        if whole is not None:
            return whole
        parts = re.split(r"(?<=[.;])\s+(?=[A-Z])", words)
        found = [self._translated(part) for part in parts]
        return " ".join(new or old for new, old in zip(found, parts, strict=True))

    def _translated(self, words: str) -> str | None:
        for pattern, translated in self._sentences:
            match = pattern.fullmatch(words)
            if match:
                return translated.format(**match.groupdict())
        return None

    def variant(self, key: str) -> str:
        """Return the words for the weights of a distance curve: ``fresh``, ``radius 0.5`` ..."""
        word, _, value = key.partition(" ")
        return (
            self.name("variant", word).format(value=value) if value else self.name("variant", key)
        )

    def join(self, names: Sequence[str]) -> str:
        """Return ``a, b and c`` as the language writes it."""
        if len(names) < 2:
            return "".join(names)
        first = self.text("comma").join(names[:-1])
        return self.text("and", first=first, last=names[-1])


@cache
def catalogue(language: str) -> Catalogue:
    """Return the catalogue of ``language``; raises UsageError for a language without one."""
    return Catalogue(language)


def _load(language: str) -> dict[str, Any]:
    path = resources.files("phalanx.comparison.report") / f"messages.{language}.json"
    sections: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return sections


def _signs(rule: str) -> str:
    for plain, sign in ((">=", "≥"), ("<=", "≤"), ("..", "–")):
        rule = rule.replace(plain, sign)
    return rule


def _pattern(template: str) -> re.Pattern[str]:
    """Return the pattern of an English template: ``{name}`` stands for any words."""
    parts = re.split(r"\{([a-z_]+)\}", template)
    pattern = "".join(
        re.escape(part) if index % 2 == 0 else f"(?P<{part}>.+?)"
        for index, part in enumerate(parts)
    )
    return re.compile(pattern, re.DOTALL)
