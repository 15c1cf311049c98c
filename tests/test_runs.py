"""phalanx.load: what is opened, and what it can do."""

from pathlib import Path

import pytest
import torch

import phalanx
from phalanx.config import ModelConfig
from phalanx.data.tokenizers import train_tokenizer
from phalanx.errors import UsageError
from phalanx.models import build, preset
from phalanx.tasks import language_modelling
from phalanx.training.model_directory import Description, save_model

TEXT = "the quick brown fox jumps over the lazy dog. "


def save(path: Path, config: ModelConfig, seed: int, **described: object) -> None:
    description = Description.model_validate({"model": config, **described})
    save_model(path, build(config, seed), train_tokenizer("characters", [TEXT]), description)


def small(**changes: object) -> ModelConfig:
    vocabulary = train_tokenizer("characters", [TEXT]).vocabulary
    return preset("transformer", vocabulary, 12, width=16, layers=1, **changes)


def test_a_run_opens_its_best_model(tmp_path: Path) -> None:
    save(tmp_path / "run" / "last", small(), seed=1)
    assert phalanx.load(tmp_path / "run").path == tmp_path / "run" / "last"
    save(tmp_path / "run" / "best", small(), seed=2)
    run = phalanx.load(str(tmp_path / "run"))
    assert run.path == tmp_path / "run" / "best"
    assert phalanx.load(tmp_path / "run" / "last").path == tmp_path / "run" / "last"
    assert (run.task, run.config) == ("language_modelling", run.model.config)


def test_generate_continues_the_prompt(tmp_path: Path) -> None:
    save(tmp_path / "model", small(), seed=1)
    run = phalanx.load(tmp_path / "model")
    texts = {run.generate("the ", max_new_tokens=6, seed=seed) for seed in range(4)}
    assert len(texts) > 1
    assert all(text.startswith("the ") for text in texts)
    assert run.generate("the ", max_new_tokens=6, seed=1) in texts
    greedy = {run.generate("the ", max_new_tokens=6, temperature=0, seed=s) for s in range(3)}
    assert len(greedy) == 1
    with pytest.raises(UsageError, match="context"):
        run.generate(TEXT, max_new_tokens=6)


def test_generate_takes_one_prompt_or_several(tmp_path: Path) -> None:
    save(tmp_path / "model", small(), seed=1)
    run = phalanx.load(tmp_path / "model")
    run.model.double()  # rounding decides nothing
    options = {"max_new_tokens": 6, "seed": 3, "min_p": 0.01, "repetition_penalty": 1.2}
    one = run.generate("the ", **options)
    assert run.generate("the ", n=2, **options)[0] == one
    assert run.generate(["fox", "the "], **options) == [run.generate("fox", **options), one]
    each = run.generate(["fox", "the "], n=3, batch_size=2, **options)
    assert [len(drawn) for drawn in each] == [3, 3]
    assert each[1][:2] == run.generate("the ", n=2, **options)
    assert run.generate([], **options) == []
    for parameter in run.model.parameters():
        torch.nn.init.normal_(parameter)
    assert len({run.generate("the ", temperature=0, top_k=5), run.generate("the ", top_k=1)}) == 1
    greedy = run.generate("the ", temperature=0)
    assert run.generate("the ", temperature=0, repetition_penalty=1e9) != greedy
    for wrong in (
        {"n": 0},
        {"batch_size": 0},
        {"min_p": 2.0},
        {"stop": ["a", ""]},
        {"when_full": "x"},
    ):
        with pytest.raises(UsageError, match="xpected"):
            run.generate("the ", **wrong)


def test_generate_stops_and_slides(tmp_path: Path) -> None:
    save(tmp_path / "model", small(), seed=1)
    run = phalanx.load(tmp_path / "model")
    texts = run.generate("the ", n=30, max_new_tokens=40, when_full="slide")
    longest = max(range(30), key=lambda sample: len(texts[sample]))
    whole = texts[longest]
    assert len(whole) == 44  # the context is 12
    stop = whole[9:11]
    cut = run.generate("the ", n=30, max_new_tokens=40, when_full="slide", stop=["QED", stop])
    assert cut == ["the " + text[4:].partition(stop)[0] for text in texts]
    assert run.generate("the ", n=30, when_full="stop", stop="\n")[longest] == whole[:13]


def test_evaluate_takes_a_text_or_paths(tmp_path: Path) -> None:
    save(tmp_path / "model", small(), seed=1)
    run = phalanx.load(tmp_path / "model")
    (tmp_path / "a.txt").write_text(TEXT)
    score = run.evaluate(TEXT)
    assert score == run.evaluate(paths=tmp_path / "a.txt")
    (tmp_path / "a.csv").write_text(f"verse,n\n{TEXT},1\n")
    assert score == run.evaluate(paths=tmp_path / "a.csv", text_column="verse")
    assert score.tokens == len(TEXT) - 1
    text = language_modelling.Text.of(run.tokenizer, [TEXT], 12)
    assert score == language_modelling.evaluate(run.model, text)
    with pytest.raises(UsageError, match="both or neither"):
        run.evaluate()


def test_a_tagger_neither_generates_nor_scores_text(tmp_path: Path) -> None:
    config = small(kind="encoder", outputs=7, tied=False)
    save(tmp_path / "model", config, seed=1, task="tagging", labels=tuple("abcdefg"))
    run = phalanx.load(tmp_path / "model")
    ids_BT = torch.zeros(1, 5, dtype=torch.int64)
    assert run.model(ids_BT).shape == (1, 5, 7)
    for wish in (run.generate, run.evaluate):
        with pytest.raises(UsageError, match="trained for tagging"):
            wish("the ")


def test_what_is_no_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is no directory"):
        phalanx.load(tmp_path / "nowhere")
    with pytest.raises(UsageError, match="holds no config"):
        phalanx.load(tmp_path)


def test_a_link_to_nowhere_is_named(tmp_path: Path) -> None:
    (tmp_path / "best").symlink_to("checkpoints/step-00000007")
    with pytest.raises(UsageError, match="best points to checkpoints/step-00000007, which is not"):
        phalanx.load(tmp_path)
