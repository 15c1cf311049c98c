"""Training on long texts: a bounded sample that depends on the text alone; short texts whole."""

import os
import random
import subprocess
import sys
from itertools import islice, pairwise
from pathlib import Path

import pytest
import tokenizers as library

from phalanx.data.documents import pieces
from phalanx.data.tokenizers import sample, train_tokenizer
from phalanx.data.tokenizers.byte_level import byte_alphabet

GOLDEN = (Path(__file__).parents[1] / "goldens" / "corpus.txt").read_text(encoding="utf-8")


def letters(count: int, seed: int = 0) -> str:
    return "".join(random.Random(seed).choices("abcdefgh", k=count))


@pytest.mark.parametrize("text", [GOLDEN, GOLDEN.replace(" ", "  \n\t "), GOLDEN.replace(" ", "")])
def test_a_short_text_is_learned_from_whole(text: str) -> None:
    wrapped = library.Tokenizer(library.models.BPE())
    wrapped.pre_tokenizer = library.pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = library.trainers.BpeTrainer(
        vocab_size=599,
        min_frequency=2,
        initial_alphabet=list(byte_alphabet()),
        show_progress=False,
    )
    wrapped.train_from_iterator([text], trainer)
    expected = wrapped.get_vocab(with_added_tokens=False)
    for given in ([text], [piece.text for piece in pieces([text], 997)]):
        found = train_tokenizer("bpe", given, 600).library.get_vocab(with_added_tokens=False)
        assert found == expected


def test_of_a_long_text_parts_from_all_over_it_are_learned_from(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sample, "LEARNED_BYTES", 400_000)
    lines = [f"{number:06} " + "x" * 4089 for number in range(1000)]  # a part each
    parts = sample.sample(iter(lines))
    size = sum(map(len, parts))
    assert 200_000 <= size <= 400_000
    places = [int(part[:6]) for part in parts]
    gaps = {after - before for before, after in pairwise(places)}
    assert places[0] == 0
    assert gaps == {16}, "evenly spread to the end"
    assert places[-1] + 16 >= 1000
    assert sample.sample(iter(lines)) == parts


def test_distinct_words_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sample, "LEARNED_WORD_BYTES", 50_000)
    differing = " ".join(letters(9, seed) for seed in range(40_000))
    parts = sample.sample([differing])
    assert 20_000 < sum(map(len, parts)) < 60_000
    repeated = " ".join(letters(9, seed) for seed in range(1000)) + " "
    assert b"".join(sample.sample([repeated * 40])).decode() == repeated * 40


def test_many_tiny_texts_weigh_what_they_take(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sample, "LEARNED_BYTES", 6500)
    assert len(sample.sample("a" for _ in range(10_000))) <= 100


def test_a_word_of_a_million_letters_is_read_in_parts() -> None:
    """As one word it would take hours: merging is quadratic in its length."""
    parts = sample.sample([letters(1_000_000)])
    assert max(map(len, parts)) <= 4096 + 2 * 8192
    assert b"".join(parts).decode() == letters(1_000_000)
    spaces = sample.sample([" " * 100_000])
    assert max(map(len, spaces)) <= 4096 + 2 * 8192


def test_texts_are_taken_as_they_come() -> None:
    """A generator without end: no more is read than what is asked for, and nothing is kept."""

    def endless() -> "object":
        while True:
            yield GOLDEN[:5000]

    for kind in ("characters", "bpe"):
        some = train_tokenizer(kind, islice(endless(), 30), 300)  # type: ignore[call-overload]
        assert some.decode(some.encode("the")) == "the"


def test_characters_are_counted_over_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sample, "_COUNTED_CHARACTERS", 10)
    texts = ["abc", "", "aab𝄞" * 9, "b"]
    whole = "".join(texts)
    counts = sample.count_characters(texts)
    assert counts == {character: whole.count(character) for character in sorted(set(whole))}


FORK = """
import os, sys
from phalanx.data.tokenizers import train_tokenizer
texts = ["hello there world again " * 50] * 100
tokenizer = train_tokenizer("bpe", texts, 300)
expected = len(tokenizer.encode_documents(texts))
child = os.fork()
if child == 0:
    os._exit(0 if len(tokenizer.encode_documents(texts)) == expected else 1)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_a_forked_process_encodes_without_a_word_and_without_end() -> None:
    environment = {k: v for k, v in os.environ.items() if k != "TOKENIZERS_PARALLELISM"}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FORK],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
