"""Model directories from anywhere: loaded, or refused in words, in bounded memory.

None of these has a manifest, so it is each reader that has to look. Tokenizers are in
tests/data/test_tokenizers_fuzz.py.
"""

import copy
import json
import struct
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from small_commands import train, write_text

from phalanx.config import LARGEST_FILE
from phalanx.data.tokenizers import train_tokenizer
from phalanx.durable import MANIFEST
from phalanx.errors import UsageError
from phalanx.interop.tensors import read_header, read_weights
from phalanx.models import Decoder, build, preset
from phalanx.training.model_directory import Description, read_model, save_model
from phalanx.training.run import make_trainer, prepare
from phalanx.training.run_directory import read_config
from phalanx.training.state import TENSORS, VALUES, load_state
from phalanx.training.trainer import Trainer

CPU = torch.device("cpu")
WEIGHTS, CONFIG = "model.safetensors", "config.json"
fuzz = settings(
    max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
NUMBERS: list[Any] = [
    *(0, -1, 1, 2, 3, 17, 2**31, 2**63 - 1, 2**63, 2**64, 10**30, 0.5, 1e308, 1e999, -1e999),
    *(float("nan"), True, None, "", "16", "\ud800", [], {}, [[]], {"a": 1}),
]


@pytest.fixture(scope="module", params=["gru", "transformer", "mingru"])
def whole(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model directory as other hands put it together: without a manifest."""
    path = tmp_path_factory.mktemp("models") / "model"
    tokenizer = train_tokenizer("characters", ["one two buckle my shoe"])
    config = preset(request.param, tokenizer.vocabulary, 16, width=16, layers=2)
    model = build(config, 0)
    assert isinstance(model, Decoder)
    save_model(path, model, tokenizer, Description(model=config, figures={"loss": 1.5}))
    (path / MANIFEST).unlink()
    return path


def parts(data: bytes) -> tuple[dict[str, Any], bytes]:
    length = struct.unpack("<Q", data[:8])[0]
    return json.loads(data[8 : 8 + length]), data[8 + length :]


def joined(text: str | bytes, body: bytes = b"") -> bytes:
    data = text.encode() if isinstance(text, str) else text
    return struct.pack("<Q", len(data)) + data + body


def loads_or_refuses(path: Path, name: str, content: bytes, original: bytes) -> str | None:
    """Nothing but a UsageError that names the directory may come out; its words."""
    (path / name).write_bytes(content)
    try:
        read_model(path, CPU)
    except UsageError as error:
        said = str(error)
    else:
        return None
    finally:
        (path / name).write_bytes(original)
    assert str(path) in said
    assert len(said) < 10_000 + len(content)
    return said


@fuzz
@given(data=st.data())
def test_any_part_of_a_header_of_weights_may_be_wrong(whole: Path, data: st.DataObject) -> None:
    original = (whole / WEIGHTS).read_bytes()
    tensors, body = parts(original)
    for _ in range(data.draw(st.integers(1, 2))):
        name = data.draw(st.sampled_from(sorted(tensors)))
        change = data.draw(st.sampled_from(["offset", "shape", "dtype", "drop", "rename", "odd"]))
        odd = data.draw(st.sampled_from(NUMBERS))
        tensor = tensors[name]
        if change == "drop":
            tensors.pop(name)
        elif change == "rename":
            tensors[data.draw(st.text(max_size=4))] = tensors.pop(name)
        elif change == "odd" or not isinstance(tensor, dict) or "shape" not in tensor:
            tensors[name] = odd
        elif change == "dtype":
            tensor["dtype"] = data.draw(st.sampled_from(["F16", "F64", "I64", "BOOL", "F4", odd]))
        elif not isinstance(tensor[key := {"offset": "data_offsets"}.get(change, change)], list):
            tensor[key] = odd
        else:
            values = tensor[key]
            at = data.draw(st.integers(0, max(len(values) - 1, 0)))
            values[at : at + data.draw(st.integers(0, 1))] = [odd]
    if len(tensors) < 2:
        return
    loads_or_refuses(whole, WEIGHTS, joined(json.dumps(tensors), body), original)


@fuzz
@given(data=st.data())
def test_any_byte_of_the_weights_may_be_wrong(whole: Path, data: st.DataObject) -> None:
    original = (whole / WEIGHTS).read_bytes()
    content = bytearray(original)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, min(len(content), 1000) - 1))
        change = data.draw(st.sampled_from(["set", "insert", "delete", "cut"]))
        if change == "set":
            content[at] = data.draw(st.integers(0, 255))
        elif change == "insert":
            content[at:at] = data.draw(st.binary(max_size=4))
        elif change == "delete":
            del content[at : at + data.draw(st.integers(1, 9))]
        else:
            del content[-1 - at :]
        content = content or bytearray(b" ")
    loads_or_refuses(whole, WEIGHTS, bytes(content), original)


def entry(start: int, end: int, *shape: float) -> dict[str, Any]:
    return {"dtype": "F32", "shape": list(shape), "data_offsets": [start, end]}


def header(body: bytes = b"", **tensors: dict[str, Any]) -> bytes:
    return joined(json.dumps(tensors), body)


HEADERS: dict[str, bytes] = {
    "nothing": b"",
    "a length alone": struct.pack("<Q", 0),
    "a length beyond the file": struct.pack("<Q", 2**40) + b"{}",
    "the largest length": struct.pack("<Q", 2**64 - 1) + b"{}",
    "a list": joined("[]"),
    "no JSON": joined("{'a': 1}"),
    "no UTF-8": joined(b'{"\xff\xfe": 1}'),
    "nested deep": joined('{"a":' * 50_000 + "1" + "}" * 50_000),
    "lists nested deep": joined("[" * 100_000),
    "a number of many digits": joined('{"a": ' + "9" * 10_000 + "}"),
    "an infinite offset": joined(
        '{"a": {"dtype": "F32", "shape": [], "data_offsets": [0, 1e999]}}'
    ),
    "an infinite shape": header(b"0000", a=entry(0, 4, float("inf"))),
    "a negative offset": header(a=entry(-4, 0, 1)),
    "a negative shape": header(b"0000", a=entry(0, 4, -1)),
    "an end before the start": header(b"0000", a=entry(8, 4, 1)),
    "a huge shape": header(b"0000", a=entry(0, 4, 2**62, 2**62)),
    "a huge shape without bytes": header(a=entry(0, 0, 0, 2**62)),
    "a hole": header(b"0" * 12, a=entry(0, 4, 1), b=entry(8, 12, 1)),
    "an overlap": header(b"0" * 12, a=entry(0, 8, 2), b=entry(4, 12, 2)),
    "a name twice": joined(
        f'{{"a": {json.dumps(entry(0, 4, 1))}, "a": {json.dumps(entry(4, 8, 1))}}}', b"0" * 8
    ),
    "metadata of numbers": header(b"0000", a=entry(0, 4, 1), __metadata__={"a": 1}),
}


@pytest.mark.parametrize("name", HEADERS)
def test_a_file_of_weights_that_is_none(name: str, whole: Path, tmp_path: Path) -> None:
    original = (whole / WEIGHTS).read_bytes()
    assert loads_or_refuses(whole, WEIGHTS, HEADERS[name], original)
    # Even where just such tensors are expected.
    file = tmp_path / "a.safetensors"
    file.write_bytes(HEADERS[name])
    with pytest.raises(UsageError, match=r"a\.safetensors"):
        read_whatever_is_there(file)


def read_whatever_is_there(file: Path) -> None:
    found = read_header(file)
    fits = {n: all(0 <= d < 2**32 for d in shape) for n, (_, shape) in found.items()}
    shapes = {n: shape if fits[n] else (1,) for n, (_, shape) in found.items()}
    read_weights(file, {n: torch.empty(s, device="meta") for n, s in shapes.items()})


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place inside a JSON value."""
    keys = list(value) if isinstance(value, dict) else range(len(value))
    found = [(*path, key) for key in keys]
    for key in keys:
        if isinstance(value[key], dict | list):
            found += places(value[key], (*path, key))
    return found


def changed(values: Any, data: st.DataObject) -> Any:
    """JSON values with one to three places changed."""
    values = copy.deepcopy(values)
    for _ in range(data.draw(st.integers(1, 3))):
        where = places(values)
        if not where:
            break
        *way, key = data.draw(st.sampled_from(where))
        container = values
        for step in way:
            container = container[step]
        change = data.draw(st.sampled_from(["odd", "odd", "odd", "drop", "rename"]))
        if change == "odd":
            container[key] = copy.deepcopy(data.draw(st.sampled_from(NUMBERS)))
        elif change == "drop" or not isinstance(container, dict):
            del container[key]
        else:
            container[f"{key}x"] = container.pop(key)
    return values


@fuzz
@given(data=st.data())
def test_any_part_of_the_configuration_may_be_wrong(whole: Path, data: st.DataObject) -> None:
    original = (whole / CONFIG).read_bytes()
    values = changed(json.loads(original), data)
    loads_or_refuses(whole, CONFIG, json.dumps(values).encode(), original)


LARGE = 10**30


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("width", 10**6),
        ("layers", 10_000),
        ("vocabulary", 10**7),
        ("outputs", LARGE),
        ("context", 10**7),
        ("feed_forward", {"width": LARGE}),
        ("feed_forward", {"width": 10**17}),
        ("mingru", {"inner": LARGE}),
        ("mingru", {"inner": 10**17}),
        ("mingru", {"chunk": LARGE}),
        ("attention", {"heads": LARGE}),
        ("attention", {"key_value_heads": LARGE}),
        ("attention", {"window": LARGE}),
        ("mixers", ["gru"] * 10_001),
        ("mixers", ["a" * 10_000]),
        ("mixers", ["+" * 10_000]),
    ],
)
def test_absurd_sizes_take_no_memory(key: str, value: object, whole: Path) -> None:
    original = (whole / CONFIG).read_bytes()
    values = json.loads(original)
    values["model"] |= {key: value, "tied": False}
    loads_or_refuses(whole, CONFIG, json.dumps(values).encode(), original)


JSONS: dict[str, bytes] = {
    "nothing": b"",
    "null": b"null",
    "a list": b"[]",
    "a number": b"1e999",
    "no UTF-8": b'{"format": 1, "a": "\xff"}',
    "a surrogate": b'{"format": 1, "\\ud800": 1}',
    "a NUL": b"\0" * 100,
    "nested deep": b'{"a":' * 100_000,
    "a number of many digits": b'{"format": ' + b"9" * 10_000 + b"}",
    "many unknown keys": json.dumps({"format": 1, **{f"k{n}": n for n in range(50_000)}}).encode(),
    "too large": b'{"format": 1, "a": "' + b"x" * LARGEST_FILE + b'"}',
    "a pickle": b"\x80\x04\x95\x00",
}


@pytest.mark.parametrize("name", JSONS)
def test_a_configuration_that_is_none(name: str, whole: Path) -> None:
    original = (whole / CONFIG).read_bytes()
    said = loads_or_refuses(whole, CONFIG, JSONS[name], original)
    assert said
    assert CONFIG in said


def test_what_is_refused_takes_little_memory(whole: Path) -> None:
    """Python's own, in a directory of some kilobytes; the largest takes as much as its file."""
    original = {name: (whole / name).read_bytes() for name in (CONFIG, WEIGHTS)}
    tracemalloc.start()
    try:
        for content in HEADERS.values():
            loads_or_refuses(whole, WEIGHTS, content, original[WEIGHTS])
        for content in (JSONS["too large"], JSONS["nested deep"]):
            loads_or_refuses(whole, CONFIG, content, original[CONFIG])
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2**27


def test_what_belongs_in_a_file_may_be_a_directory_or_lead_nowhere(whole: Path) -> None:
    for name in (CONFIG, WEIGHTS, "tokenizer.json"):
        original = (whole / name).read_bytes()
        (whole / name).unlink()
        for put in (
            lambda file: file.mkdir(),
            lambda file: file.symlink_to("nowhere"),
            lambda file: file.symlink_to(file.name),
            lambda file: file.symlink_to("/dev/null"),
        ):
            put(whole / name)
            with pytest.raises(UsageError, match=str(whole)):
                read_model(whole, CPU)
            (whole / name).rmdir() if name_is_directory(whole / name) else (whole / name).unlink()
        (whole / name).write_bytes(original)
    read_model(whole, CPU)


def name_is_directory(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    assert train(write_text(folder), folder / "run", steps=4) == 0
    return folder / "run"


@pytest.fixture(scope="module")
def trainer(run: Path) -> Trainer:
    return make_trainer(prepare(read_config(run)), say=lambda text: None)


def restore_or_refuse(run: Path, trainer: Trainer, name: str, content: bytes) -> str | None:
    """The same for a trainer's state, past its manifest."""
    path = (run / "last").resolve()
    before = (path / name).read_bytes()
    try:
        (path / name).write_bytes(content)
        load_state(path, trainer)
    except UsageError as error:
        said = str(error)
    else:
        return None
    finally:
        (path / name).write_bytes(before)
    assert str(path / name) in said
    return said


@fuzz
@given(data=st.data())
def test_any_part_of_a_trainer_s_state_may_be_wrong(
    run: Path, trainer: Trainer, data: st.DataObject
) -> None:
    values = json.loads((run / "last" / VALUES).read_text())
    restore_or_refuse(run, trainer, VALUES, json.dumps(changed(values, data)).encode())


@pytest.mark.parametrize("name", JSONS)
def test_a_trainer_s_state_that_is_none(name: str, run: Path, trainer: Trainer) -> None:
    assert restore_or_refuse(run, trainer, VALUES, JSONS[name])


@pytest.mark.parametrize("name", HEADERS)
def test_a_trainer_s_tensors_that_are_none(name: str, run: Path, trainer: Trainer) -> None:
    assert restore_or_refuse(run, trainer, TENSORS, HEADERS[name])
