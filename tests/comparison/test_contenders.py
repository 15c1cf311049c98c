from pathlib import Path

import pytest

from phalanx.comparison.contenders import TOLERANCE, contenders, mismatch
from phalanx.config import ModelConfig, to_yaml
from phalanx.errors import UsageError
from phalanx.models import preset

PRESETS = ("rnn", "lstm", "gru", "mingru", "transformer")


@pytest.mark.parametrize("size", [60_000, 400_000])
def test_presets_are_matched_in_size(size: int) -> None:
    found = contenders(PRESETS, 257, 64, size)
    assert mismatch(found) <= TOLERANCE
    assert all(abs(c.parameters[1] / size - 1) < 0.1 for c in found)


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(UsageError, match="Did you mean 'transformer'"):
        contenders(("lstm", "transfomer"), 257, 64, 100_000)


def test_no_name_is_refused() -> None:
    with pytest.raises(UsageError, match="no model"):
        contenders((), 257, 64, 100_000)


def test_a_size_too_small_to_be_matched_is_refused() -> None:
    with pytest.raises(UsageError, match="--size 500"):
        contenders(("transformer",), 257, 64, 500)


def test_a_model_file_keeps_its_own_size(tmp_path: Path) -> None:
    path = tmp_path / "wide.yaml"
    path.write_text(to_yaml(preset("lstm", 999, 64, 50_000)), encoding="utf-8")
    [wide, same] = contenders((str(path), "lstm"), 257, 64, 100_000)
    assert (wide.name, wide.origin, wide.config.vocabulary) == ("wide", "file", 257)
    assert mismatch((wide, same)) > 0.5


def test_a_model_file_has_room_for_what_all_are_trained_on(tmp_path: Path) -> None:
    path = tmp_path / "short.yaml"
    path.write_text(
        "context: 16\nwidth: 16\nlayers: 1\nmixers: [attention]\npositions: learned\n",
        encoding="utf-8",
    )
    [found] = contenders((str(path),), 257, 64, 100_000)
    assert found.config.context == 64


def test_a_run_file_gives_the_model_that_it_describes(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text("preset: gru\nsize: 60000\nmodel: {layers: 1}\n", encoding="utf-8")
    [found] = contenders((str(path),), 257, 64, 100_000)
    assert found.preset == "gru"
    assert found.config.layers == 1


def test_an_encoder_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "encoder.yaml"
    config = ModelConfig(
        kind="encoder", vocabulary=9, context=8, width=8, layers=1, mixers=("attention",)
    )
    path.write_text(to_yaml(config), encoding="utf-8")
    with pytest.raises(UsageError, match="decoder"):
        contenders((str(path),), 257, 64, 100_000)


def test_equal_names_are_told_apart() -> None:
    found = contenders(("lstm", "lstm"), 257, 64, 20_000)
    assert [contender.name for contender in found] == ["lstm", "lstm-2"]


def test_an_empty_directory_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"config\.json"):
        contenders((str(tmp_path),), 257, 64, 20_000)
