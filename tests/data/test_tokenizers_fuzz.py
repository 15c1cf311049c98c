"""Tokenizer files from anywhere: damaged ones load and work, or are refused in words."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from small_tokenizers import SMALL

from phalanx.data.tokenizers import load_tokenizer
from phalanx.errors import UsageError

TEXT = (
    "The river ran [SEP] past</s> <|end|> 12,000 houses;\n\n\tnaïve\u2581 🌊 it's \0 x" + "y" * 200
)
CONTENTS = {name: tokenizer.library.to_str() for name, tokenizer in SMALL.items()}
ODD: list[Any] = [
    *(None, True, 0, 1, -1, 2**32, 2**70, 1.5, "", " ", "a", "Ġ", "\u2581", "##", "(", "(a+)+$"),
    *([], {}, [[]], ["a", "b"], {"type": "Sequence"}, {"Regex": "("}, {"String": ""}, "\ud800"),
    *("Sequence", "ByteLevel", "Precompiled", "Unigram", "WordPiece", "Metaspace", "Removed"),
    {"type": "Split", "pattern": {"Regex": r"\s+"}, "behavior": "Removed", "invert": True},
    {"type": "FixedLength", "length": 0},
    {"direction": "Right", "max_length": 3, "strategy": "LongestFirst", "stride": 5},
]
# Panics in a pattern's search cannot be kept off stderr: the text decides, not the file.
SEARCH_FAILED = "retry-limit-in-match over"


def loads_or_refuses(file: Path) -> None:
    """Nothing but a UsageError may come out: every call that a user's file reaches."""
    try:
        tokenizer = load_tokenizer(file)
        ids = tokenizer.encode(TEXT)
        assert tokenizer.end_id not in ids
        assert not set(tokenizer.special_ids.values()) & set(ids)
        text = tokenizer.decode(ids)
        assert not tokenizer.exact or text == TEXT
        tokenizer.save(file)
        again = load_tokenizer(file)
        assert (again.digest, again.encode(TEXT)) == (tokenizer.digest, ids)
    except UsageError:
        return


def places(value: Any) -> list[tuple[Any, Any]]:
    """Every place inside a JSON value, as the container and the key; long tables at their ends."""
    keys = list(value) if isinstance(value, dict) else list(range(len(value)))
    found = [(value, key) for key in (keys if len(keys) < 20 else keys[:4] + keys[-4:])]
    for container, key in list(found):
        if isinstance(container[key], dict | list):
            found += places(container[key])
    return found


@pytest.mark.parametrize("name", SMALL)
@settings(
    max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
@given(data=st.data())
def test_any_part_may_be_wrong(
    name: str, data: st.DataObject, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    spec = json.loads(CONTENTS[name])
    for _ in range(data.draw(st.integers(1, 3))):
        where = places(spec)
        container, key = where[data.draw(st.integers(0, len(where) - 1))]
        other, its = where[data.draw(st.integers(0, len(where) - 1))]
        change = data.draw(st.sampled_from(("drop", "odd", "odd", "copy", "rename")))
        if change == "odd":
            container[key] = copy.deepcopy(data.draw(st.sampled_from(ODD)))
        elif change == "copy":
            container[key] = copy.deepcopy(other[its])
        elif change == "drop" or not isinstance(container, dict):
            del container[key]
        else:
            container[key + "x"] = container.pop(key)
    file = tmp_path / "tokenizer.json"
    file.write_text(json.dumps(spec))
    loads_or_refuses(file)
    said = capfd.readouterr().err
    assert "panicked" not in said or SEARCH_FAILED in said


@pytest.mark.parametrize("name", SMALL)
@settings(
    max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
@given(data=st.data())
def test_any_byte_may_be_wrong(
    name: str, data: st.DataObject, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    content = bytearray(CONTENTS[name].encode())
    for _ in range(data.draw(st.integers(1, 4))):
        # The structure stands at the beginning; the tables behind it are all alike.
        at = data.draw(st.integers(0, min(len(content) - 1, 2000)))
        change = data.draw(st.sampled_from(("set", "insert", "delete", "cut")))
        if change == "set":
            content[at] = data.draw(st.integers(0, 255))
        elif change == "insert":
            content[at:at] = data.draw(st.binary(max_size=4))
        elif change == "delete":
            del content[at : at + data.draw(st.integers(1, 9))]
        else:
            del content[-1 - at :]
        content = content or bytearray(b" ")
    file = tmp_path / "tokenizer.json"
    file.write_bytes(content)
    loads_or_refuses(file)
    assert "panicked" not in capfd.readouterr().err
