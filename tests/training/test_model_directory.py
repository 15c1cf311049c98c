"""What is saved is what is loaded, and a broken directory is told apart, never believed."""

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from small_runs import PRESETS, small_model, small_tokenizer

from phalanx.durable import MANIFEST, DamagedError, StorageError
from phalanx.errors import UsageError
from phalanx.models import Decoder, build, preset
from phalanx.training import model_directory
from phalanx.training.model_directory import Description, read_model, save_model

CPU = torch.device("cpu")


def save(path: Path, name: str = "transformer", **changes: object) -> Decoder:
    tokenizer = small_tokenizer()
    model = small_model(name, tokenizer.vocabulary, **changes).eval()
    training = {"seed": 0, "schedules": {"GRU": "hoisted", "LSTM": "fused"}}
    description = Description(model=model.config, figures={"loss": 1.5}, training=training)
    save_model(path, model, tokenizer, description)
    return model


@pytest.mark.parametrize("name", PRESETS)
def test_loaded_equals_saved(name: str, tmp_path: Path) -> None:
    model = save(tmp_path / "model", name)
    stored = read_model(tmp_path / "model", CPU)
    ids_BT = torch.randint(0, model.config.vocabulary, (2, 16))
    assert torch.equal(stored.model(ids_BT), model(ids_BT))
    assert stored.description.model == model.config
    assert stored.tokenizer.digest == small_tokenizer().digest
    assert not stored.model.training


def test_tables_that_are_not_stored_are_filled(tmp_path: Path) -> None:
    changes = {"positions": "sinusoidal", "attention": {"heads": 2}}
    model = save(tmp_path / "model", "transformer-2017", **changes)
    stored = read_model(tmp_path / "model", CPU)
    buffers = dict(stored.model.named_buffers())
    assert buffers
    for name, buffer in model.named_buffers():
        assert torch.equal(buffers[name], buffer)


def test_the_directory_is_the_one_that_people_know(tmp_path: Path) -> None:
    save(tmp_path / "model")
    names = {path.name for path in (tmp_path / "model").iterdir()}
    assert names == {"config.json", "model.safetensors", "tokenizer.json", "README.md", MANIFEST}
    assert [path.name for path in tmp_path.iterdir()] == ["model"]  # nothing temporary is left
    assert json.loads((tmp_path / "model" / "config.json").read_text())["format"] == 1
    card = (tmp_path / "model" / "README.md").read_text()
    assert "1.5" in card
    assert "| schedules | GRU hoisted, LSTM fused |" in card


def test_a_directory_that_exists_is_never_written_into(tmp_path: Path) -> None:
    save(tmp_path / "model", "lstm")
    with pytest.raises(StorageError, match="exists already"):
        save(tmp_path / "model", "gru")
    assert read_model(tmp_path / "model", CPU).description.model.mixers == ("lstm",)
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_failed_save_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(model_directory, "save_file", full)
    with pytest.raises(StorageError, match=r"No space left on device\. Free some space"):
        save(tmp_path / "model", "gru")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "README.md", MANIFEST])
def test_a_change_of_any_byte_is_seen(name: str, tmp_path: Path) -> None:
    save(tmp_path / "model")
    file = tmp_path / "model" / name
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    with pytest.raises(DamagedError, match=str(file)):
        read_model(tmp_path / "model", CPU)


def test_loading_leaves_torch_s_random_state_alone(tmp_path: Path) -> None:
    save(tmp_path / "model")
    before = torch.get_rng_state()
    read_model(tmp_path / "model", CPU)
    assert torch.equal(torch.get_rng_state(), before)


def edit_config(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    def edit(path: Path) -> None:
        values = json.loads((path / "config.json").read_text())
        change(values)
        (path / "config.json").write_text(json.dumps(values))

    return edit


def edit_weights(change: Callable[[dict[str, torch.Tensor]], object]) -> Callable[[Path], None]:
    def edit(path: Path) -> None:
        tensors = load_file(path / "model.safetensors")
        change(tensors)
        save_file(tensors, path / "model.safetensors")

    return edit


def weights(path: Path) -> bytes:
    return (path / "model.safetensors").read_bytes()


def cut_weights(size: int) -> Callable[[Path], None]:
    def edit(path: Path) -> None:
        write("model.safetensors", weights(path)[:size])(path)

    return edit


def write(name: str, content: bytes) -> Callable[[Path], None]:
    def edit(path: Path) -> None:
        (path / name).write_bytes(content)

    return edit


def huge_header(path: Path) -> None:
    size = 10**12
    header = {"embedding.weight": {"dtype": "F32", "shape": [size], "data_offsets": [0, 4 * size]}}
    text = json.dumps(header).encode()
    (path / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text)


def overlapping(path: Path) -> None:
    file = path / "model.safetensors"
    data = file.read_bytes()
    length = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8 : 8 + length])
    first, second = sorted(name for name in header if name.endswith("query.weight"))[:2]
    header[first]["data_offsets"] = header[second]["data_offsets"]
    text = json.dumps(header).encode()
    file.write_bytes(struct.pack("<Q", len(text)) + text + data[8 + length :])


OTHER = small_tokenizer("abc")
BROKEN: dict[str, tuple[Callable[[Path], object], str]] = {
    "no config": (lambda path: (path / "config.json").unlink(), "No such file"),
    "no weights": (lambda path: (path / "model.safetensors").unlink(), "No such file"),
    "no tokenizer": (lambda path: (path / "tokenizer.json").unlink(), "No tokenizer"),
    "config not JSON": (write("config.json", b'{"format": 1,'), "not JSON"),
    "config not text": (write("config.json", b"\xff\xfe\x00"), "not JSON"),
    "config a list": (write("config.json", b"[]"), "an object"),
    "deep config": (write("config.json", b"[" * 100_000), "not JSON"),
    "later format": (edit_config(lambda c: c.update(format=2)), "format 2 is not known"),
    "no format": (edit_config(lambda c: c.pop("format")), "format None"),
    "unknown key": (edit_config(lambda c: c.update(figure={})), "Did you mean 'figures'"),
    "unknown model key": (edit_config(lambda c: c["model"].update(widht=3)), "mean 'width'"),
    "a width of text": (edit_config(lambda c: c["model"].update(width="wide")), "model.width"),
    "unknown mixer": (edit_config(lambda c: c["model"].update(mixers=["lstn"])), "mean 'lstm'"),
    "heads": (edit_config(lambda c: c["model"].update(width=30)), "multiple of heads"),
    "other width": (edit_config(lambda c: c["model"].update(width=64)), "shape"),
    "too many layers": (edit_config(lambda c: c["model"].update(layers=9000)), "9000"),
    "fewer layers": (edit_config(lambda c: c["model"].update(layers=1)), "besides"),
    "huge tables": (
        edit_config(lambda c: c["model"].update(positions="sinusoidal", context=10**7)),
        "GiB",
    ),
    "other tokenizer": (lambda path: OTHER.save(path), "tokenizer has 5 tokens"),
    "tokenizer not JSON": (write("tokenizer.json", b"{"), "not JSON"),
    "weights empty": (cut_weights(0), "not a whole safetensors file"),
    "weights cut in the header": (cut_weights(50), "not a whole safetensors file"),
    "weights cut in a tensor": (cut_weights(9000), "not a whole safetensors file"),
    "weights too long": (
        lambda path: write("model.safetensors", weights(path) + b"more")(path),
        "announces",
    ),
    "weights that are text": (write("model.safetensors", b"hello world" * 9), "safetensors"),
    "weights announced and absent": (huge_header, "announces"),
    "tensors on top of one another": (overlapping, "safetensors"),
    "a tensor missing": (edit_weights(lambda t: t.pop("embedding.weight")), "lacks embedding"),
    "a tensor too many": (edit_weights(lambda t: t.update(x=torch.ones(1))), "has x besides"),
    "a wrong shape": (
        edit_weights(lambda t: t.update({"embedding.weight": torch.ones(3)})),
        r"embedding.weight is F32 of shape \[3\]",
    ),
    "a wrong dtype": (
        edit_weights(lambda t: t.update({k: v.half() for k, v in t.items()})),
        "is F16",
    ),
}


@pytest.mark.parametrize("defect", BROKEN)
def test_a_broken_directory_is_a_usage_error(defect: str, tmp_path: Path) -> None:
    path = tmp_path / "model"
    save(path)
    read_model(path, CPU)
    (path / MANIFEST).unlink()  # as in a directory that other hands put together
    damage, said = BROKEN[defect]
    damage(path)
    with pytest.raises(UsageError, match=said) as caught:
        read_model(path, CPU)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    "damage", [{"labels": ["a", "b"]}, {"task": "tagging"}, {"labels": None}], ids=str
)
def test_labels_that_do_not_fit_the_model_are_refused(
    damage: dict[str, object], tmp_path: Path
) -> None:
    tokenizer = small_tokenizer()
    config = preset(
        "gru", tokenizer.vocabulary, 8, kind="encoder", width=8, outputs=3, pooling="mean"
    )
    described = Description(task="classification", model=config, labels=("a", "b", "c"))
    save_model(tmp_path / "model", build(config, 0), tokenizer, described)
    assert read_model(tmp_path / "model", CPU).description.labels == ("a", "b", "c")
    file = tmp_path / "model" / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **damage}))
    with pytest.raises(UsageError, match="Expected a label for each output"):
        model_directory.read_description(tmp_path / "model")
