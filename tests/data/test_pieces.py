"""Documents in pieces: cut where no tokenizer notices, and the same whatever the blocks were."""

from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import pre_tokenizers

from phalanx.data.documents import PIECE, Piece, pieces, whole
from phalanx.data.tokenizers import train_tokenizer

# Words short enough that each piece of 16 characters has a place to cut, and all that is near one.
WORDS = st.sampled_from(
    ["I'll", "they", "'s", "42", "é在", "🌊", "...", "\x1c", "\x1cx", "x\x85y", "ſ"]
)
SPACES = st.sampled_from([" ", "  ", "\n", " \n", "\n\n ", "\t", "\r", "\u3000", "\xa0", "\u2028 "])
RUNS = st.lists(SPACES, min_size=1, max_size=3).map("".join)
TEXTS = st.lists(st.tuples(WORDS, RUNS)).map(lambda parts: "".join(a + b for a, b in parts))

GPT2 = pre_tokenizers.ByteLevel(add_prefix_space=False)
TOKENIZERS = [
    train_tokenizer("bytes", []),
    train_tokenizer("characters", ["I'll they's 42 é在 🌊... \x1c x\x85y\n"]),
    train_tokenizer("bpe", ["I'll they's 42 é在 🌊... they'll \n\n see 42's  x\n"] * 3, 300),
]


def blocks_of(text: str, sizes: list[int]) -> list[str]:
    blocks, start = [], 0
    for size in sizes:
        blocks.append(text[start : start + size])
        start += size
    return [*blocks, text[start:]]


@settings(max_examples=150)
@given(TEXTS, st.integers(16, 40), st.lists(st.integers(0, 50)))
def test_encoding_piece_by_piece_is_encoding_the_whole(
    text: str, size: int, sizes: list[int]
) -> None:
    found = list(pieces(blocks_of(text, sizes), size))
    assert found == list(pieces([text], size)), "the blocks do not matter"
    assert "".join(piece.text for piece in found) == text
    assert all(0 < len(piece.text) <= size for piece in found)
    assert [piece.begins for piece in found] == [n == 0 for n in range(len(found))]
    words = [word for piece in found for word, _ in GPT2.pre_tokenize_str(piece.text)]
    assert words == [word for word, _ in GPT2.pre_tokenize_str(text)]
    for tokenizer in TOKENIZERS:
        joined = [id for piece in found for id in tokenizer.encode(piece.text)]
        assert joined == tokenizer.encode(text)


def test_a_piece_ends_before_white_space() -> None:
    def cuts(text: str, size: int) -> list[str]:
        return [piece.text for piece in pieces([text], size)]

    assert cuts("one two three", 8) == ["one two", " three"]
    assert cuts("one two  three", 9) == ["one two", "  three"], "the run of blanks stays whole"
    assert cuts("one.\ntwo three.\n", 14) == ["one.\ntwo", " three.\n"], "a blank before a line end"
    assert cuts("一。\n二。\n三。\n", 7) == ["一。\n二。", "\n三。\n"]
    assert cuts("abcdefgh ij", 4) == ["abcd", "efgh", " ij"], "no place: cut all the same"
    assert cuts("     ab", 3) == ["   ", "  a", "b"], "nor behind nothing but white space"


def test_a_line_without_end_is_cut_at_the_length_of_a_piece() -> None:
    lengths = [len(piece.text) for piece in pieces(["x" * (PIECE + 7)] * 2)]
    assert lengths == [PIECE, PIECE, 14]


def test_whole_documents_are_put_together_again() -> None:
    parts = [Piece("a", True), Piece("b", False), Piece("c", True), Piece("d", True)]
    assert list(whole(parts)) == ["ab", "c", "d"]
    assert list(whole([])) == []
