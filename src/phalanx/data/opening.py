"""Files as blocks of bytes: plain or gzip, streamed; what holds no text is refused by name."""

import gzip
import os
import shutil
import stat
import tempfile
import weakref
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from phalanx.errors import UsageError

BLOCK = 1 << 20  # bytes read at a time

# How to get at what is inside. A name ends in one of these, or a file begins with its bytes.
_UNPACK = {
    ".zip": "unzip",
    ".tar": "tar -xf",
    ".tar.gz": "tar -xzf",
    ".tgz": "tar -xzf",
    ".bz2": "bunzip2 -k",
    ".xz": "unxz -k",
    ".zst": "unzstd",
    ".7z": "7z x",
    ".rar": "unrar x",
}
_BEGINNINGS = {
    b"PK\x03\x04": "a ZIP archive (as .zip, .npz, .docx and .pt files are)",
    b"\x1f\x8b": "gzip data; let its name end in .gz",
    b"BZh91AY": "bzip2 data; unpack it first: bunzip2 -k",
    b"\xfd7zXZ\x00": "xz data; unpack it first: unxz -k",
    b"\x28\xb5\x2f\xfd": "Zstandard data; unpack it first: unzstd",
    b"PAR1\x15": "Parquet; let its name end in .parquet",
    b"\x93NUMPY": "a NumPy array",
    b"\x80\x02": "a Python pickle",
    b"\x80\x04": "a Python pickle",
    b"%PDF-": "a PDF; extract its text first: pdftotext",
    b"\x89PNG": "a picture",
    b"\xff\xd8\xff": "a picture",
    b"\x7fELF": "a program",
    b"SQLite format 3\x00": "a database",
}
_TAR_PLACE, _TAR_MARK = 257, b"ustar"
_MANY_NULS = 32  # so many in a file's beginning, and a tenth of it, is no text


@dataclass(frozen=True)
class Source:
    """A file to read.

    Args:
        name: relative to what was asked for, with ``/`` between parts; decides sides of a split.
        path: what is opened.
        shown: the file as its user knows it; its ending says which format it has.
    """

    name: str
    path: Path
    shown: str

    @property
    def stamp(self) -> tuple[int, int, int]:
        """What changes when the file does: size, time of writing, identity.

        Raises:
            UsageError: the file is missing or cannot be read.
        """
        try:
            found = self.path.stat()
        except OSError as error:
            raise _unreadable(self.shown, error) from None
        return found.st_size, found.st_mtime_ns, found.st_ino


def blocks(source: Source) -> Iterator[bytes]:
    """Yield a file's bytes, decompressed where its name ends in .gz.

    Raises:
        UsageError: the file is missing or unreadable, an archive, damaged gzip, or no text.
    """
    refuse_archive(source.shown)
    packed = source.shown.lower().endswith(".gz")
    try:
        with cast(BinaryIO, gzip.open(source.path) if packed else source.path.open("rb")) as file:
            first = True
            while block := file.read(BLOCK):
                if first:
                    _refuse_binary(block, source.shown)
                first = False
                yield block
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise UsageError(
            f"{source.shown} is not whole gzip data: {error}. Expected what its name says. "
            f"Check it with gzip -t, and fetch it again."
        ) from None
    except OSError as error:
        raise _unreadable(source.shown, error) from None


def refuse_archive(shown: str) -> None:
    """Refuse a name that ends as an archive's does.

    Raises:
        UsageError: with the command that unpacks it.
    """
    for ending, command in _UNPACK.items():
        if shown.lower().endswith(ending):
            raise UsageError(
                f"{shown} is an archive ({ending}), which is not read. Expected text, JSONL, CSV, "
                f"TSV or Parquet, plain or as .gz. Unpack it first: {command} {shown}"
            )


def spooled(source: Source) -> Source:
    """The same source, or a temporary copy of a pipe, which could be read but once.

    The copy goes when the returned source does.

    Raises:
        UsageError: the source is missing, unreadable or a device, or there is no room for the copy.
    """
    try:
        mode = source.path.stat().st_mode
        if stat.S_ISREG(mode):
            return source
        if stat.S_ISBLK(mode) or stat.S_ISCHR(mode):
            raise UsageError(
                f"{source.shown} is a device, which may have no end. Expected a file or a pipe. "
                "Copy what you need of it into a file."
            )
        number, copy = tempfile.mkstemp(prefix="phalanx-")
        kept = Source(source.name, Path(copy), source.shown)
        weakref.finalize(kept, Path(copy).unlink, missing_ok=True)
        with open(number, "wb") as target, source.path.open("rb") as pipe:
            shutil.copyfileobj(pipe, target, BLOCK)
    except OSError as error:
        raise _unreadable(source.shown, error) from None
    return kept


def _refuse_binary(block: bytes, shown: str) -> None:
    found = next((what for mark, what in _BEGINNINGS.items() if block.startswith(mark)), None)
    if found is None and block.startswith(_TAR_MARK, _TAR_PLACE):
        found = "a tar archive; unpack it first: tar -xf"
    nuls, head = block.count(0, 0, 1 << 16), min(len(block), 1 << 16)
    if found is None and nuls >= _MANY_NULS and 10 * nuls > head and not _marked_utf16(block):
        found = f"binary data, or UTF-16: {nuls:,} of its first {head:,} bytes are NUL"
    if found is not None:
        raise UsageError(
            f"{shown} holds no text but {found}. Expected UTF-8 text, JSONL, CSV, TSV or Parquet. "
            "Give another file."
        )


def _marked_utf16(block: bytes) -> bool:
    return block.startswith((b"\xff\xfe", b"\xfe\xff"))  # the decoder has better words for it


def _unreadable(shown: str, error: OSError) -> UsageError:
    if isinstance(error, FileNotFoundError):
        return UsageError(
            f"No such file: {shown}. Expected a text file, a directory, a glob or 'stdlib'. "
            f"Check the path (the current directory is {os.getcwd()})."
        )
    return UsageError(
        f"Cannot read {shown}: {error.strerror}. Expected a readable file. Check its permissions."
    )
