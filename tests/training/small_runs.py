"""Models and texts small enough for a second."""

from collections.abc import Callable

import torch

from phalanx.config import ModelConfig, TrainingConfig
from phalanx.data.batches import LanguageWindows
from phalanx.data.tokenizers import Tokenizer, train_tokenizer
from phalanx.models import Decoder, build, preset
from phalanx.tasks import language_modelling
from phalanx.tasks.positions import Batch
from phalanx.training.trainer import Trainer

RHYME = "one two buckle my shoe, three four knock at the door. "
PRESETS = ("rnn", "lstm", "gru", "mingru", "transformer", "transformer-2017")


def small_tokenizer(text: str = RHYME) -> Tokenizer:
    return train_tokenizer("characters", [text])


def small_config(name: str, vocabulary: int, context: int = 16, **changes: object) -> ModelConfig:
    return preset(name, vocabulary, context, **{"width": 32, "layers": 2, **changes})


def small_model(name: str, vocabulary: int, seed: int = 0, **changes: object) -> Decoder:
    model = build(small_config(name, vocabulary, **changes), seed)
    assert isinstance(model, Decoder)
    return model


def rhyme_batches(tokenizer: Tokenizer, config: TrainingConfig) -> Callable[[int], Batch]:
    tokens = tokenizer.encode_array(RHYME * 20)
    windows = LanguageWindows(tokens, config.sequence_length, seed=0)
    return language_modelling.batches(windows, config.batch_size)


def rhyme_trainer(
    name: str, *, dropout: float = 0.0, layers: int = 2, seed: int = 0, **settings: object
) -> Trainer:
    tokenizer = small_tokenizer()
    values = {"batch_size": 4, "sequence_length": 16, "precision": "float32", **settings}
    config = TrainingConfig.model_validate(values)
    text = language_modelling.Text.of(tokenizer, [RHYME * 2], 16)
    return Trainer(
        small_model(name, tokenizer.vocabulary, dropout=dropout, layers=layers),
        config,
        rhyme_batches(tokenizer, config),
        validate=lambda model: language_modelling.evaluate(model, text).as_dict(),
        seed=seed,
    )


def weights_of(model: torch.nn.Module) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in model.parameters()])
