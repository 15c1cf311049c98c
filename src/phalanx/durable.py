"""Files and directories that are there whole or not at all, at whatever moment the machine stops.

The order is always the same: write under a hidden name, fsync what was written, rename, fsync the
directory that holds the name. A rename is the one step that a file system makes all at once; a file
without fsync may be empty behind it after a crash. A directory carries a manifest, SHA-256 and size
of each file, because no format of tensors notices a flipped bit.
"""

import errno
import fcntl
import hashlib
import json
import os
import shutil
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from safetensors import SafetensorError

from phalanx.errors import PhalanxError

MANIFEST = "manifest.json"
HIDDEN = ".tmp-"
_BLOCK = 2**20
_LARGEST_MANIFEST = 2**24
_WAIT_SECONDS = 1.0
_REMEDIES = {
    errno.ENOSPC: "Free some space, or choose a place on another disk.",
    errno.EDQUOT: "Your quota is used up: delete something, or choose another place.",
    errno.EROFS: "The file system is read-only: choose another place.",
    errno.EACCES: "Change its permissions, or choose another place.",
    errno.EPERM: "Change its permissions, or choose another place.",
    errno.EISDIR: "A directory stands where a file or a link belongs, as copying with links "
    "followed makes one: delete it.",
}


class StorageError(PhalanxError):
    """Something could not be written; what was there before is as it was."""


class DamagedError(PhalanxError):
    """A directory is not what its manifest says."""


class LockedError(PhalanxError):
    """Another process is at work on the same thing."""


def write(path: Path, data: bytes) -> None:
    """Write a new file and make it last.

    Raises:
        StorageError: it exists already, or cannot be written.
    """
    with _explained(path):
        _write(path, data)
        _sync(path)


def replace(path: Path, data: bytes) -> None:
    """Write a file, new or over the one that is there: a reader sees the former or the new one.

    Raises:
        StorageError: it cannot be written; the former one is untouched.
    """
    temporary = _beside(path)
    with _explained(path):
        try:
            _write(temporary, data)
            _sync(temporary)
            _rename(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        _sync_directory(path.parent)


def publish(path: Path, fill: Callable[[Path], None]) -> None:
    """Make a directory all at once: filled under a hidden name, sealed with a manifest, renamed.

    Args:
        path: the new directory; its parent exists.
        fill: writes the files, directly into the directory that it is given.

    Raises:
        StorageError: ``path`` exists, or something cannot be written; nothing is left of it.
    """
    temporary = _beside(path)
    with _explained(path):
        if os.path.lexists(path):
            raise FileExistsError(errno.EEXIST, "it exists already", str(path))
        try:
            temporary.mkdir()
            fill(temporary)
            seal(temporary)
            _sync_directory(temporary)
            _rename(temporary, path)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
        _sync_directory(path.parent)


def seal(directory: Path) -> None:
    """Fsync the files of a directory and write its manifest; all get the permissions of that."""
    files = {}
    for file in sorted(directory.iterdir()):
        _sync(file)
        files[file.name] = {"bytes": file.stat().st_size, "sha256": _digest(file)}
    _write(directory / MANIFEST, _manifest(files))
    _sync(directory / MANIFEST)
    for name in files:  # the safetensors library writes for the owner's eyes alone
        shutil.copymode(directory / MANIFEST, directory / name)


def verify(directory: Path) -> None:
    """Check every byte of a directory against its manifest.

    Raises:
        DamagedError: names the file that is missing, one too many, unreadable, of another size or
            of other content; or the manifest itself.
    """
    files = _read_manifest(directory)
    found = {entry.name for entry in directory.iterdir()} - {MANIFEST}
    for name in sorted(files.keys() | found):
        file = directory / name
        if name not in found:
            raise _damaged(file, "it is missing")
        if name not in files:
            raise _damaged(file, f"{MANIFEST} does not know it")
        try:
            size = file.stat().st_size
            if size != files[name]["bytes"]:
                raise _damaged(file, f"it has {size} bytes instead of {files[name]['bytes']}")
            if _digest(file) != files[name]["sha256"]:
                raise _damaged(file, "its content has changed (SHA-256)")
        except OSError as error:  # a bad sector, for one
            raise _damaged(file, (error.strerror or "it cannot be read").lower()) from None


def point(link: Path, target: str) -> None:
    """Let a symbolic link point to ``target``, which is relative to it; never to nothing between.

    Raises:
        StorageError: the link cannot be made.
    """
    temporary = _beside(link)
    with _explained(link):
        try:
            temporary.symlink_to(target, target_is_directory=True)
            _rename(temporary, link)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        _sync_directory(link.parent)


def remove(directory: Path) -> None:
    """Delete a directory; one that is half deleted no longer bears its name."""
    temporary = _beside(directory)
    with _explained(directory):
        _rename(directory, temporary)
        shutil.rmtree(temporary)


def sweep(parent: Path, name: str = "*") -> None:
    """Delete what processes that were killed left of ``name``. Only for who holds a lock on it."""
    for entry in parent.glob(f"{HIDDEN}*-{name}"):
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry, ignore_errors=True)
        else:
            entry.unlink(missing_ok=True)


class Lock:
    """An advisory lock on a file, which ends with the process that holds it, however it ends.

    Args:
        path: the lock file; made where it is missing, and left behind.
        what: what is locked, for the message.
        on_wait: None: refuse at once when another holds it; otherwise wait for the other's end,
            and call this once if that takes longer than a second.
    """

    def __init__(self, path: Path, what: str, on_wait: Callable[[], None] | None = None) -> None:
        self._path, self._what, self._on_wait = path, what, on_wait
        self._file = -1

    def __enter__(self) -> Self:
        with _explained(self._path):
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            self._acquire()
        except BaseException:
            os.close(self._file)
            raise
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, f"{os.getpid()} {socket.gethostname()}\n".encode(), 0)
        return self

    def _acquire(self) -> None:
        give_up = time.monotonic() + _WAIT_SECONDS
        while True:
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if self._on_wait is None:
                    raise in_use(self._what, holder(self._path) or "?") from None
            if time.monotonic() < give_up:
                time.sleep(0.05)
                continue
            self._on_wait()
            fcntl.flock(self._file, fcntl.LOCK_EX)
            return

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        os.close(self._file)


def holder(lock: Path) -> str | None:
    """Who holds a lock, as ``1234 on host``; None when nobody does or there is no such file."""
    try:
        with lock.open("r+b") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                process, _, host = file.read(300).decode("utf-8", "replace").strip().partition(" ")
                return f"{process} on {host}" if host else "?"
    except OSError:
        return None
    return None


def in_use(what: str, process: str) -> LockedError:
    """The error for something that another process holds."""
    return LockedError(
        f"{what} is in use by process {process}. Expected nobody else at work on it. Wait for its "
        "end, or choose another place."
    )


def storage_error(path: Path, error: OSError | SafetensorError) -> StorageError:
    """A failed write in words, with what to do about it."""
    number = error.errno if isinstance(error, OSError) else _number_in(str(error))
    reason = os.strerror(number) if number else str(error)
    if isinstance(error, FileExistsError):
        reason = "it exists already"
    remedy = _REMEDIES.get(number or 0, "Choose another place.")
    return StorageError(f"{path}: cannot be written: {reason}. {remedy}")


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, SafetensorError) as error:
        raise storage_error(path, error) from error


def _number_in(text: str) -> int | None:
    """The number that the safetensors library puts into its words: ``(os error 28)``."""
    _, found, rest = text.rpartition("(os error ")
    digits = rest.partition(")")[0]
    return int(digits) if found and digits.isdigit() else None


def _beside(path: Path) -> Path:
    return path.with_name(f"{HIDDEN}{os.getpid()}-{path.name}")


# The boundaries of a transaction: every one of these may be the last thing that happens.


def _write(path: Path, data: bytes) -> None:
    with path.open("xb") as file:
        file.write(data)


def _sync(path: Path) -> None:
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def _sync_directory(path: Path) -> None:
    _sync(path)


def _rename(old: Path, new: Path) -> None:
    os.replace(old, new)


def _digest(file: Path) -> str:
    digest = hashlib.sha256()
    with file.open("rb") as content:
        while block := content.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _manifest(files: dict[str, Any]) -> bytes:
    """A manifest that vouches for itself too; one content has one spelling."""
    body = {"format": 1, "files": files}
    own = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
    return (json.dumps({**body, "sha256": own}, sort_keys=True, indent=1) + "\n").encode()


def _read_manifest(directory: Path) -> dict[str, Any]:
    file = directory / MANIFEST
    try:
        with file.open("rb") as opened:
            data = opened.read(_LARGEST_MANIFEST)
    except OSError as error:
        raise _damaged(file, (error.strerror or "it cannot be read").lower()) from None
    try:
        files = json.loads(data)["files"]
        genuine = data == _manifest(files)
        sound = all(
            isinstance(f["bytes"], int) and isinstance(f["sha256"], str) for f in files.values()
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        genuine = sound = False
    if not (genuine and sound):
        raise _damaged(file, "it is not as it was written")
    checked: dict[str, Any] = files
    return checked


def _damaged(file: Path, why: str) -> DamagedError:
    return DamagedError(
        f"{file}: {why}. Expected the directory as it was written. Copy it again, or use another."
    )
