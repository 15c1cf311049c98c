"""The data that recipes train on, counted."""

from collections import Counter
from pathlib import Path

import pytest

from phalanx.config import DataConfig
from phalanx.data.check_labelled import check_labelled
from phalanx.data.labelled import load_examples, load_pairs, load_sentences
from phalanx.data.tag_schemes import spans


@pytest.fixture
def data(request: pytest.FixtureRequest) -> Path:
    found = Path(request.config.rootpath).parent / "shared" / "data"
    if not found.is_dir():
        pytest.skip("the shared data is not beside the repository")
    return found


def test_banking77(data: Path) -> None:
    config = DataConfig(paths=(str(data / "banking77" / "train.csv"),))
    found = load_examples(config)
    assert len(found.train) + len(found.validation) == 10_003
    assert len({e.label for e in found.train}) == 77
    assert 900 < len(found.validation) < 1100
    report = check_labelled("classification", config)
    assert report.accepted
    assert len(report.balances[0].rows) == 77
    assert (report.train, report.validation) == (len(found.train), len(found.validation))


def test_sentence_polarity(data: Path) -> None:
    folder = data / "sentence_polarity"
    found = load_examples(
        DataConfig(
            paths=(str(folder / "train.tsv"),),
            validation_paths=(str(folder / "dev.tsv"),),
            label_column="1",
            text_column="2",
        )
    )
    assert (len(found.train), len(found.validation)) == (8545, 1066)
    assert Counter(e.label for e in found.train).keys() == {"pos", "neg"}


def test_wnut17(data: Path) -> None:
    folder = data / "wnut17"
    config = DataConfig(
        paths=(str(folder / "wnut17train.conll"),),
        validation_paths=(str(folder / "emerging.dev.conll"),),
    )
    found = load_sentences(config)
    assert (len(found.train), len(found.validation)) == (3394, 1009)
    assert sum(len(s.words) for s in found.train) == 62_730
    types = {span.type for s in found.train for span in spans(s.tags, "bio")}
    assert types == {"person", "location", "group", "corporation", "product", "creative-work"}
    report = check_labelled("tagging", config)
    assert (report.accepted, report.scheme) == (True, "bio")
    assert sum(train for _, train, _ in report.balances[0].rows) == 1975


def test_tatoeba(data: Path) -> None:
    folder = data / "tatoeba_en_zh"
    found = load_pairs(
        DataConfig(paths=(str(folder / "train.tsv"),), validation_paths=(str(folder / "dev.tsv"),))
    )
    assert (len(found.train), len(found.validation)) == (16_828, 2112)
    assert (found.train[0].source, found.train[0].target) == ("Hi.", "嗨。")


def test_scan(data: Path) -> None:
    found = load_pairs(DataConfig(paths=(str(data / "scan" / "tasks_train_simple.txt"),)))
    assert len(found.train) + len(found.validation) == 16_728
    assert {word for pair in found.train for word in pair.target.split()} == {
        *("I_JUMP", "I_LOOK", "I_RUN", "I_WALK", "I_TURN_LEFT", "I_TURN_RIGHT")
    }
