"""GPT-2's and BERT's own files, and the sorts of tokenizer.json that others make."""

import json
from pathlib import Path

import pytest
import tokenizers as library
from hypothesis import example, given
from hypothesis import strategies as st
from small_tokenizers import CORPUS, SMALL, words

from phalanx.data.stream import StreamDecoder
from phalanx.data.tokenizers import Tokenizer, load_tokenizer
from phalanx.errors import UsageError

SHARED = Path(__file__).parents[3] / "shared" / "data"
GPT2, BERT = SHARED / "tokenizers_gpt2_bpe", SHARED / "tokenizer_bert_wordpiece"
TEXTS = st.text(st.characters(codec="utf-8"), max_size=40)
DIVERSE = [
    "",
    " ",
    "Hello, world! I'm sure they'll say it's THEIRS, won't they?",
    "  two spaces,\t\ttabs\r\nlines\n\n\n   and  the end  ",
    "0 12 345 6789 3.14159 1,000,000 ½ ² Ⅷ ٣",
    "naïve café Ångström e\u0301 ﬁ Straße İstanbul ςΣ",
    "中文字符和标点。日本語のテキスト 한국어 عربى עברית ไทย",
    "👩‍👩‍👧‍👦 🏛️ 🇫🇷 \U0001f600\U00020bb7",
    "<|endoftext|> [CLS] a [SEP] [UNK] [MASK] [unused3] </s> <|end|> ##ing ##",
    "\0\x01\x7f\x85\xa0\xad\u200b\u2028\u3000\ufeff\ufffd",
    "def f(x):\n    return x**2  # _private __dunder__\n",
    "supercalifragilisticexpialidocious" * 5,
    CORPUS[:3000],
]
ADDED = json.loads(SMALL["bpe"].library.to_str())["added_tokens"]
SWALLOWING = {"special": False, "lstrip": True}
SPLIT = {"type": "WhitespaceSplit"}
BYTE_LEVEL = json.loads(SMALL["bytes"].library.to_str())["pre_tokenizer"]


@pytest.fixture(scope="module")
def gpt2() -> Tokenizer:
    if not GPT2.is_dir():
        pytest.skip(f"GPT-2's files are not at {GPT2}")
    return load_tokenizer(GPT2)


@pytest.fixture(scope="module")
def bert() -> Tokenizer:
    if not BERT.is_dir():
        pytest.skip(f"BERT's vocabulary is not at {BERT}")
    return load_tokenizer(BERT)


@pytest.mark.parametrize("name", ["bytes", "characters"])
def test_an_added_token_leaves_the_fast_path(name: str, tmp_path: Path) -> None:
    """A token that is no byte and no character: the table of these would not find it."""
    added = json.loads(SMALL[name].library.to_str())["added_tokens"]
    more = {**added[0], "id": SMALL[name].vocabulary, "content": "the", "special": False}
    (tmp_path / "tokenizer.json").write_text(changed(name, added_tokens=[*added, more]))
    if name == "characters":
        with pytest.raises(UsageError, match="not supported"):
            load_tokenizer(tmp_path)
        return
    tokenizer = load_tokenizer(tmp_path)
    assert tokenizer.kind == "bpe"
    assert tokenizer.encode("the") == [more["id"]]
    assert tokenizer.decode([more["id"]]) == "the"


@pytest.mark.slow  # the import of transformers
def test_gpt2_reads_as_hugging_face_does(gpt2: Tokenizer) -> None:
    from transformers import GPT2TokenizerFast

    files = {"vocab": str(GPT2 / "gpt2_vocab.json"), "merges": str(GPT2 / "gpt2_merges.txt")}
    theirs = GPT2TokenizerFast(**files).backend_tokenizer
    theirs.encode_special_tokens = True
    for text in DIVERSE:
        assert gpt2.encode(text) == theirs.encode(text, add_special_tokens=False).ids


def test_gpt2_from_its_files(gpt2: Tokenizer) -> None:
    assert (gpt2.kind, gpt2.exact) == ("bpe", True)
    assert (gpt2.vocabulary, gpt2.end_id, gpt2.unknown_id) == (50257, 50256, None)
    assert gpt2.encode("Hello world, it's 2024 🌊") == [
        15496,
        995,
        11,
        340,
        338,
        48609,
        12520,
        234,
        232,
    ]
    for text in DIVERSE:
        assert gpt2.decode(gpt2.encode(text)) == text
    for file in ("gpt2_vocab.json", "gpt2_merges.txt"):
        assert load_tokenizer(GPT2 / file).digest == gpt2.digest


def test_gpt2_gives_any_text_back(gpt2: Tokenizer) -> None:
    @given(text=TEXTS)
    def holds(text: str) -> None:
        ids = gpt2.encode(text)
        assert gpt2.decode(ids) == text
        assert gpt2.end_id not in ids

    holds()
    assert gpt2.end_id not in gpt2.encode("a<|endoftext|>b <|endoftext|>")


@pytest.mark.slow  # the import of transformers
def test_bert_reads_as_hugging_face_does(bert: Tokenizer) -> None:
    from transformers import BertTokenizerFast

    theirs = BertTokenizerFast(vocab=str(BERT / "vocab.txt")).backend_tokenizer
    theirs.encode_special_tokens = True
    for text in DIVERSE:
        assert bert.encode(text) == theirs.encode(text, add_special_tokens=False).ids


def test_bert_from_its_file(bert: Tokenizer) -> None:
    assert (bert.kind, bert.exact) == ("wordpiece", False)
    assert (bert.vocabulary, bert.end_id, bert.unknown_id) == (30522, 102, 100)
    assert bert.special_ids == {"cls": 101, "mask": 103, "pad": 0}
    assert bert.encode("Hello world, it's naïve 🌊") == [
        7592,
        2088,
        1010,
        2009,
        1005,
        1055,
        15743,
        100,
    ]
    text = "Unbelievable, naïve embeddings [SEP] \U00020bb7!"
    assert bert.decode(bert.encode(text)) == "unbelievable , naive embeddings [ sep ] \ufffd !"
    for text in DIVERSE:
        assert not {0, 101, 102, 103} & set(bert.encode(text))
    assert load_tokenizer(BERT / "vocab.txt").digest == bert.digest


@pytest.mark.parametrize("name", SMALL)
def test_every_sort_is_saved_and_read_back(name: str, tmp_path: Path) -> None:
    tokenizer = SMALL[name]
    tokenizer.save(tmp_path)
    again = load_tokenizer(tmp_path)
    assert again.digest == tokenizer.digest
    for text in DIVERSE:
        assert again.encode(text) == tokenizer.encode(text)
        assert again.decode(again.encode(text)) == tokenizer.decode(tokenizer.encode(text))
    assert again.special_ids == tokenizer.special_ids
    assert (again.end_id, again.unknown_id) == (tokenizer.end_id, tokenizer.unknown_id)


@pytest.mark.parametrize("name", SMALL)
@given(text=TEXTS, data=st.data())
def test_every_sort_streams_what_it_decodes(name: str, text: str, data: st.DataObject) -> None:
    tokenizer = SMALL[name]
    any_ids = st.lists(st.integers(0, tokenizer.vocabulary - 1), max_size=20)
    for ids in (tokenizer.encode(text), data.draw(any_ids)):
        stream = StreamDecoder(tokenizer)
        for _ in range(2):  # afresh after a flush
            pieces = [stream.feed(token) for token in ids]
            assert "".join(pieces) + stream.flush() == tokenizer.decode(ids)


@pytest.mark.parametrize("name", ["bytes", "bpe", "llama_3"])
@given(text=TEXTS)
@example("".join(DIVERSE))
def test_exact_sorts_give_every_text_back(name: str, text: str) -> None:
    tokenizer = SMALL[name]
    assert tokenizer.exact
    assert tokenizer.decode(tokenizer.encode(text)) == text


@pytest.mark.parametrize("name", ["llama_2", "metaspace"])
@given(text=TEXTS)
@example("".join(DIVERSE))
@example(" a  b\n")
def test_byte_fallback_loses_nothing_but_its_own_space(name: str, text: str) -> None:
    tokenizer = SMALL[name]
    ids = tokenizer.encode(text)
    assert tokenizer.library.token_to_id("<unk>") not in ids
    kept = text.replace("\u2581", " ")
    if name == "metaspace":  # it puts no space before a text that begins with one
        kept = kept.removeprefix(" ")
    assert tokenizer.decode(ids) == kept
    assert tokenizer.library.decode(ids) == kept
    assert (tokenizer.kind, tokenizer.exact) == ("sentencepiece", False)
    assert (tokenizer.end_id, tokenizer.unknown_id) == (2, None)


def test_words_are_joined_by_spaces() -> None:
    bert = SMALL["bert"]
    ids = bert.encode("The RIVER ran, walking")
    assert bert.decode(ids) == "the river ran , walking"
    assert bert.decode([bert.end_id, *ids]) == "the river ran , walking", "[SEP] is no word"
    assert bert.bytes_of(ids[0]) == b" t"
    inside = StreamDecoder(bert, inside=True)
    assert inside.feed(ids[0]) == " t", "the space between a prompt and what follows"
    assert bert.bytes_of(bert.encode("\U00020bb7")[0]) == " \ufffd".encode()


def test_a_vocabulary_with_capitals_is_cased(tmp_path: Path) -> None:
    (tmp_path / "cased-vocab.txt").write_bytes(words("Ran", "##X").replace("\n", "\r\n").encode())
    cased = load_tokenizer(tmp_path)
    assert cased.decode(cased.encode("Ran ran")) == "Ran ran"
    (tmp_path / "cased-vocab.txt").write_text(words(), encoding="utf-8")
    assert load_tokenizer(tmp_path).decode(cased.encode("ran")) == "ran"
    assert SMALL["bert"].decode(SMALL["bert"].encode("Ran")) == "ran"


def changed(name: str, **changes: object) -> str:
    """A tokenizer's file with some parts replaced; ``model__vocab`` reaches inside."""
    spec = json.loads(SMALL[name].library.to_str())
    for place, value in changes.items():
        *outer, last = place.split("__")
        part = spec
        for key in outer:
            part = part[key]
        part[last] = value
    return json.dumps(spec)


def test_nothing_is_cut_padded_or_added(tmp_path: Path) -> None:
    """A saved tokenizer may carry settings of the model that it was made for."""
    cut = {"direction": "Right", "max_length": 3, "strategy": "LongestFirst", "stride": 0}
    pad = {"strategy": {"Fixed": 64}, "direction": "Right", "pad_to_multiple_of": None}
    pad |= {"pad_id": 0, "pad_type_id": 0, "pad_token": "[PAD]"}
    (tmp_path / "tokenizer.json").write_text(changed("bert", truncation=cut, padding=pad))
    tokenizer = load_tokenizer(tmp_path)
    assert tokenizer.library.post_processor is not None
    assert tokenizer.encode("the river ran") == SMALL["bert"].encode("the river ran")
    assert tokenizer.digest == SMALL["bert"].digest


@pytest.mark.parametrize(
    "changes",
    [
        {"normalizer": {"type": "NFC"}},
        {"pre_tokenizer__add_prefix_space": True},
        {"pre_tokenizer": {"type": "Sequence", "pretokenizers": [SPLIT, BYTE_LEVEL]}},
        {"added_tokens": [*ADDED, {**ADDED[0], "id": 300, "content": "\u0301"} | SWALLOWING]},
    ],
)
def test_what_changes_text_is_not_exact(changes: dict[str, object], tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text(changed("bpe", **changes))
    tokenizer = load_tokenizer(tmp_path)
    assert not tokenizer.exact
    text = "e \u0301 e\u0301 a"
    assert tokenizer.decode(tokenizer.encode(text)) != text


def test_a_special_token_within_reach_of_text_is_refused(tmp_path: Path) -> None:
    """WordPiece without BERT's splitting would find [SEP] in its table of words."""
    (tmp_path / "tokenizer.json").write_text(
        changed("bert", pre_tokenizer={"type": "WhitespaceSplit"}, normalizer=None)
    )
    with pytest.raises(UsageError, match="in a text as the special token"):
        load_tokenizer(tmp_path)


def test_an_endless_search_is_explained(tmp_path: Path) -> None:
    splitter = {"type": "Split", "pattern": {"Regex": "(a+)+$"}, "behavior": "Isolated"}
    steps = [{**splitter, "invert": False}, BYTE_LEVEL]
    (tmp_path / "tokenizer.json").write_text(
        changed("bpe", pre_tokenizer={"type": "Sequence", "pretokenizers": steps})
    )
    tokenizer = load_tokenizer(tmp_path)
    assert tokenizer.decode(tokenizer.encode("fine")) == "fine"
    with pytest.raises(UsageError, match="fails on this text"):
        tokenizer.encode("a" * 50 + "b")


def test_unknown_words_need_a_token(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text(changed("bert", model__unk_token="<none>"))
    with pytest.raises(UsageError, match="lacks the token for unknown words, '<none>'"):
        load_tokenizer(tmp_path)


@pytest.mark.parametrize(
    "splitter", [None, {"type": "Sequence", "pretokenizers": [BYTE_LEVEL] * 2}]
)
def test_text_becomes_bytes_once(splitter: object, tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text(changed("bpe", pre_tokenizer=splitter))
    with pytest.raises(UsageError, match="byte-level alphabet exactly once"):
        load_tokenizer(tmp_path)


def test_unigrams_are_refused(tmp_path: Path) -> None:
    """Their special tokens are pieces like any other: text would reach them."""
    unigram = library.Tokenizer(library.models.Unigram([("<unk>", 0.0), ("</s>", 0.0)], 0, True))
    unigram.save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(UsageError, match="sort Unigram is not supported"):
        load_tokenizer(tmp_path)
