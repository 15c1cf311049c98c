"""Every part's words: complete in both languages, and each that a page asks for is there."""

from __future__ import annotations

import json
import re
from pathlib import Path
from string import Formatter

import pytest

import phalanx
from phalanx.errors import UsageError
from phalanx.pages.language import LANGUAGES, Catalogue, sections

SOURCE = Path(phalanx.__file__).parent
PARTS = ("phalanx.comparison.report", "phalanx.profiling.report")
PAGES = SOURCE / "pages"


def folder(part: str) -> Path:
    return SOURCE.joinpath(*part.split(".")[1:])


def slots(words: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(words) if name is not None}


@pytest.mark.parametrize("part", PARTS)
def test_both_languages_have_the_same_keys_and_slots(part: str) -> None:
    english, chinese = (sections(language, part) for language in LANGUAGES)
    assert english.keys() == chinese.keys()
    for section, words in english.items():
        if section == "sentence":
            continue
        assert words.keys() == chinese[section].keys(), section
        for key in words:
            assert slots(words[key]) == slots(chinese[section][key]), (section, key)


@pytest.mark.parametrize("part", PARTS)
def test_every_text_that_a_page_asks_for_exists(part: str) -> None:
    asked = set()
    for path in [path for place in (PAGES, folder(part)) for path in place.iterdir()]:
        if path.suffix in (".py", ".j2"):
            asked |= set(re.findall(r"\btext\(\s*[\"']([a-z_0-9]+)[\"']", path.read_text("utf-8")))
        elif path.suffix == ".js":
            asked |= set(re.findall(r"\bwords\.([a-z_]+)", path.read_text("utf-8")))
    assert {"skip", "data_table"} <= asked
    assert asked <= sections("en", part)["text"].keys()


def test_no_part_repeats_what_the_shared_words_say() -> None:
    for language in LANGUAGES:
        shared = json.loads((PAGES / f"messages.{language}.json").read_text("utf-8"))
        for part in PARTS:
            own = json.loads((folder(part) / f"messages.{language}.json").read_text("utf-8"))
            for section in shared.keys() & own.keys() - {"sentence"}:
                for key in shared[section].keys() & own[section].keys():
                    assert shared[section][key] != own[section][key], (part, section, key)


def test_a_part_may_say_a_shared_key_in_its_own_words() -> None:
    assert sections("en", PARTS[0])["mode"]["decode"] == "decoding"
    assert sections("en", PARTS[1])["mode"]["decode"] == "one token"


def test_a_language_without_a_catalogue_is_refused() -> None:
    with pytest.raises(UsageError, match="expected one of en, zh"):
        sections("fr", PARTS[0])


def test_unknown_keys_of_data_are_made_readable() -> None:
    words = Catalogue("en", sections("en", PARTS[1]))
    assert words.name("machine", "l2_cache") == "l2 cache"
