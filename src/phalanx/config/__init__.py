"""Strict, typed configuration: YAML, then dotted overrides; unknown keys are refused.

Configuration is data. Nothing here imports code by name, evaluates text or needs torch.
"""

from phalanx.config.files import (
    LARGEST_FILE,
    override,
    put,
    read_text,
    read_yaml,
    to_yaml,
)
from phalanx.config.model import (
    AttentionConfig,
    FeedForwardConfig,
    MinGRUConfig,
    ModelConfig,
    RecurrenceConfig,
    RotaryScaling,
    both_ways,
)
from phalanx.config.run import (
    LARGEST_SEED,
    DataConfig,
    RunConfig,
    Scheme,
    Task,
    TrainingConfig,
)
from phalanx.config.strict import Strict, explain, parse

__all__ = [
    "LARGEST_FILE",
    "LARGEST_SEED",
    "AttentionConfig",
    "DataConfig",
    "FeedForwardConfig",
    "MinGRUConfig",
    "ModelConfig",
    "RecurrenceConfig",
    "RotaryScaling",
    "RunConfig",
    "Scheme",
    "Strict",
    "Task",
    "TrainingConfig",
    "both_ways",
    "explain",
    "override",
    "parse",
    "put",
    "read_text",
    "read_yaml",
    "to_yaml",
]
