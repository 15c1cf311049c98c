"""Masked language modelling: the loss of hidden tokens alone, judged on the same ones each time."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F  # noqa: N812

from phalanx.data.batches import IGNORED, LanguageWindows
from phalanx.data.masking import is_text
from phalanx.data.tokenizers import Tokenizer, train_tokenizer
from phalanx.errors import UsageError
from phalanx.models import Encoder, build, preset
from phalanx.tasks import masked_lm
from phalanx.tasks.masked_lm import Hiding, Text, Unigram

TEXTS = [f"row {n} has a word or two of its own, and number {n * 7}" for n in range(40)]
TOKENIZERS = {
    "words": train_tokenizer("words", TEXTS, mask=True),
    "wordpiece": train_tokenizer("wordpiece", TEXTS, 120),
}
LENGTH = 16


@pytest.fixture(params=TOKENIZERS)
def tokenizer(request: pytest.FixtureRequest) -> Tokenizer:
    return TOKENIZERS[request.param]


def model_of(tokenizer: Tokenizer, **changes: object) -> Encoder:
    config = preset(
        "transformer",
        tokenizer.vocabulary,
        LENGTH,
        kind="encoder",
        **{"width": 16, "layers": 1, "head": "masked", "init": "glorot", **changes},
    )
    model = build(config, seed=3)
    assert isinstance(model, Encoder)
    return model.eval()


def text_of(tokenizer: Tokenizer, separate: bool = False, fraction: float = 0.3) -> Text:
    stream = tokenizer.encode_documents(TEXTS)
    return Text.over(Hiding(tokenizer, fraction, separate), stream, LENGTH)


@pytest.mark.parametrize("separate", [False, True])
def test_the_loss_is_that_of_the_hidden_tokens(tokenizer: Tokenizer, separate: bool) -> None:
    model = model_of(tokenizer)
    text = text_of(tokenizer, separate)
    nats, right, count = 0.0, 0, 0
    for batch in text.passes():
        with torch.no_grad():
            logits_BTV = model(batch.inputs_BT, batch.rows)
        for row in range(len(batch.inputs_BT)):
            for place, target in zip(batch.chosen_BK[row], batch.targets_BK[row], strict=True):
                if target != IGNORED:
                    nats -= float(logits_BTV[row, place].log_softmax(-1)[target])
                    right += int(logits_BTV[row, place].argmax() == target)
                    count += 1
        part = masked_lm.total(model, batch)
        expected = F.cross_entropy(
            logits_BTV.gather(1, batch.chosen_BK[..., None].expand(-1, -1, logits_BTV.shape[-1]))
            .flatten(0, 1)
            .double(),
            batch.targets_BK.flatten(),
            reduction="sum",
        )
        assert float(part.nats.detach()) == pytest.approx(float(expected), rel=1e-5)
        assert int(part.answers) == batch.answers
    score = masked_lm.evaluate(model, text)
    assert score.loss == pytest.approx(nats / count, rel=1e-5)
    assert (score.accuracy, score.tokens) == (right / count, count)
    assert score.perplexity == pytest.approx(np.exp(nats / count), rel=1e-5)


def test_chunks_of_scores_and_size_of_passes_change_nothing(
    tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, text = model_of(tokenizer), text_of(tokenizer)
    whole = masked_lm.evaluate(model, text)
    monkeypatch.setattr(masked_lm, "CHUNK_SCORES", 5 * tokenizer.vocabulary)
    monkeypatch.setattr(masked_lm, "PASS_POSITIONS", 3 * LENGTH)
    parts = masked_lm.evaluate(model, text)
    assert parts.loss == pytest.approx(whole.loss, rel=1e-5)
    assert (parts.accuracy, parts.tokens) == (whole.accuracy, whole.tokens)


def test_every_window_is_judged_once_with_the_same_tokens_hidden(tokenizer: Tokenizer) -> None:
    text = text_of(tokenizer)
    first, second = (list(text.passes()) for _ in "ab")
    for one, other in zip(first, second, strict=True):
        assert torch.equal(one.inputs_BT, other.inputs_BT)
    begins = tokenizer.kind == "wordpiece"
    stream = tokenizer.encode_documents(TEXTS)
    shown = sum(batch.tokens - begins * len(batch.inputs_BT) for batch in first)
    assert shown == len(stream) - 1
    if begins:
        cls = tokenizer.special_ids["cls"]
        assert all((batch.inputs_BT[:, 0] == cls).all() for batch in first)
        assert {batch.inputs_BT.shape[1] for batch in first[:-1]} <= {LENGTH}


def test_a_batch_is_a_pure_function_of_its_step(tokenizer: Tokenizer) -> None:
    hiding = Hiding(tokenizer, 0.15)
    stream = tokenizer.encode_documents(TEXTS)
    windows = LanguageWindows(stream, hiding.length(LENGTH), seed=4)
    batches = masked_lm.batches(windows, 3, hiding)
    again = masked_lm.batches(windows, 3, hiding)
    later = [again(step) for step in (30, 7)]
    for step, other in zip((30, 7), later, strict=True):
        batch = batches(step)
        assert torch.equal(batch.inputs_BT, other.inputs_BT)
        assert torch.equal(batch.targets_BK, other.targets_BK)
    # The rows of a batch of another size are the same samples, hidden alike.
    wide = masked_lm.batches(windows, 6, hiding)(5)
    narrow = [batches(step).inputs_BT for step in (10, 11)]
    assert torch.equal(wide.inputs_BT, torch.cat(narrow))
    # What is to be guessed stands in the text.
    batch = batches(2)
    assert batch.samples_B is not None
    for row, start in enumerate(batch.samples_B.tolist()):
        shift = tokenizer.kind == "wordpiece"
        for place, target in zip(batch.chosen_BK[row], batch.targets_BK[row], strict=True):
            if target != IGNORED:
                assert int(stream[start + int(place) - shift]) == int(target)


def test_documents_kept_apart_do_not_see_each_other() -> None:
    tokenizer = TOKENIZERS["words"]
    model = model_of(tokenizer)
    hiding = Hiding(tokenizer, 0.2, separate=True)
    ids_BT = torch.tensor([[1, 2, 3, 4, tokenizer.end_id, 5, 6, 7, 8]])
    changed = ids_BT.clone()
    changed[0, 5:] = 9
    outputs = []
    for ids in (ids_BT, changed):
        batch = hiding.batch(ids, torch.tensor([0]), 0, 0)
        outputs.append(model.hidden(ids, batch.rows)[0][0, :4])
    torch.testing.assert_close(outputs[0], outputs[1], rtol=0, atol=0)


def test_guesses_by_frequency_alone() -> None:
    tokenizer = train_tokenizer("words", ["a a a b"], mask=True)  # a 0, b 1, then special ones
    unigram = Unigram.fit(tokenizer, np.array([0, 0, 0, 1, tokenizer.end_id, 0, 2]))
    assert unigram.counts_V.tolist() == [4, 1, 0, 0, 0]
    text = Text.over(Hiding(tokenizer, 0.99), np.array([0, 1, 0, 0, 1, 0, 0, 0, 0]), 4)
    score = unigram.evaluate(text)
    nats = {0: -np.log(5 / 7), 1: -np.log(2 / 7)}
    hidden = [int(t) for batch in text.passes() for t in batch.targets_BK.flatten() if t >= 0]
    assert hidden == [0, 1, 0, 0, 1, 0, 0, 0]
    assert score.loss == pytest.approx(np.mean([nats[token] for token in hidden]))
    assert (score.accuracy, score.tokens) == (6 / 8, 8)


def test_a_model_that_knows_frequencies_alone_scores_as_they_do(tokenizer: Tokenizer) -> None:
    text = text_of(tokenizer)
    unigram = Unigram.fit(tokenizer, tokenizer.encode_documents(TEXTS))
    model = model_of(tokenizer, head="linear", output_bias=True)
    logs_V = np.where(is_text(tokenizer), np.log(unigram.counts_V + 1.0), -1e9)
    with torch.no_grad():
        model.output.weight.zero_()  # type: ignore[union-attr, operator]
        model.output.bias.copy_(torch.from_numpy(logs_V))  # type: ignore[union-attr, operator]
    found, expected = masked_lm.evaluate(model, text), unigram.evaluate(text)
    assert found.loss == pytest.approx(expected.loss, rel=1e-5)
    assert found.accuracy == expected.accuracy


def test_frequencies_are_kept_and_checked() -> None:
    unigram = Unigram(np.array([3, 0, 2**40]))
    again = Unigram.from_json(unigram.to_json(), 3)
    assert again.counts_V.tolist() == unigram.counts_V.tolist()
    for content in (b"", b"[]", b'{"counts": [1, 2]}', b'{"counts": [-1, 2, 3]}', b'{"counts": 3}'):
        with pytest.raises(UsageError, match="does not hold a count"):
            Unigram.from_json(content, 3)


def test_text_with_nothing_to_hide_is_refused() -> None:
    tokenizer = TOKENIZERS["words"]
    unknown = tokenizer.encode_documents(["neverseen atall here"])
    text = Text.over(Hiding(tokenizer, 0.15), unknown, LENGTH)
    with pytest.raises(UsageError, match="no known token"):
        masked_lm.evaluate(model_of(tokenizer), text)
    with pytest.raises(UsageError, match="holds no text beside"):
        Hiding(TOKENIZERS["wordpiece"], 0.15).length(1)
