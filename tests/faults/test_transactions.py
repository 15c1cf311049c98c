"""Files and directories are there whole or not at all, whatever step is the last one."""

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
from boundaries import count_boundaries, killed_at

from phalanx import durable
from phalanx.durable import MANIFEST, DamagedError, LockedError, StorageError
from phalanx.errors import PhalanxError
from phalanx.training.checkpoints import BEST, LAST, Checkpoints


def fill(directory: Path, content: bytes = b"weights") -> None:
    durable.write(directory / "model.safetensors", content * 100)
    durable.write(directory / "config.json", b"{}" + content)


def save(run: Path, step: int, *, best: bool = False, keep: int = 2) -> Path:
    content = f"weights of step {step}".encode()
    return Checkpoints(run, keep).save(step, lambda new, _: fill(new, content), best=best)


def names(run: Path) -> list[str]:
    return sorted(entry.name for entry in (run / "checkpoints").iterdir())


def test_what_is_published_is_verified(tmp_path: Path) -> None:
    durable.publish(tmp_path / "new", fill)
    durable.verify(tmp_path / "new")
    assert {f.name for f in (tmp_path / "new").iterdir()} == {
        "model.safetensors",
        "config.json",
        MANIFEST,
    }
    assert [entry.name for entry in tmp_path.iterdir()] == ["new"]


def test_an_existing_directory_is_never_written_into(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    with pytest.raises(StorageError, match="exists already"):
        durable.publish(tmp_path / "there", fill)
    assert not list((tmp_path / "there").iterdir())


@pytest.mark.parametrize("torn", [False, True])
def test_every_boundary_of_a_save_may_be_the_last(tmp_path: Path, torn: bool) -> None:
    rehearsal = tmp_path / "rehearsal"
    rehearsal.mkdir()
    for step in (1, 2):
        save(rehearsal, step, best=step == 1)
    boundaries = count_boundaries(lambda: save(rehearsal, 3, best=True))
    assert boundaries >= 15  # files, directory, rename, links, the old ones
    found = set()
    for boundary in range(boundaries):
        run = tmp_path / f"run-{boundary}"
        run.mkdir()
        for step in (1, 2):
            save(run, step, best=step == 1)
        killed_at(boundary, lambda run=run: save(run, 3, best=True), torn=torn)
        recovered = Checkpoints(run, 2).recover()
        assert recovered.refused == ()
        assert recovered.path is not None
        found.add(recovered.path.name)
        durable.verify(recovered.path)
        for link in (LAST, BEST):
            durable.verify(run / link)  # to the former one or to the new one, never to nothing
        # Going on from there: what was left behind is swept away, and the next save is complete.
        durable.sweep(run)
        durable.sweep(run / "checkpoints")
        assert not [n for n in os.listdir(run) + names(run) if n.startswith(durable.HIDDEN)]
        after = save(run, 4, best=True)
        assert (run / LAST).resolve() == (run / BEST).resolve() == after.resolve()
        assert Checkpoints(run, 2).recover().path == after
    assert found == {"step-00000002", "step-00000003"}


def test_every_boundary_of_a_replaced_file(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    count = count_boundaries(lambda: durable.replace(tmp_path / "other", b"new" * 99))
    for boundary in range(count):
        durable.replace(file, b"old")
        killed_at(boundary, lambda: durable.replace(file, b"new" * 99), torn=True)
        assert file.read_bytes() in (b"old", b"new" * 99)
        durable.sweep(tmp_path)


def mutations(data: bytes, count: int, random_state: random.Random) -> list[bytes]:
    """Files cut short, and files with one flipped bit."""
    found = []
    for number in range(count):
        place = random_state.randrange(len(data))
        flipped = bytearray(data)
        flipped[place] ^= 1 << random_state.randrange(8)
        found.append(data[:place] if number % 2 else bytes(flipped))
    return found


@pytest.mark.parametrize("count", [40, pytest.param(340, marks=pytest.mark.slow)])
def test_every_mutation_of_a_file_is_refused_by_name(tmp_path: Path, count: int) -> None:
    random_state = random.Random(count)
    save(tmp_path, 1)
    path = save(tmp_path, 2)
    for file in sorted(path.iterdir()):
        data = file.read_bytes()
        for changed in mutations(data, count, random_state):
            file.write_bytes(changed)
            with pytest.raises(DamagedError) as caught:
                durable.verify(path)
            assert str(path) in str(caught.value)
            assert file.name in str(caught.value) or file.name == MANIFEST
        file.write_bytes(data)
        durable.verify(path)


def test_a_damaged_checkpoint_is_set_aside_and_the_one_before_is_used(tmp_path: Path) -> None:
    first = save(tmp_path, 1, best=True)
    second = save(tmp_path, 2, best=True)
    (second / "model.safetensors").write_bytes(b"")
    recovered = Checkpoints(tmp_path, 2).recover()
    assert recovered.path == first
    assert "step-00000002" in recovered.refused[0]
    assert "model.safetensors" in recovered.refused[0]
    assert names(tmp_path) == ["damaged-step-00000002", "step-00000001"]
    assert not (tmp_path / BEST).is_symlink()  # rather none than one that leads nowhere
    again = save(tmp_path, 2)
    assert (tmp_path / LAST).resolve() == again.resolve()


def test_no_whole_checkpoint_is_an_error_and_not_a_fresh_start(tmp_path: Path) -> None:
    path = save(tmp_path, 1)
    (path / "config.json").unlink()
    with pytest.raises(PhalanxError, match=r"config\.json: it is missing"):
        Checkpoints(tmp_path, 2).recover()


def test_no_checkpoint_at_all_is_a_fresh_start(tmp_path: Path) -> None:
    assert Checkpoints(tmp_path, 2).recover().path is None


def test_the_newest_and_the_best_stay(tmp_path: Path) -> None:
    for step in range(1, 8):
        save(tmp_path, step, best=step == 3)
    assert names(tmp_path) == ["step-00000003", "step-00000006", "step-00000007"]
    assert (tmp_path / BEST).resolve().name == "step-00000003"


def test_a_step_that_is_saved_again_gets_a_name_of_its_own(tmp_path: Path) -> None:
    assert [save(tmp_path, 5, keep=3).name for _ in range(3)] == [
        "step-00000005",
        "step-00000005-1",
        "step-00000005-2",
    ]
    assert Checkpoints(tmp_path, 3).recover().path == tmp_path / "checkpoints/step-00000005-2"


def test_more_steps_than_eight_digits_stay_in_order(tmp_path: Path) -> None:
    save(tmp_path, 99_999_999)
    assert Checkpoints(tmp_path, 2).recover().path != save(tmp_path, 100_000_000)
    found = Checkpoints(tmp_path, 2).recover().path
    assert found is not None
    assert found.name == "step-100000000"


def test_one_process_at_a_time(tmp_path: Path) -> None:
    lock = tmp_path / ".lock"
    with durable.Lock(lock, "The run x"):
        assert durable.holder(lock) == f"{os.getpid()} on {os.uname().nodename}"
        with pytest.raises(LockedError, match=f"The run x is in use by process {os.getpid()}"):
            durable.Lock(lock, "The run x").__enter__()
    assert durable.holder(lock) is None
    with durable.Lock(lock, "The run x"):
        pass


def test_a_lock_ends_with_its_process(tmp_path: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path; from phalanx import durable\n"
        "durable.Lock(Path(sys.argv[1]), 'x').__enter__(); os.kill(os.getpid(), 9)"
    )
    lock = tmp_path / ".lock"
    assert subprocess.run([sys.executable, "-c", code, str(lock)]).returncode == -9
    with durable.Lock(lock, "x"):
        pass


def test_a_waiting_lock_says_so_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(durable, "_WAIT_SECONDS", 0.0)
    held = durable.Lock(tmp_path / ".lock", "x")
    held.__enter__()
    said = []

    def release() -> None:
        said.append("waiting")
        held.__exit__(None, None, None)

    with durable.Lock(tmp_path / ".lock", "x", on_wait=release):
        assert said == ["waiting"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk_is_said_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = save(tmp_path, 1)

    def full(path: Path, data: bytes) -> None:
        path.write_bytes(b"")
        with Path("/dev/full").open("wb", buffering=0) as device:
            device.write(data)

    monkeypatch.setattr(durable, "_write", full)
    with pytest.raises(StorageError, match=r"No space left on device\. Free some space"):
        save(tmp_path, 2)
    monkeypatch.undo()
    assert names(tmp_path) == [first.name]
    assert Checkpoints(tmp_path, 2).recover().path == first


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (PermissionError(13, "Permission denied"), "Change its permissions"),
        (OSError(30, "Read-only file system"), "The file system is read-only"),
        (OSError(122, "Disk quota exceeded"), "Your quota is used up"),
        (OSError(5, "Input/output error"), "Input/output error. Choose another place"),
    ],
)
def test_other_failures_are_said_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: OSError, said: str
) -> None:
    def fail(*_: object) -> None:
        raise error

    for primitive in ("_write", "_sync", "_rename"):
        with monkeypatch.context() as patch:
            patch.setattr(durable, primitive, fail)
            with pytest.raises(StorageError, match=said):
                durable.publish(tmp_path / "x", fill)
        assert not list(tmp_path.iterdir())


def test_a_manifest_is_data(tmp_path: Path) -> None:
    durable.publish(tmp_path / "x", fill)
    manifest = tmp_path / "x" / MANIFEST
    good = json.loads(manifest.read_text())
    for content in (
        "",
        "[]",
        "null",
        "{}",
        '{"files": 5}',
        '{"files": {"a": 1}}',
        "[" * 100_000,
        json.dumps(good),  # the same, spelt otherwise
        json.dumps({**good, "files": {}}, indent=1, sort_keys=True) + "\n",
    ):
        manifest.write_text(content)
        with pytest.raises(DamagedError, match=MANIFEST):
            durable.verify(tmp_path / "x")
