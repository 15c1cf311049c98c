"""Model directories of every released format stay loadable, and say what they said."""

import json
from pathlib import Path

import pytest
import torch

import phalanx
from phalanx.durable import MANIFEST, verify
from phalanx.training.model_directory import read_description

FORMATS = sorted(Path(__file__).parent.glob("format-*"))


@pytest.mark.parametrize("folder", FORMATS, ids=lambda folder: folder.name)
def test_a_directory_of_a_released_format_says_what_it_said(folder: Path) -> None:
    expected = json.loads((folder / "logits.json").read_text())
    verify(folder / "model")
    run = phalanx.load(folder / "model")
    assert run.tokenizer.encode(expected["text"]) == expected["ids"]
    assert run.tokenizer.decode(expected["ids"]) == expected["text"]
    with torch.no_grad():
        logits_TV = run.model(torch.tensor([expected["ids"]]))[0]
    assert torch.allclose(logits_TV, torch.tensor(expected["logits_TV"]), rtol=1e-4, atol=1e-4)
    assert run.generate("one", max_new_tokens=5).startswith("one")
    assert read_description(folder / "model").figures["validation_loss"] == 1.25


def test_there_is_one_of_each_format_and_they_are_small() -> None:
    assert [folder.name for folder in FORMATS] == ["format-1"]
    for folder in FORMATS:
        names = {"README.md", "config.json", "model.safetensors", "tokenizer.json", MANIFEST}
        assert {file.name for file in (folder / "model").iterdir()} == names
        assert sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) < 30_000
