"""Tokenizers of words and parts of words that are trained here; lower case; the mask."""

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_tokenizers import CORPUS

from phalanx.data.tokenizers import KINDS, MASK, UNKNOWN, load_tokenizer, train_tokenizer
from phalanx.errors import UsageError

WORDS = st.lists(st.sampled_from(["jump", "I_TURN_RIGHT", "twice,", "a-b", "中文"]), max_size=8)
SCAN = "IN: jump right twice OUT: I_TURN_RIGHT I_JUMP I_TURN_RIGHT I_JUMP"


@given(words=WORDS, space=st.sampled_from([" ", "\n", "\t ", "\u3000"]))
def test_words_give_back_text_that_came_in_words(words: list[str], space: str) -> None:
    tokenizer = train_tokenizer("words", ["twice, jump I_TURN_RIGHT\na-b 中文"])
    ids = tokenizer.encode(space.join(words))
    assert len(ids) == len(words)
    assert tokenizer.decode(ids) == " ".join(words)
    assert tokenizer.library.decode(ids) == " ".join(words)


def test_scan_comes_back() -> None:
    tokenizer = train_tokenizer("words", [SCAN])
    assert (tokenizer.kind, tokenizer.exact, tokenizer.vocabulary) == ("words", False, 9)
    assert tokenizer.decode(tokenizer.encode(SCAN)) == SCAN


def test_the_most_frequent_words_are_kept() -> None:
    tokenizer = train_tokenizer("words", ["b a a c b a", "d c b"], vocabulary=5)
    assert tokenizer.encode("a b c d e") == [0, 1, 2, 3, 3]
    assert (tokenizer.unknown_id, tokenizer.end_id) == (3, 4)
    assert tokenizer.decode([0, 3, 4, 1]) == "a \ufffd b"


def test_words_of_special_names_stay_text() -> None:
    names = f"{UNKNOWN} <|end|> {MASK}"
    tokenizer = train_tokenizer("words", [f"{names} a"], mask=True)
    assert tokenizer.encode(f"{names} a") == [1, 1, 1, 0]
    assert tokenizer.vocabulary == 4


def test_parts_of_words_are_split_as_berts(tmp_path: Path) -> None:
    tokenizer = train_tokenizer("wordpiece", [CORPUS, "中文字符"], 500)
    assert [tokenizer.library.token_to_id(name) for name in ("[PAD]", "[UNK]", "[MASK]")] == [
        0,
        1,
        4,
    ]
    assert tokenizer.special_ids == {"pad": 0, "cls": 2, "mask": 4}
    assert (tokenizer.unknown_id, tokenizer.end_id, tokenizer.vocabulary) == (1, 3, 500)
    text = "The keeper, he said: 中文 and the rivers!"
    assert tokenizer.decode(tokenizer.encode(text)) == (
        "The keeper , he said : 中 文 and the rivers !"
    )
    assert tokenizer.decode(tokenizer.encode("the \u20bb7 keeper")) == "the \ufffd keeper"
    tokenizer.save(tmp_path)
    assert load_tokenizer(tmp_path).digest == tokenizer.digest


def test_every_word_of_known_characters_has_parts() -> None:
    tokenizer = train_tokenizer("wordpiece", [CORPUS], 400)
    assert tokenizer.vocabulary == 400
    letters = sorted({c for c in CORPUS if c.isascii() and c.isalpha()})
    word = "".join(reversed(letters))
    assert tokenizer.decode(tokenizer.encode(word)) == word
    assert len(tokenizer.encode(CORPUS)) < 0.6 * len(CORPUS), "merged"


def test_a_vocabulary_of_few_ids_keeps_the_commonest_characters() -> None:
    texts = ["aaaa bbb cc d"]
    tokenizer = train_tokenizer("wordpiece", texts, 11)  # room for 4: a, ##a, b, ##b, and merges
    assert tokenizer.decode(tokenizer.encode("ab ba c d")) == "ab ba \ufffd \ufffd"


TRAIN = """
import sys
from phalanx.data.tokenizers import train_tokenizer
print(train_tokenizer(sys.argv[2], [open(sys.argv[1]).read()[:20000]], 450, lowercase=True).digest)
"""


def test_training_depends_on_the_text_alone() -> None:
    """The library numbers what its threads come upon, in another order in each process."""
    corpus = Path(__file__).parents[1] / "goldens" / "corpus.txt"
    run = [sys.executable, "-W", "ignore", "-c", TRAIN, str(corpus), "wordpiece"]
    processes = [subprocess.Popen(run, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    digests = {process.communicate()[0].strip() for process in processes}
    assert digests == {train_tokenizer("wordpiece", [CORPUS], 450, lowercase=True).digest}


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "bytes"])
def test_lower_case(kind: str, tmp_path: Path) -> None:
    tokenizer = train_tokenizer(kind, [CORPUS], 400, lowercase=True)
    text = CORPUS[:2000]
    assert text != text.lower()
    assert tokenizer.encode(text) == tokenizer.encode(text.lower())
    assert tokenizer.normalizes
    assert not tokenizer.exact
    if kind not in ("words", "wordpiece"):  # which know but 400 of them
        assert tokenizer.decode(tokenizer.encode(text)) == text.lower()
    tokenizer.save(tmp_path)
    again = load_tokenizer(tmp_path)
    assert (again.kind, again.encode(text)) == (kind, tokenizer.encode(text))
    assert train_tokenizer(kind, [CORPUS], 400).encode("THE") != tokenizer.encode("THE")


def test_lower_case_is_the_librarys_own() -> None:
    """Of one character two, and a sigma that Python would end a word with another letter."""
    tokenizer = train_tokenizer("characters", ["İΣΑΣ"], lowercase=True)
    assert tokenizer.decode(tokenizer.encode("İΣΑΣ")) == "i\u0307σασ"
    with pytest.raises(UsageError, match="lowercase is asked for"):
        train_tokenizer("bytes", [], lowercase=True)


@pytest.mark.parametrize("kind", KINDS)
def test_no_text_reaches_the_mask(kind: str, tmp_path: Path) -> None:
    size = 258 if kind == "bytes" else 300
    tokenizer = train_tokenizer(kind, [CORPUS, MASK], size, mask=True)
    assert tokenizer.vocabulary <= size
    mask = tokenizer.special_ids["mask"]
    assert mask not in tokenizer.encode(f"a {MASK} [MASK] {MASK}")
    assert tokenizer.bytes_of(mask) == b""
    tokenizer.save(tmp_path)
    again = load_tokenizer(tmp_path)
    assert (again.kind, again.special_ids) == (tokenizer.kind, tokenizer.special_ids)
    if kind != "wordpiece":  # which has BERT's
        assert mask == tokenizer.end_id + 1
        assert "mask" not in train_tokenizer(kind, [CORPUS]).special_ids
