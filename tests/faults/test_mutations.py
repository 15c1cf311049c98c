"""Checkpoints of a real run with one thing wrong: each is refused by name, none is silent."""

import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from small_commands import begun, newest, write_text

import phalanx
from phalanx.durable import MANIFEST
from phalanx.errors import PhalanxError
from phalanx.training.checkpoints import Checkpoints
from phalanx.training.model_directory import read_model

FILES = {
    "README.md",
    "config.json",
    "manifest.json",
    "model.safetensors",
    "run.yaml",
    "tokenizer.json",
    "training.json",
    "training.safetensors",
}
Mutation = tuple[str, str, Callable[[], object]]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mutations")
    write_text(folder)
    return begun(folder)


def mutations(checkpoint: Path, other: Path, count: int) -> Iterator[Mutation]:
    """(file, what is done to it, doing it), about so many; the same ones each time.

    Each file is removed, emptied, grown, and swapped with that of another checkpoint; the rest are
    flipped bits and truncations at random places of each file, as many of one as of another.
    """
    random_state = random.Random(0)
    for name in sorted(FILES):
        file, data = checkpoint / name, (checkpoint / name).read_bytes()
        strange = (other / name).read_bytes()
        yield name, "removed", file.unlink
        yield name, "emptied", lambda file=file: file.write_bytes(b"")
        yield name, "grown", lambda file=file, data=data: file.write_bytes(data + b"\n")
        if strange != data:
            yield name, "swapped", lambda file=file, data=strange: file.write_bytes(data)
        for number in range(count // len(FILES) - 4):
            place = random_state.randrange(len(data))
            if number % 3:
                flipped = bytearray(data)
                flipped[place] ^= 1 << random_state.randrange(8)
                yield name, f"flipped at {place}", lambda f=file, d=flipped: f.write_bytes(d)
            else:
                yield name, f"cut at {place}", lambda f=file, d=data[:place]: f.write_bytes(d)
    for name in sorted(FILES):  # one more than belong there
        extra = checkpoint / f"{name}.bak"
        yield extra.name, "added", lambda extra=extra: extra.write_bytes(b"")


def assert_refused(what: str, load: Callable[[], object], names: tuple[str, ...]) -> None:
    try:
        load()
    except PhalanxError as error:
        said = str(error)
    else:
        pytest.fail(f"{what}: loaded in silence")
    assert any(f"/{name}: " in said for name in names), (what, said)


@pytest.mark.parametrize("count", [64, pytest.param(1000, marks=pytest.mark.slow)])
def test_every_mutation_of_a_checkpoint_is_refused_by_name(
    count: int, run: Path, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    checkpoint = newest(run)
    other = checkpoint.with_name("step-00000005")
    whole = {name: (checkpoint / name).read_bytes() for name in FILES}
    assert {entry.name for entry in checkpoint.iterdir()} == FILES
    alone = tmp_path / "run"  # a run with this checkpoint alone: refused means an error
    (alone / "checkpoints").mkdir(parents=True)
    done = 0
    for name, how, mutate in mutations(checkpoint, other, count):
        what = f"{name} {how}"
        mutate()
        path = alone / "checkpoints" / checkpoint.name
        shutil.copytree(checkpoint, path)
        # The manifest vouches for the others: it is named, or one of those that it does not fit.
        names = tuple(FILES) if name == MANIFEST else (name,)
        if (name, how) == (MANIFEST, "removed"):
            # As a directory that other hands put together; what it holds is as it was.
            assert read_model(checkpoint, torch.device("cpu"))
        else:
            assert_refused(what, lambda: read_model(checkpoint, torch.device("cpu")), names)
            if done % 10 == 0:
                assert_refused(what, lambda: phalanx.load(run / "last"), names)
        assert_refused(what, Checkpoints(alone, 2).recover, names)
        shutil.rmtree(path)
        for entry in checkpoint.iterdir():
            if entry.name not in FILES:
                entry.unlink()
        (checkpoint / name).write_bytes(whole[name]) if name in FILES else None
        done += 1
    record_property("mutations", done)
    print(f"{done} mutations of {len(FILES)} files, all refused by name")
    assert done >= count
    assert phalanx.load(run / "last")
