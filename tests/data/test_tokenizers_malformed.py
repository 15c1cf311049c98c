"""What is no tokenizer is refused by name, with what was expected."""

import json
import os
from pathlib import Path

import pytest
from small_tokenizers import SMALL, words

from phalanx.data.tokenizers import load_tokenizer, loading
from phalanx.data.tokenizers.byte_level import BYTE_OF
from phalanx.errors import UsageError

VOCAB = {**BYTE_OF, "<|endoftext|>": 256, "ab": 257}
MERGES = "#version: 0.2\na b\n"


def refused(path: Path, said: str) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        load_tokenizer(path)
    assert path.name in str(caught.value)
    assert "Expected" in str(caught.value)


def write_gpt2(folder: Path, vocab: object = VOCAB, merges: str = MERGES) -> Path:
    (folder / "my-vocab.json").write_text(json.dumps(vocab), encoding="utf-8")
    (folder / "my-merges.txt").write_text(merges, encoding="utf-8")
    return folder


def test_two_files_of_gpt2(tmp_path: Path) -> None:
    tokenizer = load_tokenizer(write_gpt2(tmp_path))
    assert tokenizer.encode("abc") == [257, ord("c")]
    assert tokenizer.end_id == 256
    write_gpt2(tmp_path, merges=MERGES.replace("\n", "\r\n"))
    assert load_tokenizer(tmp_path).digest == tokenizer.digest


@pytest.mark.parametrize(
    ("vocab", "merges", "said"),
    [
        ({}, MERGES, "vocabulary is empty"),
        ([], MERGES, "no 'model'"),
        ({**VOCAB, "c": "x"}, MERGES, "token 'c' has the id 'x'"),
        ({**VOCAB, "c": -1}, MERGES, "id '-1'"),
        ({**VOCAB, "c": True}, MERGES, "id 'True'"),
        ({**VOCAB, "c": 10**30}, MERGES, "id '1000"),
        ({**VOCAB, "c": 3}, MERGES, "holes or twice"),
        ({**VOCAB, "far": 400}, MERGES, "holes or twice"),
        ({**BYTE_OF, "ab": 256}, MERGES, "end of a document"),
        ({**VOCAB, "a c": 258}, MERGES, "not written in the alphabet"),
        (VOCAB, "a b\nb c\n", "line 2 of the merges names the token 'bc'"),
        (VOCAB, "a zz\n", "line 1 of the merges names the token 'zz'"),
        (VOCAB, "a b c\n", "line 1 of the merges is 'a b c'"),
        (VOCAB, "\0\1\2", "line 1 of the merges"),
    ],
)
def test_wrong_files_of_gpt2(tmp_path: Path, vocab: object, merges: str, said: str) -> None:
    write_gpt2(tmp_path, vocab, merges)
    refused(tmp_path, said)
    refused(tmp_path / "my-vocab.json", said)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (words().replace("\n", "\n\n", 1), "line 2 is empty"),
        (words("[SEP]"), r"is that of line 4\."),
        ("a\nb\n", r"no line is \[PAD\] or \[UNK\] or \[CLS\] or \[SEP\]"),
        ("", "line 1 is empty"),
    ],
)
def test_wrong_files_of_bert(tmp_path: Path, content: str, said: str) -> None:
    (tmp_path / "vocab.txt").write_text(content, encoding="utf-8")
    refused(tmp_path, said)


def test_what_is_not_there(tmp_path: Path) -> None:
    refused(tmp_path / "nowhere", "No tokenizer at .*GPT-2's vocab.json with merges.txt")
    refused(tmp_path, "No tokenizer at .*BERT's vocab.txt")
    (tmp_path / "vocab.json").write_text(json.dumps(VOCAB))
    refused(tmp_path / "vocab.json", "needs merges.txt beside it")
    (tmp_path / "vocab.json").rename(tmp_path / "x.json")
    refused(tmp_path / "x.json", "no 'model'")
    (tmp_path / "merges.txt").write_text(MERGES)
    refused(tmp_path / "merges.txt", "needs vocab.json beside it")
    (tmp_path / "a-vocab.txt").write_text(words())
    (tmp_path / "b-vocab.txt").write_text(words())
    refused(tmp_path, "more than one tokenizer: a-vocab.txt, b-vocab.txt")
    os.mkfifo(tmp_path / "pipe")  # reading it would wait for ever
    refused(tmp_path / "pipe", "No tokenizer at")


@pytest.mark.parametrize("name", ["tokenizer.json", "vocab.json", "vocab.txt"])
def test_binary_and_large_files(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / name
    file.write_bytes(b"\x80\x04\x95binary\xff")
    refused(file, "Cannot read")
    monkeypatch.setattr(loading, "LARGEST_FILE", 1000)
    with file.open("wb") as stream:
        stream.truncate(2**31)  # sparse: only what is looked at is read
    refused(file, "Expected the file of a tokenizer, which is smaller")


@pytest.mark.parametrize("name", ["bpe", "bert", "llama_2"])
def test_a_large_vocabulary(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    SMALL[name].save(tmp_path)
    load_tokenizer(tmp_path)
    monkeypatch.setattr(loading, "LARGEST_VOCABULARY", 100)
    refused(tmp_path, "tokens. Expected at most 100")


@pytest.mark.parametrize("name", ["bpe", "bert", "llama_2"])
def test_deep_nesting(tmp_path: Path, name: str) -> None:
    content = SMALL[name].library.to_str()
    sequence = '{"type":"Sequence","pretokenizers":['
    for depth, said in ((140, "cannot read it .recursion limit"), (100_000, "not JSON")):
        nested = sequence * depth + '{"type":"Whitespace"}' + "]}" * depth
        spec = json.loads(content)
        del spec["pre_tokenizer"]
        (tmp_path / "tokenizer.json").write_text(
            json.dumps(spec)[:-1] + f', "pre_tokenizer": {nested}}}'
        )
        refused(tmp_path, said)
