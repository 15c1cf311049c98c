"""Every kind that is trained: exact round trips, fast paths equal to the library, clear errors."""

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tokenizers as library
from hypothesis import example, given
from hypothesis import strategies as st

from phalanx.data.stream import StreamDecoder
from phalanx.data.tokenizers import (
    END,
    KINDS,
    UNKNOWN,
    Tokenizer,
    byte_alphabet,
    load_tokenizer,
    train_tokenizer,
)
from phalanx.data.tokenizers.library import explained
from phalanx.errors import UsageError

CORPUS = (Path(__file__).parents[1] / "goldens" / "corpus.txt").read_text(encoding="utf-8")
GIVING_BACK = ("bytes", "characters", "bpe")  # kinds that keep the white space of a text
TOKENIZERS = {kind: train_tokenizer(kind, [CORPUS[:50_000]]) for kind in KINDS}
# Any text that UTF-8 can hold, with what tends to go wrong made likely.
AWKWARD = [
    "\0",
    "\r\n",
    "\ufeff",
    "🏛️",
    "e\u0301",
    "\ufffd",
    "  ",
    "\u2028",
    END,
    UNKNOWN,
    "Ġ",
    "'s",
]
TEXTS = st.lists(
    st.one_of(st.text(st.characters(codec="utf-8")), st.sampled_from(AWKWARD)), max_size=8
).map("".join)


@pytest.fixture(params=KINDS)
def tokenizer(request: pytest.FixtureRequest) -> Tokenizer:
    return TOKENIZERS[request.param]


def library_ids(tokenizer: Tokenizer, text: str) -> list[int]:
    """The slow path, and the truth: what the library itself makes of the saved file."""
    return list(tokenizer.library.encode(text, add_special_tokens=False).ids)


@pytest.mark.parametrize("kind", ["bytes", "bpe"])
@given(text=TEXTS)
@example(text="".join(AWKWARD))
def test_round_trip_of_any_text(kind: str, text: str) -> None:
    tokenizer = TOKENIZERS[kind]
    ids = tokenizer.encode(text)
    assert tokenizer.decode(ids) == text
    assert tokenizer.end_id not in ids
    assert ids == library_ids(tokenizer, text)
    assert tokenizer.library.decode(ids) == text
    assert tokenizer.byte_lengths(np.array(ids, dtype=np.int32)).sum() == len(text.encode())


@given(text=TEXTS)
@example(text="".join(AWKWARD))
def test_characters_change_only_the_unknown(text: str) -> None:
    tokenizer = TOKENIZERS["characters"]
    ids = tokenizer.encode(text)
    assert len(ids) == len(text)
    assert ids == library_ids(tokenizer, text)
    known = set(CORPUS[:50_000])
    assert tokenizer.decode(ids) == "".join(c if c in known else "\ufffd" for c in text)
    assert [i == tokenizer.unknown_id for i in ids] == [c not in known for c in text]
    assert tokenizer.end_id not in ids


def test_long_texts_take_the_same_path(tokenizer: Tokenizer) -> None:
    ids = tokenizer.encode_array(CORPUS)
    assert ids.dtype == np.int32
    assert ids.tolist() == library_ids(tokenizer, CORPUS)


def test_the_saved_file_is_an_ordinary_tokenizer(tokenizer: Tokenizer, tmp_path: Path) -> None:
    tokenizer.save(tmp_path / "model")
    path = tmp_path / "model" / "tokenizer.json"
    assert [file.name for file in path.parent.iterdir()] == ["tokenizer.json"]
    theirs = library.Tokenizer.from_file(str(path))
    sample = CORPUS[:3000]
    assert theirs.encode(sample, add_special_tokens=False).ids == tokenizer.encode(sample)
    if tokenizer.kind in GIVING_BACK:
        assert theirs.decode(tokenizer.encode(sample)) == sample
    end = "[SEP]" if tokenizer.kind == "wordpiece" else END
    assert theirs.token_to_id(end) == tokenizer.end_id
    for again in (load_tokenizer(path), load_tokenizer(path.parent), load_tokenizer(str(path))):
        assert again.kind == tokenizer.kind
        assert again.vocabulary == tokenizer.vocabulary
        assert again.digest == tokenizer.digest
        assert again.encode(sample) == tokenizer.encode(sample)
        assert (again.end_id, again.unknown_id) == (tokenizer.end_id, tokenizer.unknown_id)
        assert again.encode(END) == tokenizer.encode(END), "still text after loading"
    first = path.read_bytes()
    load_tokenizer(path).save(path)
    assert path.read_bytes() == first


def test_ids(tokenizer: Tokenizer) -> None:
    assert tokenizer.end_id == (3 if tokenizer.kind == "wordpiece" else tokenizer.vocabulary - 1)
    assert tokenizer.bytes_of(tokenizer.end_id) == b""
    assert tokenizer.decode([tokenizer.end_id]) == ""
    for wrong in (-1, tokenizer.vocabulary):
        with pytest.raises(UsageError, match="outside the vocabulary"):
            tokenizer.bytes_of(wrong)
    assert tokenizer.encode("") == []
    assert tokenizer.decode([]) == ""


def test_byte_ids_are_the_bytes() -> None:
    assert TOKENIZERS["bytes"].encode("A\0é") == [65, 0, 0xC3, 0xA9]
    assert TOKENIZERS["bytes"].vocabulary == 257
    assert sorted(byte_alphabet()) == sorted(library.pre_tokenizers.ByteLevel.alphabet())
    assert [TOKENIZERS["bytes"].bytes_of(byte) for byte in range(256)] == [
        bytes([byte]) for byte in range(256)
    ]


def test_characters_are_numbered_in_order() -> None:
    tokenizer = train_tokenizer("characters", ["banana", "\ncab"])
    assert tokenizer.encode("\nabcn") == [0, 1, 2, 3, 4]
    assert (tokenizer.unknown_id, tokenizer.end_id, tokenizer.vocabulary) == (5, 6, 7)
    assert tokenizer.encode("x🌊") == [5, 5]
    fewer = train_tokenizer("characters", ["banana", "\ncab"], vocabulary=4)
    assert fewer.decode(fewer.encode("bananac")) == "ba\ufffda\ufffda\ufffd", (
        "most frequent, then order"
    )
    assert fewer.vocabulary == 4


def test_bpe_training_is_deterministic_and_keeps_to_its_size() -> None:
    one = train_tokenizer("bpe", [CORPUS], vocabulary=500)
    two = train_tokenizer("bpe", iter([CORPUS]), vocabulary=500)
    assert one.digest == two.digest
    assert one.vocabulary == 500
    assert len(one.encode(CORPUS)) < len(CORPUS.encode()) / 2
    assert train_tokenizer("bpe", ["abc"], vocabulary=500).vocabulary == 257, "nothing to merge"


def test_documents_are_separated(tokenizer: Tokenizer) -> None:
    texts = ["One.", "", "Two. " + END]
    ids = tokenizer.encode_documents(iter(texts))
    end = [tokenizer.end_id]
    expected = tokenizer.encode(texts[0]) + end + end + tokenizer.encode(texts[2])
    assert ids.tolist() == expected
    assert ids.dtype == np.int32
    assert tokenizer.encode_documents([]).tolist() == []


@given(kind=st.sampled_from(KINDS), data=st.data(), text=TEXTS)
def test_streaming_joins_to_the_whole(kind: str, data: st.DataObject, text: str) -> None:
    """Any tokens, text or not: the pieces join to what decode gives, and none is half a letter."""
    tokenizer = TOKENIZERS[kind]
    any_ids = st.lists(st.integers(0, tokenizer.vocabulary - 1), max_size=30)
    for ids in (tokenizer.encode(text), data.draw(any_ids)):
        stream = StreamDecoder(tokenizer)
        pieces = [stream.feed(token) for token in ids]
        assert "".join(pieces) + stream.flush() == tokenizer.decode(ids)
        assert stream.flush() == "", "nothing is said twice"
    if kind in ("bytes", "bpe"):
        stream = StreamDecoder(tokenizer)
        for token in tokenizer.encode(text):
            assert "\ufffd" not in stream.feed(token) or "\ufffd" in text


def test_streaming_waits_for_a_character() -> None:
    stream = StreamDecoder(TOKENIZERS["bytes"])
    pieces = [stream.feed(byte) for byte in "é🌊".encode()]
    assert pieces == ["", "é", "", "", "", "🌊"]
    assert stream.feed(0xF0) == ""
    assert stream.flush() == "\ufffd"
    assert stream.feed(65) == "A", "afresh after a flush"


def test_lone_surrogates_are_refused(tokenizer: Tokenizer) -> None:
    undecodable = b"ab\xff".decode(errors="surrogateescape")
    for call in (tokenizer.encode, tokenizer.encode_array):
        with pytest.raises(UsageError, match="U\\+DCFF, at character 2"):
            call(undecodable)
    with pytest.raises(UsageError, match="surrogate"):
        tokenizer.encode_documents(["fine", undecodable])


@pytest.mark.parametrize(
    ("kind", "texts", "vocabulary", "said"),
    [
        ("byte", [], None, "Did you mean 'bytes'"),
        ("bytes", [], 300, "it has 257"),
        ("words", ["ab"], 2, "at least 3"),
        ("words", [" \n"], None, "No text"),
        ("words", ["\udcff"], None, "surrogate"),
        ("wordpiece", ["ab"], 9, "at least 10"),
        ("wordpiece", [" "], None, "No text"),
        ("characters", ["ab"], 2, "at least 3"),
        ("characters", [""], None, "No text"),
        ("bpe", ["ab"], 256, "so few ids"),
        ("bpe", [""], None, "No text"),
        ("bpe", ["\udcff"], None, "surrogate"),
    ],
)
def test_wrong_training(kind: str, texts: list[str], vocabulary: int | None, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        train_tokenizer(kind, texts, vocabulary)


def saved(kind: str, **changes: Any) -> str:
    """A saved tokenizer with some parts of the file replaced; ``model__vocab`` reaches inside."""
    spec = json.loads(TOKENIZERS[kind].library.to_str())
    for name, value in changes.items():
        *outer, last = name.split("__")
        part = spec
        for key in outer:
            part = part[key]
        part[last] = value
    return json.dumps(spec)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "not JSON"),
        (saved("bpe")[:5000], "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[]", "no 'model'"),
        ('{"version": "1.0"}', "no 'model'"),
        ('{"version": "1.0", "model": {"type": "Unheard"}}', "sort Unheard"),
        (saved("bpe", model__merges=[["a", "zzzzz"]]), "cannot read it"),
        # The library would panic in Rust on these.
        (
            saved("bpe", normalizer={"type": "Precompiled", "precompiled_charsmap": "AAAA"}),
            "precompiled table",
        ),
        (saved("bpe", model__continuing_subword_prefix="\u0120"), "inside a word"),
        (saved("bpe", pre_tokenizer={"type": "FixedLength", "length": 0}), "splits text by"),
        (saved("bpe", model__dropout=0.1), "random"),
        (saved("bpe", decoder=None), "not supported"),
        (saved("bytes", model__vocab={"a": 0}), "lacks 255 of the 256 bytes"),
        (saved("bytes", model__vocab={"a": 0, "b": 5}), "holes"),
        (saved("bytes", added_tokens=[]), "end of a document"),
        (saved("characters", model__vocab={"ab": 0, UNKNOWN: 1}), "not supported"),
        (saved("characters", model__unk_token="?"), "not supported"),
    ],
)
def test_malformed_files_are_explained(tmp_path: Path, content: str, said: str) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_text(content)
    with pytest.raises(UsageError, match=said) as caught:
        load_tokenizer(path)
    assert "tokenizer.json: " in str(caught.value)
    assert "Expected" in str(caught.value)


def test_missing_and_unreadable_files_are_explained(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No tokenizer at"):
        load_tokenizer(tmp_path)
    (tmp_path / "tokenizer.json").write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="Cannot read"):
        load_tokenizer(tmp_path)


def test_interrupts_are_not_mistaken_for_panics() -> None:
    with pytest.raises(KeyboardInterrupt), explained("It failed", "Try again."):
        raise KeyboardInterrupt
    panic = type("PanicException", (BaseException,), {})
    said = pytest.raises(UsageError, match=r"It failed \(why\)\. Try again\.")
    with said, explained("It failed", "Try again."):
        raise panic("why")


def test_a_byte_level_vocabulary_of_others_is_read() -> None:
    """As GPT-2's: its own name for the end, which is not the last id, and a post-processor."""
    wrapped = library.Tokenizer(library.models.BPE())
    wrapped.pre_tokenizer = library.pre_tokenizers.ByteLevel(add_prefix_space=False)
    wrapped.decoder = library.decoders.ByteLevel()
    wrapped.post_processor = library.processors.ByteLevel(trim_offsets=False)
    trainer = library.trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=["<|endoftext|>"],
        initial_alphabet=list(byte_alphabet()),
        show_progress=False,
    )
    wrapped.train_from_iterator([CORPUS], trainer)
    tokenizer = Tokenizer(wrapped)
    assert (tokenizer.kind, tokenizer.end_id, tokenizer.vocabulary) == ("bpe", 0, 400)
    text = "the castle <|endoftext|> 🌊"
    assert tokenizer.decode(tokenizer.encode(text)) == text
    assert tokenizer.end_id not in tokenizer.encode(text)


@pytest.mark.parametrize("kind", ["bytes", "characters"])
def test_a_megabyte_takes_a_moment(kind: str) -> None:
    text = CORPUS * 10
    start = time.perf_counter()
    TOKENIZERS[kind].encode_array(text)
    assert time.perf_counter() - start < 0.3
