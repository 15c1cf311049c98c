"""phalanx: train, run, compare and profile sequence models, and choose their parallelism.

In rank, every position advances at once; in file, one behind another.

Names are imported when they are first used, so that ``import phalanx`` does not wait for torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from phalanx import data, inference, interop, mixers, models, profiling, tasks, training
    from phalanx.comparison.study import compare as compare
    from phalanx.config import ModelConfig as ModelConfig
    from phalanx.errors import PhalanxError as PhalanxError
    from phalanx.errors import UsageError as UsageError
    from phalanx.inference.generate import generate as generate
    from phalanx.models import build as build
    from phalanx.models import preset as preset
    from phalanx.profiling.profile import profile as profile
    from phalanx.profiling.recording import record as record
    from phalanx.profiling.results import Profile as Profile
    from phalanx.rows import Rows as Rows
    from phalanx.runs import load as load

__version__ = "0.1.0"

_NAMES = {
    "ModelConfig": "phalanx.config",
    "PhalanxError": "phalanx.errors",
    "Profile": "phalanx.profiling.results",
    "Rows": "phalanx.rows",
    "UsageError": "phalanx.errors",
    "build": "phalanx.models",
    "compare": "phalanx.comparison.study",
    "generate": "phalanx.inference.generate",
    "load": "phalanx.runs",
    "preset": "phalanx.models",
    "profile": "phalanx.profiling.profile",
    "record": "phalanx.profiling.recording",
}
_PACKAGES = ("data", "inference", "interop", "mixers", "models", "profiling", "tasks", "training")

__all__ = [
    "ModelConfig",
    "PhalanxError",
    "Profile",
    "Rows",
    "UsageError",
    "__version__",
    "build",
    "compare",
    "data",
    "generate",
    "inference",
    "interop",
    "load",
    "mixers",
    "models",
    "preset",
    "profile",
    "profiling",
    "record",
    "tasks",
    "training",
]


def __getattr__(name: str) -> Any:
    if name in _NAMES:
        value = getattr(import_module(_NAMES[name]), name)
        globals()[name] = value
        return value
    if name in _PACKAGES:
        return import_module(f"phalanx.{name}")
    raise AttributeError(f"module 'phalanx' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
