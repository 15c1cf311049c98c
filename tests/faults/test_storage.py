"""A disk that is full, read-only or closed: the last checkpoint stays, and a later run goes on."""

import errno
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from lives import result
from safetensors import SafetensorError
from small_commands import (
    at_step,
    begun,
    checkpoints,
    in_peace,
    newest,
    temporaries,
    train,
    write_text,
)

import phalanx
from phalanx import durable
from phalanx.cli.main import main
from phalanx.training import model_directory, state

Capture = pytest.CaptureFixture[str]


def resume(run: Path) -> int:
    return main(["train", "--resume", str(run)])


def assert_as_left(run: Path, step: int, said: str, about: str) -> None:
    """The run failed in words, and its last checkpoint is whole."""
    assert about in said
    assert "Traceback" not in said
    assert not temporaries(run)
    assert newest(run).name == f"step-{step:08}"
    for path in (run / "checkpoints").iterdir():
        durable.verify(path)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(disk)]
    try:
        done = subprocess.run(mount, capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip("no mount here")
    if done.returncode:
        pytest.skip(f"mounting a tmpfs takes the rights to: {done.stderr.strip()}")
    try:
        yield disk
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def fill(disk: Path, *, leaving: int = 0) -> None:
    """Fill a disk but for so many bytes."""
    free = os.statvfs(disk)
    count = max(0, free.f_bavail * free.f_frsize - leaving)
    with suppress(OSError), (disk / "filler").open("wb", buffering=0) as file:
        file.write(b"\0" * count)


def test_a_full_disk_during_a_save(small_disk: Path, tmp_path: Path, capsys: Capture) -> None:
    write_text(tmp_path)
    expected = in_peace(tmp_path)
    run = small_disk / "run"
    with pytest.MonkeyPatch.context() as patch:
        at_step(patch, 6, lambda: fill(small_disk, leaving=40_000))
        assert train(tmp_path / "text.txt", run) == 1
    said = capsys.readouterr().err
    assert_as_left(run, 5, said, "No space left on device. Free some space")
    assert f"phalanx train --resume {run}" in said
    assert checkpoints(run) == ["step-00000004", "step-00000005"]
    assert resume(run) == 1  # as long as nothing is freed
    assert_as_left(run, 5, capsys.readouterr().err, "No space left on device")
    (small_disk / "filler").unlink()
    assert resume(run) == 0
    assert result(run) == expected


def test_a_full_disk_during_the_record(small_disk: Path, tmp_path: Path, capsys: Capture) -> None:
    write_text(tmp_path)
    changes = {"steps": 90, "train__evaluate_every": 90, "train__checkpoint_every": 45}
    expected = in_peace(tmp_path, **changes)
    run = small_disk / "run"
    with pytest.MonkeyPatch.context() as patch:
        at_step(patch, 47, lambda: fill(small_disk))
        assert train(tmp_path / "text.txt", run, **changes) == 1
    said = capsys.readouterr().err
    assert_as_left(run, 45, said, "metrics.jsonl: cannot be written: No space left on device. Free")
    (small_disk / "filler").unlink()
    assert resume(run) == 0
    assert result(run) == expected


def test_a_file_system_that_is_read_only(small_disk: Path, tmp_path: Path, capsys: Capture) -> None:
    text = write_text(tmp_path)
    expected = in_peace(tmp_path)
    run = Path(shutil.move(begun(tmp_path), small_disk / "run"))
    remount(small_disk, "ro")
    capsys.readouterr()
    assert resume(run) == 1
    assert "The file system is read-only: choose another place" in capsys.readouterr().err
    assert train(text, small_disk / "new") == 2  # before anything is read
    assert f"{small_disk}/new cannot be made" in capsys.readouterr().err
    phalanx.load(run).generate("one", max_new_tokens=1)  # reading needs no right to write
    remount(small_disk, "rw")
    assert not (small_disk / "new").exists()
    assert resume(run) == 0
    assert result(run) == expected


def remount(disk: Path, mode: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{mode}", str(disk)], check=True)


FAILURES = {
    errno.ENOSPC: "No space left on device. Free some space",
    errno.EDQUOT: "Your quota is used up",
    errno.EROFS: "The file system is read-only",
    errno.EACCES: "Change its permissions",
    errno.EIO: "Input/output error",
}


def failing(number: int) -> Callable[..., object]:
    def fail(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    return fail


def full_in_rust(*_: object, **__: object) -> None:
    raise SafetensorError('Error while serializing: I/O error: "No space (os error 28)"')


@pytest.mark.parametrize(
    ("where", "name", "failure", "said"),
    [
        *[(durable, "_write", failing(number), said) for number, said in FAILURES.items()],
        (durable, "_sync", failing(errno.ENOSPC), FAILURES[errno.ENOSPC]),
        (durable, "_sync_directory", failing(errno.EIO), FAILURES[errno.EIO]),
        (durable, "_rename", failing(errno.EACCES), FAILURES[errno.EACCES]),
        (model_directory, "save_file", full_in_rust, FAILURES[errno.ENOSPC]),
        (state, "save_file", full_in_rust, FAILURES[errno.ENOSPC]),
    ],
)
def test_a_save_that_fails(
    where: object,
    name: str,
    failure: Callable[..., object],
    said: str,
    tmp_path: Path,
    capsys: Capture,
) -> None:
    text = write_text(tmp_path)
    expected = in_peace(tmp_path)
    run = tmp_path / "run"
    with pytest.MonkeyPatch.context() as patch:
        at_step(patch, 6, lambda: patch.setattr(where, name, failure))
        assert train(text, run) == 1
    words = capsys.readouterr().err
    assert_as_left(run, 5, words, said)
    assert f"phalanx train --resume {run}" in words
    assert resume(run) == 0
    assert result(run) == expected


def test_a_record_that_cannot_be_written(tmp_path: Path, capsys: Capture) -> None:
    text = write_text(tmp_path)
    expected = in_peace(tmp_path)
    run = tmp_path / "run"
    write = os.write

    def half(file: int, data: bytes) -> int:
        if not data.startswith(b'{"kind"'):
            return failing(errno.ENOSPC)() or 0
        return write(file, data[: len(data) // 2])

    with pytest.MonkeyPatch.context() as patch:
        at_step(patch, 7, lambda: patch.setattr(os, "write", half))
        assert train(text, run) == 1
    about = "metrics.jsonl: cannot be written: No space left on device. Free some space"
    assert_as_left(run, 5, capsys.readouterr().err, about)
    lines = (run / "metrics.jsonl").read_bytes().splitlines(keepends=True)
    assert lines[-1].startswith(b'{"kind": "step", "step": 6,')
    assert lines[-1].endswith(b"}\n")
    assert resume(run) == 0
    assert result(run) == expected


def test_a_place_that_cannot_be_made(tmp_path: Path, capsys: Capture) -> None:
    text = write_text(tmp_path)
    assert train(text, text / "run") == 2
    assert f"{text}/run cannot be made" in capsys.readouterr().err
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "mkdir", failing(errno.EACCES))
        assert train(text, tmp_path / "run") == 1
    assert "Permission denied. Change its permissions" in capsys.readouterr().err
