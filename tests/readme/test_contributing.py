"""The mixer shown in CONTRIBUTING.md is a real one: it is imported from there and obeys laws."""

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest
import torch

from phalanx.config import ModelConfig
from phalanx.mixers import registry
from phalanx.models import build
from phalanx.rows import Rows

GUIDE = Path(__file__).parents[2] / "CONTRIBUTING.md"


@pytest.fixture(scope="module")
def average(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    code = re.findall(r"```python\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)[0]
    path = tmp_path_factory.mktemp("guide") / "average.py"
    path.write_text(code, encoding="utf-8")
    spec = importlib.util.spec_from_file_location("average", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_guides_mixer_has_two_equal_forms(average: ModuleType) -> None:
    mixer = average.Average(6).double()
    x_BTD = torch.randn(3, 37, 6, dtype=torch.float64)
    lengths_B = torch.tensor([37, 20, 0])
    rows = Rows.padded(lengths_B, 37)
    state = mixer.empty_state(3, 37, x_BTD)
    whole_BTD, last = mixer(x_BTD, rows, mixer.empty_state(3, 37, x_BTD))
    steps = []
    for t in range(37):
        y_BD, state = mixer.step(x_BTD[:, t], state, t < lengths_B)
        steps.append(y_BD)
    torch.testing.assert_close(torch.stack(steps, 1), whole_BTD, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(state.hidden_BD, last.hidden_BD, rtol=1e-12, atol=1e-12)


def test_the_guides_mixer_stands_in_a_model(
    average: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(registry.CAUSAL, "average", lambda c: average.Average(c.width))
    config = ModelConfig(vocabulary=11, context=32, width=8, layers=2, mixers=("average",))
    assert build(config, seed=0)(torch.zeros(2, 5, dtype=torch.int64)).shape == (2, 5, 11)
