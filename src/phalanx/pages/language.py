"""All words of the tables and the pages, in English and Chinese.

A catalogue is made of JSON files of sections (``verdict``, ``unit``, ``text`` ...) with the same
keys in each language: the shared one beside this module and that of a product part. Measurements
speak in keys; only their free sentences (``how``, notes, findings) arrive in English, and
``sentence`` translates those that the catalogue knows as templates.
"""

import json
import re
from collections.abc import Sequence
from importlib import resources
from typing import Any

from phalanx.errors import UsageError, did_you_mean

LANGUAGES = ("en", "zh")
SHARED = "phalanx.pages"


class Catalogue:
    """The words of one language.

    Args:
        language: ``en`` or ``zh``.
        sections: its words (see :func:`sections`).
    """

    def __init__(self, language: str, sections: dict[str, Any]) -> None:
        self.language = language
        self.sections = sections
        self._sentences: list[tuple[re.Pattern[str], str]] = [
            (_pattern(english), translated) for english, translated in sections["sentence"]
        ]

    def text(self, key: str, **values: object) -> str:
        """Return the report's own words under ``key``; a missing key is a defect (KeyError)."""
        words = str(self.sections["text"][key])
        return words.format(**values) if values else words

    def name(self, section: str, key: str) -> str:
        """Return the words for a key that came with the data, or the key itself made readable."""
        known: dict[str, str] = self.sections[section]
        return known.get(key, key.replace("_", " "))

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

    def join(self, names: Sequence[str]) -> str:
        """Return ``a, b and c`` as the language writes it."""
        if len(names) < 2:
            return "".join(names)
        first = self.text("comma").join(names[:-1])
        return self.text("and", first=first, last=names[-1])


def sections(language: str, part: str) -> dict[str, Any]:
    """Return the shared words with those of a product part added.

    Args:
        language: ``en`` or ``zh``.
        part: the package that holds ``messages.<language>.json``.

    Raises:
        UsageError: the language has no catalogue.
    """
    if language not in LANGUAGES:
        raise UsageError(
            f"language is {language!r}, expected one of {', '.join(LANGUAGES)}."
            + did_you_mean(language, LANGUAGES)
        )
    shared, own = _load(language, SHARED), _load(language, part)
    sentences = [*shared.pop("sentence"), *own.pop("sentence")]
    merged = {key: shared.get(key, {}) | own.get(key, {}) for key in (*shared, *own)}
    return merged | {"sentence": sentences}


def _load(language: str, package: str) -> dict[str, Any]:
    path = resources.files(package) / f"messages.{language}.json"
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def _pattern(template: str) -> re.Pattern[str]:
    """Return the pattern of an English template: ``{name}`` stands for words of one sentence."""
    parts = re.split(r"\{([a-z_]+)\}", template)
    pattern = "".join(
        re.escape(part) if index % 2 == 0 else rf"(?P<{part}>(?:(?!\.\s+[A-Z]).)+?)"
        for index, part in enumerate(parts)
    )
    return re.compile(pattern, re.DOTALL)
