"""Translation: teacher forcing, what a run prepares, the dictionary baseline, and the report."""

import math
from pathlib import Path

import numpy as np
import pytest
import sacrebleu
import torch

from phalanx.config import RunConfig, TrainingConfig, parse
from phalanx.data.batches import IGNORED
from phalanx.data.samples import Pair
from phalanx.data.tokenizers import train_tokenizer
from phalanx.errors import PhalanxError, UsageError
from phalanx.inference.translating import Translator
from phalanx.models import EncoderDecoder, build, preset
from phalanx.tasks import translation
from phalanx.tasks.translation import Batch, TokenPairs, mean_loss, total
from phalanx.tasks.translation_report import Judge, bleu_tokenizer, evaluate
from phalanx.tasks.word_translation import WordTranslation
from phalanx.training.preparing.translation import DEFAULT_BATCH_TOKENS, prepare
from phalanx.training.trainer import Trainer

WORDS = {"one": "eins", "two": "zwei", "three": "drei"}
PAIRS = [
    Pair(f"{a} {b}", f"{WORDS[b]} {WORDS[a]}", f"pairs.tsv:{at}")
    for at, (a, b) in enumerate((a, b) for a in WORDS for b in WORDS)
] + [Pair(word, answer, "pairs.tsv:10") for word, answer in WORDS.items()]
TOKENIZER = train_tokenizer("words", [*(p.source for p in PAIRS), *(p.target for p in PAIRS)])
END = TOKENIZER.end_id


def small(name: str = "transformer", dtype: torch.dtype = torch.float64) -> EncoderDecoder:
    changes = {"layers": 1, "dropout": 0.0, "init": "glorot", "width": 32}
    config = preset(name, TOKENIZER.vocabulary, 16, kind="encoder_decoder", **changes)
    model = build(config, 2)
    assert isinstance(model, EncoderDecoder)
    return model.to(dtype).eval()


def every(pairs: list[Pair] = PAIRS, longest: int = 16) -> tuple[TokenPairs, Batch]:
    tokens = TokenPairs.of(TOKENIZER, pairs, longest)
    return tokens, tokens.batch(np.arange(len(pairs)), END)


def test_a_target_is_read_behind_the_end_and_answered_up_to_it() -> None:
    tokens, batch = every(PAIRS[:1] + PAIRS[-1:])
    long, short = (TOKENIZER.encode(pair.target) for pair in (PAIRS[0], PAIRS[-1]))
    assert batch.inputs_BT.tolist() == [[END, *long], [END, *short, 0]]
    assert batch.targets_BT.tolist() == [[*long, END], [*short, END, IGNORED]]
    source = TOKENIZER.encode(PAIRS[-1].source)
    assert batch.source_BS.tolist()[1] == [*source, END, 0]
    assert batch.source_lengths_B is not None
    assert batch.source_lengths_B.tolist() == [3, 2]
    assert batch.answers == 5
    assert batch.tokens == 10
    assert tokens.batch(np.array([1]), END).lengths_B is None  # nothing is padded


@pytest.mark.parametrize("name", ["transformer", "transformer-2017", "gru", "lstm"])
def test_one_pass_is_the_sum_of_one_position_losses(name: str) -> None:
    model, nats = small(name), 0.0
    tokens, batch = every()
    for source, target in zip(tokens.sources, tokens.targets, strict=True):
        with torch.no_grad():
            memory = model.encode(torch.tensor([source.tolist()]))
            state = model.empty_state(memory, len(target))
            for given, wanted in zip([END, *target[:-1].tolist()], target.tolist(), strict=True):
                scores, state = model.step(torch.tensor([given]), state)
                nats -= float(scores.log_softmax(-1)[0, wanted])
    with torch.no_grad():
        whole = total(model, batch)
    assert float(whole.nats) == pytest.approx(nats, rel=1e-9)
    assert int(whole.answers) == batch.answers
    assert mean_loss(model, tokens, END) == pytest.approx(nats / batch.answers, rel=1e-9)


@torch.no_grad()
def test_parts_of_a_batch_add_up_to_it() -> None:
    model = small()
    _, batch = every()
    parts = [float(total(model, part).nats) for part in batch.split(5)]
    assert len(parts) == 3
    assert sum(parts) == pytest.approx(float(total(model, batch).nats), rel=1e-9)


@torch.no_grad()
def test_label_smoothing_spreads_a_share_over_all_tokens() -> None:
    model = small()
    _, batch = every()
    scores = model(batch.source_BS, batch.inputs_BT, batch.source_rows, batch.rows)
    wanted = batch.targets_BT != IGNORED
    chances = scores.log_softmax(-1)[wanted]
    right = chances.gather(1, batch.targets_BT[wanted][:, None]).sum()
    expected = -(0.9 * right + 0.1 * chances.mean(-1).sum())
    assert float(total(model, batch, 0.1).nats) == pytest.approx(float(expected), rel=1e-9)


def test_what_is_too_long_is_cut_and_counted() -> None:
    tokens = TokenPairs.of(TOKENIZER, [PAIRS[0], PAIRS[-1]], 2)
    assert tokens.cut == 1
    assert [ids.tolist() for ids in tokens.sources] == [
        [*TOKENIZER.encode(PAIRS[0].source)[:1], END],
        [*TOKENIZER.encode(PAIRS[-1].source), END],
    ]
    assert tokens.targets[0].tolist() == TOKENIZER.encode(PAIRS[0].target)  # no end: it goes on
    assert tokens.targets[1].tolist() == [*TOKENIZER.encode(PAIRS[-1].target), END]


def test_no_more_is_validated_on_than_asked_for() -> None:
    tokens, _ = every()
    assert tokens.within(None).sources == tokens.sources
    assert tokens.within(10**6).sources == tokens.sources
    some = tokens.within(20)  # of 66 tokens
    assert some.targets == tokens.targets[::4]


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    train, held = tmp_path / "train.tsv", tmp_path / "held.tsv"
    lines = [f"{pair.source}\t{pair.target}" for pair in PAIRS]
    train.write_text("\n".join(["source\ttarget", *lines]) + "\n")
    held.write_text("source\ttarget\nfour one\teins vier\n")
    return train, held


def config_of(files: tuple[Path, Path], **train: object) -> RunConfig:
    values = {
        "task": "translation",
        "preset": "gru",
        "model": {"width": 16, "layers": 1},
        "data": {
            "paths": [str(files[0])],
            "validation_paths": [str(files[1])],
            "tokenizer": "words",
        },
        "train": {"sequence_length": 8, **train},
    }
    return parse(RunConfig, values, "test")


def test_a_run_batches_by_tokens_unless_told_otherwise(files: tuple[Path, Path]) -> None:
    usual = prepare(config_of(files))
    assert usual.config.train.batch_tokens == DEFAULT_BATCH_TOKENS
    assert prepare(usual.config).config == usual.config  # nothing is left open
    by_rows = prepare(config_of(files, batch_size=5))
    assert by_rows.config.train.batch_tokens is None
    assert prepare(by_rows.config).config == by_rows.config
    by_tokens = prepare(config_of(files, batch_tokens=9))
    steps = range(by_tokens.order.count)
    batches = [by_tokens.batches()(step) for step in steps]
    seen = [row for batch in batches for row in batch.samples_B.tolist()]  # type: ignore[union-attr]
    assert sorted(seen) == list(range(len(PAIRS)))
    for batch in batches:
        assert isinstance(batch, Batch)
        assert max(batch.source_BS.numel(), batch.inputs_BT.numel()) <= 9


def test_the_tokenizer_knows_the_training_side_alone(files: tuple[Path, Path]) -> None:
    run = prepare(config_of(files))
    assert run.tokenizer.unknown_id in run.tokenizer.encode("four")
    assert run.tokenizer.unknown_id not in run.tokenizer.encode("one zwei")
    assert run.unknown == pytest.approx(2 / 6)  # four and vier, of four words and two ends
    assert "33.3% of the validation tokens" in run.described()[1]


def test_pairs_that_are_too_long_are_not_learned_from(files: tuple[Path, Path]) -> None:
    run = prepare(config_of(files, sequence_length=2))
    assert run.left_out == 9  # of two words and the end
    assert len(run.lengths) == 3
    assert all(target[-1] == run.tokenizer.end_id for target in run.train.targets)
    with pytest.raises(UsageError, match="All 12 pairs to learn from are longer than 1 tokens"):
        prepare(config_of(files, sequence_length=1))


def test_the_loss_that_is_validated_is_that_of_the_data(files: tuple[Path, Path]) -> None:
    run = prepare(config_of(files))
    model = build(run.model_config, 0)
    assert isinstance(model, EncoderDecoder)
    batch = run.validation.batch(np.array([0]), run.tokenizer.end_id)
    with torch.no_grad():
        expected = float(translation.total(model.eval(), batch).nats) / 3
    assert run.validate(model)["loss"] == pytest.approx(expected, rel=1e-6)
    zeros = run.zeros(2, 3, 4)
    assert run.total(model, zeros, 0.1).nats.isfinite()
    assert zeros.answers == 8


def test_expectation_maximisation_finds_the_dictionary() -> None:
    # Koehn 2010, section 4.2: words that are never alone are told apart by the other pairs.
    texts = [("das Haus", "the house"), ("das Buch", "the book"), ("ein Buch", "a book")]
    known = train_tokenizer("words", [text for pair in texts for text in pair])
    tokens = TokenPairs.of(known, [Pair(*pair, "") for pair in texts], 9)
    found = WordTranslation.fit(tokens.sources, tokens.targets, known.end_id)
    assert found.translate(known, "ein das Buch Haus") == "a the book house"
    assert found.translate(known, "das unseen Haus") == "the house"
    again = WordTranslation.from_json(found.to_json(), "baseline.json")
    assert again.best == found.best


@pytest.mark.parametrize(
    "data", [b"", b"[]", b'{"word_translation": 3}', b'{"word_translation": [[1, "x"]]}', b"\xff"]
)
def test_another_file_is_no_dictionary(data: bytes) -> None:
    with pytest.raises(UsageError, match=r"run/baseline\.json: no dictionary"):
        WordTranslation.from_json(data, "run/baseline.json")


def test_figures_are_those_of_sacrebleu() -> None:
    references = [["你好。", "您好！"], ["我走了。"], ["他昨天去了学校。"]]
    texts = ["您好！", "我走。", "他昨天去学校了。"]
    streams = [[wanted[0] for wanted in references], ["您好！", "", ""]]
    judge = Judge(references)
    found = judge.quality(texts)
    bleu = sacrebleu.corpus_bleu(texts, streams, tokenize="zh")
    chrf = sacrebleu.corpus_chrf(texts, streams)
    assert found.bleu == pytest.approx(bleu.score)
    assert found.chrf == pytest.approx(chrf.score)
    assert found.exact_match == pytest.approx(1 / 3)
    assert "tok:zh" in judge.bleu_signature
    assert "nrefs:var" in judge.bleu_signature
    assert judge.chrf_signature.startswith("nrefs:var|case:mixed")
    assert judge.sentence("您好", references[0]) > judge.sentence("再见", references[0])


@pytest.mark.parametrize(
    ("text", "split"),
    [
        ("I_WALK I_RUN", "13a"),
        ("Das ist 大.", "13a"),
        ("我喜欢 Python。", "zh"),
        ("私は学生です。", "char"),
        ("123 ...", "13a"),
        ("", "13a"),
    ],
)
def test_bleu_splits_as_the_references_are_written(text: str, split: str) -> None:
    assert bleu_tokenizer([text]) == split


def test_a_model_that_has_learned_is_judged_so() -> None:
    model = small("gru", torch.float32)
    tokens, _ = every()
    config = TrainingConfig(
        steps=100, batch_size=12, learning_rate=0.02, decay="constant", precision="float32"
    )
    everything = tokens.batch(np.arange(len(PAIRS)), END)
    trainer = Trainer(model, config, lambda step: everything, total=total)
    for _ in trainer.events():
        pass
    model.eval()
    two = [*PAIRS, Pair("one", "ein", "pairs.tsv:99")]
    words = WordTranslation.fit(tokens.sources, tokens.targets, END)
    report = evaluate(Translator(model, TOKENIZER), two, words, batch_size=4)
    assert (report.pairs, report.sources) == (13, 12)
    assert report.quality.exact_match == 1.0
    assert report.quality.chrf == pytest.approx(100)
    assert report.word_by_word is not None
    # Those of two words come out in the wrong order, unless both are the same.
    assert report.word_by_word.exact_match == pytest.approx(6 / 12)
    assert report.worst == ()
    assert report.loss == pytest.approx(
        mean_loss(model, TokenPairs.of(TOKENIZER, two, 16), END), rel=1e-6
    )
    assert report.as_dict()["perplexity"] == pytest.approx(math.exp(report.loss))
    assert "translations" not in report.as_dict()


def test_a_model_without_numbers_is_no_translator() -> None:
    model = small()
    with torch.no_grad():
        model.embedding.weight.fill_(float("nan"))
    with pytest.raises(PhalanxError, match="diverged"):
        evaluate(Translator(model, TOKENIZER), PAIRS, batch_size=4)
