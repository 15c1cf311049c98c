"""``phalanx export``: a run becomes a directory that transformers opens, or is refused in words."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

import phalanx
from phalanx.cli.main import main
from phalanx.data.tokenizers import train_tokenizer
from phalanx.models import build, preset
from phalanx.training.model_directory import Description, save_model

transformers: Any = pytest.importorskip(
    "transformers", reason="Hugging Face transformers is not installed"
)

TEXT = "To be, or not to be, that is the question"
SWIGLU: dict[str, Any] = {"feed_forward": {"activation": "swiglu", "width": 40}}


def trained(path: Path, name: str = "transformer", **changes: Any) -> Path:
    tokenizer = train_tokenizer("characters", [TEXT])
    config = preset(name, tokenizer.vocabulary, 32, width=16, **changes)
    model = build(config, 0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    save_model(path, model, tokenizer, Description(model=config))
    return path


def test_a_directory_that_transformers_opens(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, there = trained(tmp_path / "run", **SWIGLU), tmp_path / "new" / "there"
    assert main(["export", str(run), "--format", "huggingface", "-o", str(there)]) == 0
    said = capsys.readouterr()
    assert "Qwen3ForCausalLM" in said.out
    assert "transformers.AutoModelForCausalLM.from_pretrained" in said.err
    theirs = transformers.AutoModelForCausalLM.from_pretrained(there).eval()
    ours = phalanx.load(run)
    read = transformers.AutoTokenizer.from_pretrained(there)(TEXT[:20], return_tensors="pt")
    with torch.no_grad():
        torch.testing.assert_close(
            theirs(**read).logits, ours.model(read["input_ids"]), rtol=1e-4, atol=1e-5
        )
    again = phalanx.load(there)
    assert again.generate("To be", max_new_tokens=9) == ours.generate("To be", max_new_tokens=9)


def test_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run, there = trained(tmp_path / "run", **SWIGLU), tmp_path / "there"
    assert main(["export", str(run), "-o", str(there), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "path": str(there),
        "architecture": "Qwen3ForCausalLM",
        "opened_by": "AutoModelForCausalLM",
    }


def test_what_does_not_fit_is_said_with_what_would(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = trained(tmp_path / "run", "lstm")
    assert main(["export", str(run), "-o", str(tmp_path / "there")]) == 2
    said = capsys.readouterr().err
    assert "no" in said
    assert "--model.mixers" in said
    assert not (tmp_path / "there").exists()


def test_nothing_is_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = trained(tmp_path / "run", **SWIGLU)
    assert main(["export", str(run), "-o", str(run)]) == 2
    assert "exists already" in capsys.readouterr().err
    below_a_file = run / "config.json" / "there"
    assert main(["export", str(run), "-o", str(below_a_file)]) == 2
    assert "cannot be made" in capsys.readouterr().err
    assert phalanx.load(run).task == "language_modelling"


def test_no_such_format(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "run", "-o", str(tmp_path / "x"), "--format", "onnx"]) == 2
    assert "onnx" in capsys.readouterr().err
