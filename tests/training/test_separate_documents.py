"""Documents kept apart: what a window computes of each is what the model makes of it alone."""

from pathlib import Path

import pytest
import torch

from phalanx.config import RunConfig
from phalanx.models import Decoder, build
from phalanx.models.presets import PRESETS
from phalanx.tasks import language_modelling
from phalanx.tasks.positions import Batch, total
from phalanx.training.run import Prepared, make_trainer, prepare

# Shorter than a window, as long, longer; one is a single letter.
TEXTS = ["one two", "three", "a", "four five six seven eight nine", "ten eleven twelve", "end"]


def prepared(folder: Path, preset: str = "gru", **data: object) -> Prepared:
    for number, text in enumerate(TEXTS * 3):
        (folder / f"{number:02}.txt").write_text(text)
    values = {
        "preset": preset,
        "model": {"width": 16, "layers": 2, "init": "glorot", "attention": {"heads": 4}},
        "data": {
            "paths": [str(folder)],
            "documents": "separate",
            "validation_fraction": 0.2,
            **data,
        },
        "train": {"batch_size": 4, "sequence_length": 17, "precision": "float32"},
        "device": "cpu",
    }
    return prepare(RunConfig.model_validate(values))


def model_of(run: Prepared) -> Decoder:
    model = build(run.model_config, 5)
    assert isinstance(model, Decoder)
    return model.double().eval()


def documents_of(batch: Batch) -> list[Batch]:
    """The batch's documents, each a row of its own."""
    assert batch.segments_BT is not None
    found = []
    for inputs_T, targets_T, segments_T in zip(
        batch.inputs_BT, batch.targets_BT, batch.segments_BT, strict=True
    ):
        lengths = segments_T.unique_consecutive(return_counts=True)[1].tolist()
        parts = zip(inputs_T.split(lengths), targets_T.split(lengths), strict=True)
        found += [Batch(inputs[None], targets[None]) for inputs, targets in parts]
    return found


@pytest.mark.parametrize("preset", sorted(PRESETS.keys() - {"bert-base"}))
def test_a_packed_window_is_its_documents_alone(preset: str, tmp_path: Path) -> None:
    run = prepared(tmp_path, preset)
    model = model_of(run)
    batch = make_trainer(run).batches(0)
    alone = documents_of(batch)
    assert len(alone) >= 2 * len(batch.inputs_BT), "there is something to keep apart"
    texts = run.corpus.train.texts()
    end = run.tokenizer.end_id
    for document in alone:
        tokens = document.inputs_BT[0].tolist()
        assert end not in tokens[1:], "one document each"
        assert any(run.tokenizer.decode(tokens) in text for text in texts)

    with torch.no_grad():
        packed_BTD, _ = model.hidden(batch.inputs_BT, batch.rows)
        each = [model.hidden(document.inputs_BT)[0][0] for document in alone]
    torch.testing.assert_close(packed_BTD.flatten(0, 1), torch.cat(each), rtol=1e-10, atol=1e-12)

    whole = total(model, batch)
    whole.nats.backward()
    packed = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    assert packed.keys() == dict(model.named_parameters()).keys()
    model.zero_grad()
    parts = [total(model, document) for document in alone]
    nats = torch.stack([part.nats for part in parts]).sum()
    nats.backward()
    torch.testing.assert_close(whole.nats, nats, rtol=1e-12, atol=0)
    assert int(whole.answers) == sum(int(part.answers) for part in parts)
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(packed[name], parameter.grad, rtol=1e-8, atol=1e-11, msg=name)


def test_validation_keeps_documents_apart_too(tmp_path: Path) -> None:
    run = prepared(tmp_path)
    model = model_of(run)
    score = language_modelling.evaluate(model, run.validation)
    stream = run.tokenizer.encode_documents(run.corpus.validation.texts())
    assert score.tokens == len(stream) - 1
    nats = 0.0
    for start in range(0, len(stream) - 1, 17):
        ids = torch.from_numpy(stream[start : start + 18].astype("int64"))[None]
        segments_BT = (ids[:, :-1] == run.tokenizer.end_id).cumsum(1)
        window = Batch(ids[:, :-1], ids[:, 1:], segments_BT=segments_BT)
        nats += sum(float(total(model, part).nats.detach()) for part in documents_of(window))
    assert score.loss == pytest.approx(nats / score.tokens, rel=1e-9)


def test_joined_documents_are_one_stream(tmp_path: Path) -> None:
    run = prepared(tmp_path, documents="joined")
    batch = make_trainer(run).batches(0)
    assert batch.segments_BT is None
    assert (batch.inputs_BT == run.tokenizer.end_id).any()
    [inputs, _] = next(run.validation.windows.passes(100))
    assert run.validation.windows.segments(inputs) is None


def test_validation_is_bounded(tmp_path: Path) -> None:
    run = prepared(tmp_path, validation_tokens=34)
    assert run.validation.windows.positions == 34
    assert len(run.store.validation) > 34
    assert prepared(tmp_path, validation_tokens=None).validation.windows.positions > 34
