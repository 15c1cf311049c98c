"""Bytes to text: one rule for marks, line ends and invalid bytes, wherever the blocks end."""

import codecs

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from phalanx.data.decoding import decode, decode_text
from phalanx.data.reading import Findings
from phalanx.errors import UsageError

BYTES = st.lists(
    st.sampled_from([b"a", b"\r", b"\n", b"\0", "é".encode(), "🌊".encode(), b"\xf0\x9f", b"\xff"])
    | st.sampled_from([codecs.BOM_UTF8, "\ufffd".encode(), b"\xed\xa0\x80"])
).map(b"".join)


def cut(data: bytes, sizes: list[int]) -> list[bytes]:
    blocks = []
    for size in sizes:
        blocks.append(data[:size])
        data = data[size:]
    return [*blocks, data]


def test_byte_order_mark_and_line_ends() -> None:
    assert decode_text(b"\xef\xbb\xbfone\r\ntwo\rthree\n\r", "f") == "one\ntwo\rthree\n\r"


@settings(max_examples=60)
@given(BYTES, st.lists(st.integers(0, 9)))
@example(b"a\r\nb\r\r\nc\r", [2, 1, 1, 1, 1, 1])
@example(b"\xef\xbb\xbf\xff\xfe", [1, 1, 1])
def test_the_blocks_do_not_matter(data: bytes, sizes: list[int]) -> None:
    findings, again = Findings("f"), Findings("f")
    parts = list(decode(cut(data, sizes), findings, "replace"))
    assert "" not in parts
    text = "".join(parts)
    assert text == "".join(decode([data], again, "replace"))
    assert findings == again
    expected = data.removeprefix(codecs.BOM_UTF8)
    assert text == expected.decode(errors="replace").replace("\r\n", "\n")
    assert findings.mark == data.startswith(codecs.BOM_UTF8)
    assert findings.line_ends == data.count(b"\r\n")
    assert findings.nuls == data.count(b"\0")
    assert findings.replaced == text.count("\ufffd") - expected.count("\ufffd".encode())


@settings(max_examples=60)
@given(BYTES, st.lists(st.integers(0, 9)))
def test_invalid_bytes_are_refused_at_the_place_where_python_sees_them(
    data: bytes, sizes: list[int]
) -> None:
    try:
        data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        said = f"f:{line} has the byte 0x{data[error.start]:02x} at offset {error.start:,}"
        with pytest.raises(UsageError, match=said):
            list(decode(cut(data, sizes), Findings("f")))
    else:
        assert "".join(decode(cut(data, sizes), Findings("f"))) == decode_text(data, "f")


@pytest.mark.parametrize("data", ["one".encode("utf-16"), b"\xfe\xff\0o", b"\xff\xfe"])
def test_utf16_is_named_and_never_replaced(data: bytes) -> None:
    for errors in ("strict", "replace"):
        with pytest.raises(UsageError, match=r"UTF-16 byte order mark.*iconv -f UTF-16"):
            list(decode([data], Findings("f"), errors))  # type: ignore[arg-type]


def test_a_block_full_of_invalid_bytes_is_read_in_one_pass() -> None:
    findings = Findings("f")
    [text] = decode([b"\xff" * (1 << 20)], findings, "replace")
    assert findings.replaced == len(text) == 1 << 20
