"""Makes tests/goldens/format-1: a model directory of format 1, and what the model says.

    python tests/goldens/make_format_1.py

Not to be run again: the directory stands for those that people have. A new format gets its own.
"""

import json
import shutil
from pathlib import Path

import torch

from phalanx.data.tokenizers import train_tokenizer
from phalanx.models import Decoder, build, preset
from phalanx.training.model_directory import Description, read_model, save_model

FOLDER = Path(__file__).parent / "format-1"
MODEL, LOGITS = FOLDER / "model", FOLDER / "logits.json"
TEXT = "one two buckle my shoe"


def main() -> None:
    shutil.rmtree(FOLDER, ignore_errors=True)
    tokenizer = train_tokenizer("characters", [TEXT])
    mixers = ["gru", "mingru", "attention"]
    changes = {"width": 8, "layers": 3, "mixers": mixers, "attention": {"heads": 2}}
    config = preset("transformer", tokenizer.vocabulary, 32, **changes)
    model = build(config, 1)
    assert isinstance(model, Decoder)
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():  # fresh biases are zero and norms one, which hides mistakes
        for parameter in model.parameters():
            parameter += 0.3 * torch.randn(parameter.shape, generator=generator)
    figures = {"validation_loss": 1.25, "steps": 7, "loss_gap": None}
    training = {"text": "a rhyme", "seed": 1, "schedules": {"GRU": "hoisted"}}
    description = Description(model=config, figures=figures, training=training)
    save_model(MODEL, model, tokenizer, description)
    stored = read_model(MODEL, torch.device("cpu"))
    ids = tokenizer.encode(TEXT)
    with torch.no_grad():
        logits_TV = stored.model(torch.tensor([ids]))[0]
    rows = ",\n  ".join(json.dumps([round(x, 5) for x in row]) for row in logits_TV.tolist())
    LOGITS.write_text(f'{{"text": "{TEXT}", "ids": {ids}, "logits_TV": [\n  {rows}]}}\n')


if __name__ == "__main__":
    main()
