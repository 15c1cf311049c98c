"""Tagging: one pass labels every token, and accuracy is over labelled tokens alone."""

import pytest
import torch

from phalanx.config import TrainingConfig
from phalanx.data.batches import IGNORED
from phalanx.data.documents import Document
from phalanx.data.python_tags import LABELS, TaggedWindows, tagged_windows
from phalanx.data.tokenizers import train_tokenizer
from phalanx.models import Encoder, build, preset
from phalanx.tasks import python_tagging as tagging
from phalanx.training.trainer import Trainer, Validation

SOURCE = 'def double(x):\n    return x + 12  # twice\n\nname = "text" + str(345)\n'


def encoder(vocabulary: int, mixers: str, length: int) -> Encoder:
    model = build(
        preset(
            "transformer",
            vocabulary,
            length,
            kind="encoder",
            width=32,
            layers=2,
            mixers=[mixers],
            outputs=len(LABELS),
            tied=False,
        ),
        0,
    )
    assert isinstance(model, Encoder)
    return model


def windows_of(text: str, length: int = 20) -> tuple[TaggedWindows, int]:
    tokenizer = train_tokenizer("characters", [text])
    windows = tagged_windows([Document("a.py", text), Document("b.py", text)], tokenizer, length)
    return windows, tokenizer.vocabulary


@pytest.mark.parametrize("mixers", ["attention", "lstm+lstm"])
def test_an_encoder_learns_the_labels(mixers: str) -> None:
    windows, vocabulary = windows_of(SOURCE * 3)
    trainer = Trainer(
        encoder(vocabulary, mixers, 20),
        TrainingConfig(steps=60, batch_size=8, sequence_length=20, warmup_steps=5),
        tagging.batches(windows, 8, seed=0),
        validate=lambda model: tagging.evaluate(model, windows).as_dict(),
    )
    *_, last = trainer.events()
    assert isinstance(last, Validation)
    majority = tagging.majority_accuracy(windows, windows)
    assert majority < 0.6 < 0.9 < last.scores["accuracy"]


def test_accuracy_equals_a_loop_over_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tagging, "PASS_POSITIONS", 40)
    windows, vocabulary = windows_of(SOURCE)
    model = encoder(vocabulary, "attention", 20).eval()
    right = count = 0
    for inputs_T, labels_T, length in zip(
        windows.inputs_NT, windows.labels_NT, windows.lengths_N.tolist(), strict=True
    ):
        guesses_T = model(inputs_T[None, :length])[0].argmax(-1)
        for guess, label in zip(guesses_T.tolist(), labels_T[:length].tolist(), strict=True):
            if label != IGNORED:
                right, count = right + (guess == label), count + 1
    score = tagging.evaluate(model, windows)
    assert score.tokens == count == 2 * len(SOURCE)
    assert score.accuracy == pytest.approx(right / count)


def test_majority_is_chosen_on_the_training_side() -> None:
    train, _ = windows_of("aaaaaa = 1\n")
    validation, _ = windows_of('a = "text, text"\n')
    # "name" is commonest in training; of the 17 validation characters one is a name.
    assert tagging.majority_accuracy(train, validation) == pytest.approx(1 / 17)


def test_full_batches_carry_no_lengths() -> None:
    windows, _ = windows_of(SOURCE * 3)
    batches = [tagging.batches(windows, 4, seed=1)(step) for step in range(12)]
    padded = [batch for batch in batches if batch.lengths_B is not None]
    assert 0 < len(padded) < len(batches)
    for batch in padded:
        assert int(batch.lengths_B.min()) < 20  # type: ignore[union-attr]  # chosen above
    for batch in batches:
        if batch.lengths_B is None:
            assert bool((batch.targets_BT != IGNORED).any(-1).all())
    assert torch.equal(tagging.batches(windows, 4, seed=1)(5).inputs_BT, batches[5].inputs_BT)
