"""The token store: what encoding the whole gives, made once, and never taken when damaged."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from phalanx import durable
from phalanx.data import store as stores
from phalanx.data.cache import cache_directory
from phalanx.data.documents import Piece, pieces
from phalanx.data.sources import Corpus, load_corpus
from phalanx.data.store import encode, open_store
from phalanx.data.tokenizers import KINDS, load_tokenizer, train_tokenizer
from phalanx.errors import PhalanxError

GOLDEN = (Path(__file__).parents[1] / "goldens" / "corpus.txt").read_text(encoding="utf-8")
Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PHALANX_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "texts"
    folder.mkdir()
    for number in range(20):
        text = GOLDEN[700 * number : 700 * number + 650] + "äß→𝄞"[number % 4]
        (folder / f"{number}.txt").write_text(text, encoding="utf-8")
    return folder


@pytest.fixture
def corpus(folder: Path) -> Corpus:
    return load_corpus(folder, 0.2)


def nothing_is_built(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise AssertionError("built again")

    monkeypatch.setattr(stores, "_build", fail)


@pytest.mark.parametrize("kind", KINDS)
def test_the_store_holds_what_encoding_the_documents_gives(
    kind: str, corpus: Corpus, cache: Path
) -> None:
    store = open_store(corpus, kind, 300 if kind == "bpe" else None)
    texts = corpus.train.texts()
    expected = train_tokenizer(kind, texts, 300 if kind == "bpe" else None)
    assert store.tokenizer.digest == expected.digest
    for side, tokens, facts in (
        (corpus.train, store.train, store.train_facts),
        (corpus.validation, store.validation, store.validation_facts),
    ):
        whole = expected.encode_documents(side.texts())
        assert tokens.tolist() == whole.tolist()
        assert facts.tokens == len(whole)
        assert facts.documents == len(side.texts()) == side.documents
        assert facts.bytes == sum(len(text.encode()) for text in side.texts())
        unknown = -1 if expected.unknown_id is None else expected.unknown_id
        assert facts.unknown == int((whole == unknown).sum())
    assert store.train.dtype == np.dtype("<u2")
    assert isinstance(store.train, np.memmap)
    assert not store.train.flags.writeable
    assert store.path.is_relative_to(cache / "tokens")
    assert {file.name for file in store.path.iterdir()} == {
        "train.bin",
        "validation.bin",
        "tokenizer.json",
        "store.json",
        "manifest.json",
    }


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [7, 100, 1000])
def test_encoding_piece_by_piece_is_encoding_the_whole(
    kind: str, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stores, "_BATCH", 700)
    texts = [GOLDEN[:3000], "ein  Wort\r\n\n 'tis\u00a0x" * 20, "zu Ende."]
    tokenizer = train_tokenizer(kind, texts, 400 if kind == "bpe" else None)
    if size == 7:  # so small that a word may not fit: no place to cut where BPE would split too
        texts = ["a b\ncd  \n e f'll 12 !" * 9, "g"]
    cut = [piece for text in texts for piece in pieces([text], size)]
    parts = list(encode(iter(cut), tokenizer))
    assert len(parts) > 1
    assert np.concatenate(parts).tolist() == tokenizer.encode_documents(texts).tolist()


def test_many_small_documents_are_encoded_in_bounded_batches(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stores, "_BATCH", 2560)
    tokenizer = train_tokenizer("bytes", [])
    parts = list(encode((Piece("a", True) for _ in range(50)), tokenizer))
    assert max(map(len, parts)) <= 20, "a document of one character weighs more than that"
    ids = np.concatenate(parts).tolist()
    assert ids == [97, *[256, 97] * 49]


def test_large_vocabularies_take_four_bytes(
    corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokenizer = train_tokenizer("bytes", [])
    monkeypatch.setattr(tokenizer, "vocabulary", 65_536)
    assert open_store(corpus, tokenizer).train.dtype == np.dtype("<u2")
    durable.remove(next(cache_directory().glob("tokens/*/store")))
    monkeypatch.setattr(tokenizer, "vocabulary", 65_537)
    assert open_store(corpus, tokenizer).train.dtype == np.dtype("<i4")


def test_a_second_time_nothing_is_read_but_the_survey(
    corpus: Corpus, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = open_store(corpus, "bpe", 300)
    nothing_is_built(monkeypatch)

    def fail(_: object) -> Iterator[Piece]:
        raise AssertionError("the text was read")

    again = load_corpus(folder, 0.2)
    monkeypatch.setattr(type(corpus.train), "__iter__", fail)
    second = open_store(again, "bpe", 300)
    assert second.path == first.path
    assert second.train.tolist() == first.train.tolist()
    assert second.tokenizer.digest == first.tokenizer.digest


def test_what_decides_the_content_decides_the_key(
    corpus: Corpus, folder: Path, tmp_path: Path
) -> None:
    tokenizer = train_tokenizer("bpe", corpus.train.texts(), 300)
    found = [
        open_store(corpus, "bytes"),
        open_store(corpus, "characters"),
        open_store(corpus, "bpe", 300),
        open_store(corpus, "bpe", 310),
        open_store(corpus, tokenizer),
        open_store(load_corpus(folder, 0.4), "bytes"),
    ]
    changed = folder / "3.txt"
    changed.write_text(changed.read_text(encoding="utf-8").replace("e", "a", 1), encoding="utf-8")
    found.append(open_store(load_corpus(folder, 0.2), "bytes"))
    assert len({store.path for store in found}) == len(found)
    assert found[2].train.tolist() == found[4].train.tolist()
    # Where the text lies is not part of it.
    moved = folder.rename(tmp_path / "elsewhere")
    assert open_store(load_corpus(moved, 0.2), "bytes").path == found[-1].path


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)


@pytest.mark.parametrize("file", ["train.bin", "validation.bin", "tokenizer.json", "store.json"])
@pytest.mark.parametrize("damage", ["flip", "cut", "remove"])
def test_a_damaged_store_is_made_again_loudly(
    file: str, damage: str, corpus: Corpus, capsys: Capture
) -> None:
    before = open_store(corpus, "bytes")
    expected = before.train.tolist()
    path = before.path / file
    if damage == "flip":
        flip(path)
    elif damage == "cut":
        path.write_bytes(path.read_bytes()[:-2])
    else:
        path.unlink()
    capsys.readouterr()
    after = open_store(corpus, "bytes")
    said = capsys.readouterr().err
    assert "damaged" in said
    assert file in said
    assert after.train.tolist() == expected
    durable.verify(after.path)
    open_store(corpus, "bytes")
    assert capsys.readouterr().err == "", "sound again"


def test_what_a_killed_builder_left_is_swept(corpus: Corpus, capsys: Capture) -> None:
    place = open_store(corpus, "bytes").path.parent
    durable.remove(place / "store")
    left = place / f"{durable.HIDDEN}1-store"
    left.mkdir()
    (left / "train.bin").write_bytes(b"part")
    open_store(corpus, "bytes")
    assert {entry.name for entry in place.iterdir()} == {"lock", "store"}


def test_a_builder_that_fails_leaves_nothing(corpus: Corpus, folder: Path, cache: Path) -> None:
    (folder / "3.txt").write_text("changed since the survey")
    with pytest.raises(PhalanxError, match="changed while it was in use"):
        open_store(corpus, "characters")
    [place] = (cache / "tokens").iterdir()
    assert [entry.name for entry in place.iterdir()] == ["lock"]


def test_a_full_disk_is_explained(
    corpus: Corpus, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, *_: object) -> None:
        path.write_bytes(b"part")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(stores, "_write_stream", full)
    with pytest.raises(PhalanxError, match=r"No space left .* set PHALANX_CACHE to a directory"):
        open_store(corpus, "bytes")
    [place] = (cache / "tokens").iterdir()
    assert [entry.name for entry in place.iterdir()] == ["lock"]


def test_a_cache_that_cannot_be_made_is_explained(corpus: Corpus, cache: Path) -> None:
    cache.write_text("a file")
    with pytest.raises(PhalanxError, match="PHALANX_CACHE"):
        open_store(corpus, "bytes")


def test_the_cache_is_where_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PHALANX_CACHE", "/a/b")
    monkeypatch.setenv("XDG_CACHE_HOME", "/c")
    monkeypatch.setenv("HOME", "/home/x")
    assert cache_directory() == Path("/a/b")
    monkeypatch.setenv("PHALANX_CACHE", "")
    assert cache_directory() == Path("/c/phalanx")
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert cache_directory() == Path("/home/x/.cache/phalanx")
    monkeypatch.setenv("PHALANX_CACHE", "~/kept")
    assert cache_directory() == Path("/home/x/kept")


def test_the_facts_are_written_for_others_to_read(corpus: Corpus) -> None:
    store = open_store(corpus, "bytes")
    facts = json.loads((store.path / "store.json").read_text())
    assert facts["dtype"] == "<u2"
    assert facts["train"]["tokens"] == len(store.train)
    assert load_tokenizer(store.path).digest == store.tokenizer.digest
