"""Raw text taken apart into words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phalanx.data.word_splitting import words_of


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", []),
        (" \n\t", []),
        ("I don't.", ["I", "do", "n't", "."]),
        ("It's Bob’s", ["It", "'s", "Bob", "’s"]),
        ("see https://t.co/ab?c=1.", ["see", "https://t.co/ab?c=1", "."]),
        ("@paul_w's #wnut17!", ["@paul_w", "'s", "#wnut17", "!"]),
        ("12:30, $1,000.50...", ["12:30", ",", "$", "1,000.50", "..."]),
        ("我喜欢北京，Tokyo", ["我", "喜", "欢", "北", "京", "，", "Tokyo"]),
        ("看http://a.b/c吧", ["看", "http://a.b/c", "吧"]),
        ("हिन्दी में", ["हिन्दी", "में"]),
        ("a well-known e\u0301tude", ["a", "well-known", "e\u0301tude"]),
        ("안녕하세요 세계", ["안녕하세요", "세계"]),
    ],
)
def test_words(text: str, words: list[str]) -> None:
    assert [word.text for word in words_of(text)] == words


@given(st.text())
def test_nothing_but_white_space_is_left_out_and_places_are_true(text: str) -> None:
    words = words_of(text)
    assert all(text[word.start : word.end] == word.text for word in words)
    ends = [0, *(word.end for word in words)]
    starts = [*(word.start for word in words), len(text)]
    assert all(not text[a:b].strip() for a, b in zip(ends, starts, strict=True))
