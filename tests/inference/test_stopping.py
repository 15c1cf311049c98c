"""Stop strings: nothing of one is let through, however the text arrives."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phalanx.errors import UsageError
from phalanx.inference.stopping import Stopper, check_stops


def passed(stops: list[str], pieces: list[str]) -> tuple[str, bool]:
    stopper = Stopper(stops)
    text = "".join(map(stopper.feed, pieces))
    return text + stopper.flush(), stopper.found


def expected(stops: list[str], text: str) -> tuple[str, bool]:
    """The definition: the first end of a stop string, and the longest that ends there."""
    for end in range(len(text) + 1):
        here = [stop for stop in stops if text[:end].endswith(stop)]
        if here:
            return text[: end - len(max(here, key=len))], True
    return text, False


@pytest.mark.parametrize(
    ("stops", "text", "kept"),
    [
        (["END"], "abENDcd", "ab"),
        (["END"], "abENcd", "abENcd"),
        (["END"], "ab EN", "ab EN"),
        (["aab"], "aaab", "a"),
        (["abcd", "bc"], "xabcd", "xa"),
        (["b", "abc"], "abc", "a"),
        (["c", "abc"], "xabc", "x"),
        (["\n\n"], "one\ntwo\n\nthree", "one\ntwo"),
        (["漢字"], "漢漢字", "漢"),
        ([], "abc", "abc"),
    ],
)
def test_a_text_ends_before_the_stop_string_that_is_complete_first(
    stops: list[str], text: str, kept: str
) -> None:
    assert passed(stops, [text])[0] == kept
    assert passed(stops, list(text)) == expected(stops, text)


@given(
    st.lists(st.text("ab", min_size=1, max_size=4), max_size=3),
    st.lists(st.text("ab", max_size=3), max_size=12),
)
def test_the_pieces_do_not_matter(stops: list[str], pieces: list[str]) -> None:
    assert passed(stops, pieces) == expected(stops, "".join(pieces))


@given(
    st.lists(st.text("ab", min_size=1, max_size=4), min_size=1, max_size=3),
    st.text("ab", max_size=20),
)
def test_no_more_is_held_back_than_needed(stops: list[str], text: str) -> None:
    stopper, shown = Stopper(stops), ""
    for at, character in enumerate(text, 1):
        shown += stopper.feed(character)
        if stopper.found:
            break
        held = text[len(shown) : at]
        assert shown + held == text[:at]
        assert not held or any(stop.startswith(held) for stop in stops)
        # Nothing that could still become part of a stop string has been shown.
        for begin in range(len(shown)):
            assert not any(stop.startswith(text[begin:at]) for stop in stops)


def test_nothing_goes_through_after_the_end() -> None:
    stopper = Stopper(["X"])
    assert (stopper.feed("aXb"), stopper.feed("c"), stopper.flush()) == ("a", "", "")


@pytest.mark.parametrize(("stop", "message"), [("", "is empty"), ("a\udcff", "not UTF-8")])
def test_stop_strings_that_mean_nothing_are_refused(stop: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        check_stops(["fine", stop])
