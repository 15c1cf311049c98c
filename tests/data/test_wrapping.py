"""How texts are wrapped: between [CLS] and [SEP], or as they are with the end between a pair."""

import json

import pytest
import tokenizers
from hypothesis import given
from hypothesis import strategies as st

from phalanx.data.tokenizers import Tokenizer, load_tokenizer, train_tokenizer
from phalanx.data.tokenizers.files import bert_description
from phalanx.data.tokenizers.library import parse
from phalanx.data.wrapping import first_position, wrapped
from phalanx.errors import UsageError

WORDS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "b", "c", "d")
CLS, SEP = 2, 3


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    file = tmp_path_factory.mktemp("bert") / "vocab.txt"
    file.write_text("\n".join(WORDS) + "\n")
    return load_tokenizer(file)


def library_of(tokenizer: Tokenizer) -> tokenizers.Tokenizer:
    return tokenizers.Tokenizer.from_str(tokenizer.library.to_str())


@pytest.mark.parametrize(("first", "second"), [("a b", "c"), ("a", ""), ("", "d d"), ("", "")])
def test_as_the_library_wraps(first: str, second: str, bert: Tokenizer) -> None:
    library = library_of(bert)
    alone = library.encode(first)
    assert wrapped(bert, bert.encode(first)) == (alone.ids, alone.type_ids)
    pair = library.encode(first, second)
    assert wrapped(bert, bert.encode(first), bert.encode(second)) == (pair.ids, pair.type_ids)
    assert first_position(bert) == 1


def test_without_cls() -> None:
    tokenizer = train_tokenizer("bytes", [])
    assert wrapped(tokenizer, [1, 2]) == ([1, 2], [0, 0])
    assert wrapped(tokenizer, [1, 2], [3]) == ([1, 2, tokenizer.end_id, 3], [0, 0, 0, 1])
    assert first_position(tokenizer) == 0


ids = st.lists(st.integers(5, 8), max_size=9)


@given(first=ids, second=st.none() | ids, limit=st.integers(3, 24))
def test_the_limit_cuts_the_longer_text_first(
    first: list[int], second: list[int] | None, limit: int
) -> None:
    tokenizer = Tokenizer(_bert_library())
    library = library_of(tokenizer)
    library.enable_truncation(limit, strategy="longest_first")
    found = wrapped(tokenizer, first, second, limit=limit)
    text = " ".join(WORDS[i] for i in first)
    pair = None if second is None else " ".join(WORDS[i] for i in second)
    wanted = library.encode(text, pair)
    assert len(found.ids) == len(found.types) <= limit
    assert (found.types.count(0), found.types.count(1)) == (
        wanted.type_ids.count(0),
        wanted.type_ids.count(1),
    )
    assert found.ids == wanted.ids


def test_a_limit_below_what_stands_around_a_text_is_refused(bert: Tokenizer) -> None:
    assert wrapped(bert, [5], limit=2).ids == [CLS, SEP]
    with pytest.raises(UsageError, match="reads 1 tokens at a time, and 2 stand around"):
        wrapped(bert, [5], limit=1)
    with pytest.raises(UsageError, match="at least 4"):
        wrapped(bert, [5], [5], limit=2)


def _bert_library() -> tokenizers.Tokenizer:
    return parse(json.dumps(bert_description("\n".join(WORDS))))
