"""One pass learns all positions at once, and an evaluation counts each position once."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F  # noqa: N812  # torch's own customary name

from phalanx.config import ModelConfig
from phalanx.data.batches import IGNORED
from phalanx.data.tokenizers import load_tokenizer, train_tokenizer
from phalanx.errors import UsageError
from phalanx.models import Decoder, build, preset
from phalanx.tasks import language_modelling, positions
from phalanx.tasks.positions import Batch


def small(name: str, vocabulary: int = 11, context: int = 9) -> Decoder:
    config: ModelConfig = preset(name, vocabulary, context, width=16, layers=2)
    # What starts at zero would hide a position that reads another.
    model = build(config.model_copy(update={"init": "glorot"}), 3)
    assert isinstance(model, Decoder)
    return model.double()


def gradients(model: Decoder) -> list[torch.Tensor]:
    found = [p.grad.clone() for p in model.parameters() if p.grad is not None]
    model.zero_grad(set_to_none=True)
    return found


@pytest.mark.parametrize("name", ["transformer", "transformer-2017", "lstm", "gru", "mingru"])
def test_one_pass_is_the_mean_of_the_losses_of_single_positions(name: str) -> None:
    model = small(name)
    ids_BT = torch.randint(0, 11, (3, 10))
    inputs_BT, targets_BT = ids_BT[:, :-1], ids_BT[:, 1:]
    whole = language_modelling.loss(model, Batch(inputs_BT, targets_BT))
    whole.backward()
    from_one_pass = gradients(model)
    assert len(from_one_pass) == len(list(model.parameters()))

    # Each position alone: the model reads the prefix and is asked for the next token only.
    singles = [
        F.cross_entropy(model(inputs_BT[:, : t + 1])[:, -1], targets_BT[:, t]) for t in range(9)
    ]
    mean = torch.stack(singles).mean()
    mean.backward()
    torch.testing.assert_close(whole, mean, rtol=1e-12, atol=0)
    for one_pass, single in zip(from_one_pass, gradients(model), strict=True):
        torch.testing.assert_close(one_pass, single, rtol=1e-9, atol=1e-12)


def test_ignored_targets_count_for_nothing() -> None:
    model = small("gru")
    ids_BT = torch.randint(0, 11, (2, 10))
    targets_BT = ids_BT[:, 1:].clone()
    targets_BT[0, 4:] = IGNORED
    batch = Batch(ids_BT[:, :-1], targets_BT)
    logits_NV = model(batch.inputs_BT).flatten(0, 1)
    kept = targets_BT.flatten() != IGNORED
    expected = F.cross_entropy(logits_NV[kept], targets_BT.flatten()[kept])
    assert int(positions.total(model, batch).answers) == 4 + 9
    torch.testing.assert_close(language_modelling.loss(model, batch), expected)


def test_chunks_of_scores_change_neither_loss_nor_gradients(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = small("transformer")
    ids_BT = torch.randint(0, 11, (3, 10))
    batch = Batch(ids_BT[:, :-1], ids_BT[:, 1:])
    whole = language_modelling.loss(model, batch)
    whole.backward()
    expected = gradients(model)
    largest = 0

    def head(y: torch.Tensor) -> torch.Tensor:
        nonlocal largest
        largest = max(largest, y.shape[0])
        return Decoder.head(model, y)

    monkeypatch.setattr(model, "head", head)
    monkeypatch.setattr(positions, "CHUNK_SCORES", 11 * 4)
    chunked = language_modelling.loss(model, batch)
    chunked.backward()
    assert largest == 4
    torch.testing.assert_close(chunked, whole, rtol=1e-12, atol=0)
    for one, other in zip(gradients(model), expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", ["transformer", "lstm"])
@pytest.mark.parametrize("length", [28, 29, 2, 9, 10])
def test_evaluation_counts_every_position_once(
    name: str, length: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(language_modelling, "PASS_POSITIONS", 18)  # two windows a pass
    tokenizer = train_tokenizer("characters", ["abcdefghi"])
    model = small(name, tokenizer.vocabulary)
    text = "".join("abcdefghi"[(7 * i * i) % 9] for i in range(length))
    score = language_modelling.evaluate(
        model, language_modelling.Text.of(tokenizer, [text], model.config.context)
    )
    ids = tokenizer.encode(text)
    nats = []
    for place in range(1, len(ids)):
        start = (place - 1) // 9 * 9  # windows of nine, each read from its own beginning
        logits_V = model(torch.tensor([ids[start:place]]))[0, -1].float()
        nats.append(-logits_V.log_softmax(-1)[ids[place]].item())
    assert score.tokens == score.bytes == length - 1
    assert score.loss == pytest.approx(sum(nats) / len(nats), rel=1e-6)
    assert score.perplexity == pytest.approx(math.exp(score.loss))
    assert score.bits_per_byte == pytest.approx(score.loss / math.log(2))


def test_bits_per_byte_divides_by_bytes_and_not_by_tokens() -> None:
    text = "äöü€" * 5
    tokenizer = train_tokenizer("characters", [text])
    model = small("gru", tokenizer.vocabulary)
    score = language_modelling.evaluate(model, language_modelling.Text.of(tokenizer, [text], 9))
    assert (score.tokens, score.bytes) == (19, 45 - 2)
    assert score.bits_per_byte == pytest.approx(score.loss * 19 / math.log(2) / 43)


def test_there_are_no_bits_per_byte_where_the_tokenizer_changes_the_text(tmp_path: Path) -> None:
    words = ("[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]", "the", "quick", "fox")
    (tmp_path / "vocab.txt").write_text("\n".join(words))
    lossy = load_tokenizer(tmp_path)
    text = "The  quick  fox"
    assert lossy.byte_lengths(np.array(lossy.encode(text))).sum() != len(text)
    model = small("gru", lossy.vocabulary)
    score = language_modelling.evaluate(model, language_modelling.Text.of(lossy, [text], 9))
    assert score.bytes is None
    assert math.isnan(score.bits_per_byte)
    assert set(score.as_dict()) == {"loss", "perplexity"}
    # An unknown character is judged as the U+FFFD that stands for it.
    known = train_tokenizer("characters", ["abc"])
    assert language_modelling.Text.of(known, ["abXc"], 9).bytes == 1 + 3 + 1


def test_unknown_characters_are_counted() -> None:
    tokenizer = train_tokenizer("characters", ["ab"])
    assert language_modelling.Text.of(tokenizer, ["abcab", "zz"], 4).unknown == 3
    assert language_modelling.Text.of(train_tokenizer("bytes", []), ["abc€"], 4).unknown == 0


def test_evaluation_leaves_the_model_as_it_was() -> None:
    tokenizer = train_tokenizer("characters", ["ab"])
    model = small("transformer", tokenizer.vocabulary).train()
    text = language_modelling.Text.of(tokenizer, ["abab"], 4)
    language_modelling.evaluate(model, text)
    assert model.training
    assert all(parameter.grad is None for parameter in model.parameters())


def test_a_text_without_a_target_is_refused() -> None:
    with pytest.raises(UsageError, match="at least 2 tokens"):
        language_modelling.Text.of(train_tokenizer("characters", ["ab"]), ["a"], 4)
