"""The rules of ``auto``."""

import pytest
import torch

from phalanx.errors import UsageError
from phalanx.models import preset
from phalanx.training import precision
from phalanx.training.precision import (
    NARROWEST,
    WIDEST_LSTM,
    choose_device,
    choose_precision,
)

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("native", "name", "width", "expected"),
    [
        (True, "gru", NARROWEST, "bfloat16"),
        (True, "gru", NARROWEST - 16, "float32"),
        (False, "gru", 1024, "float32"),
        (True, "lstm", WIDEST_LSTM, "bfloat16"),
        (True, "lstm", WIDEST_LSTM + 16, "float32"),
        (True, "gru", WIDEST_LSTM + 16, "bfloat16"),
    ],
)
def test_auto_is_what_is_faster(
    monkeypatch: pytest.MonkeyPatch, native: bool, name: str, width: int, expected: str
) -> None:
    flags = frozenset({"avx2", "avx512_bf16"} if native else {"avx2"})
    monkeypatch.setattr(precision, "_cpu_flags", lambda: flags)
    config = preset(name, 20, 8, width=width)
    assert choose_precision("auto", config, CPU) == expected


def test_what_is_asked_for_is_taken() -> None:
    narrow, wide = (preset("lstm", 20, 8, width=width) for width in (8, 1024))
    assert choose_precision("bfloat16", narrow, CPU) == "bfloat16"
    assert choose_precision("float32", wide, CPU) == "float32"


def test_devices() -> None:
    assert choose_device("cpu") == CPU
    with pytest.raises(UsageError, match="Did you mean 'cuda'"):
        choose_device("cuda0")
    if not torch.cuda.is_available():
        assert choose_device("auto") == CPU
        with pytest.raises(UsageError, match="no GPU"):
            choose_device("cuda")
