"""The embedded corpus: source text of Python's own standard library, on every machine already.

Its licence (PSF) allows any use, nothing is downloaded, and Python's own tokenizer labels it for
free (python_tags.py). The text differs between Python versions; ``Corpus.digest`` tells which.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path

from phalanx.data.decoding import decode_text
from phalanx.data.documents import Document
from phalanx.data.opening import Source
from phalanx.errors import UsageError

# Ordinary code and prose. Left out on purpose: tables (encodings, html.entities, pydoc_data),
# what versions disagree about having (distutils, lib2to3) and what distributors drop (tkinter).
PACKAGES = (
    "asyncio",
    "collections",
    "concurrent",
    "email",
    "http",
    "importlib",
    "json",
    "logging",
    "multiprocessing",
    "re",
    "tomllib",
    "unittest",
    "urllib",
    "wsgiref",
    "xml",
    "xmlrpc",
)
# One file in some versions and a package in others (pathlib, zipfile) counts either way; a name
# that a version lacks (_pydatetime before 3.12) is passed over.
MODULES = (
    "_pydatetime",
    "abc",
    "argparse",
    "ast",
    "base64",
    "bdb",
    "bisect",
    "calendar",
    "cmd",
    "codecs",
    "configparser",
    "contextlib",
    "copy",
    "csv",
    "dataclasses",
    "datetime",
    "difflib",
    "dis",
    "doctest",
    "enum",
    "fileinput",
    "fnmatch",
    "fractions",
    "ftplib",
    "functools",
    "getopt",
    "gettext",
    "glob",
    "gzip",
    "heapq",
    "imaplib",
    "inspect",
    "ipaddress",
    "locale",
    "mailbox",
    "optparse",
    "os",
    "pathlib",
    "pdb",
    "pickle",
    "platform",
    "plistlib",
    "pprint",
    "queue",
    "random",
    "selectors",
    "shelve",
    "shlex",
    "shutil",
    "smtplib",
    "socket",
    "socketserver",
    "ssl",
    "statistics",
    "string",
    "subprocess",
    "tarfile",
    "tempfile",
    "textwrap",
    "threading",
    "timeit",
    "tokenize",
    "trace",
    "traceback",
    "types",
    "typing",
    "uuid",
    "warnings",
    "wave",
    "weakref",
    "zipfile",
)
SKIPPED_DIRECTORIES = frozenset({"test", "tests", "site-packages", "dist-packages", "__pycache__"})


def stdlib_root() -> Path:
    """Return the directory of the running Python's standard library (in a venv: its base's)."""
    # json, because it is a package of source files, neither built in nor frozen.
    return Path(json.__file__).resolve().parent.parent


def stdlib_sources(root: Path | None = None) -> list[Source]:
    """The files of the embedded corpus, about 6 MB, sorted by name; some hold no text.

    Args:
        root: a standard library to read instead of the running Python's.

    Raises:
        UsageError: there is no source text, as in a Python that ships compiled files alone.
    """
    root = stdlib_root() if root is None else root
    paths = sorted(_source_files(root), key=lambda path: path.relative_to(root).parts)
    if not paths:
        raise UsageError(
            f"No source text of Python's standard library in {root}. Expected files such as "
            "json/decoder.py. Give a text file instead of 'stdlib', or use a Python that "
            "installs its library's source."
        )
    return [Source(path.relative_to(root).as_posix(), path, str(path)) for path in paths]


def stdlib_documents(root: Path | None = None) -> list[Document]:
    """Read the embedded corpus in a fraction of a second.

    Raises:
        UsageError: see ``stdlib_sources``.
    """
    documents = [
        Document(source.name, decode_text(source.path.read_bytes(), source.path))
        for source in stdlib_sources(root)
    ]
    return [document for document in documents if document.text.strip()]


def _source_files(root: Path) -> Iterator[Path]:
    for name in (*PACKAGES, *MODULES):
        module = root / f"{name}.py"
        if module.is_file():
            yield module
        for directory, below, files in os.walk(root / name):
            below[:] = [part for part in below if part not in SKIPPED_DIRECTORIES]
            yield from (Path(directory, file) for file in files if file.endswith(".py"))
