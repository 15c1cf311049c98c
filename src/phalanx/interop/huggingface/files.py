"""The weights of a Hugging Face directory: one safetensors file, or several with an index."""

import json
import re
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError, safe_open
from torch import Tensor

from phalanx.errors import UsageError
from phalanx.interop.tensors import broken, few, read_header

WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
LARGEST_INDEX = 2**26  # bytes
DTYPES = ("F32", "F16", "BF16")
_PICKLES = ("pytorch_model*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")
# Norms of the first BERT files have the names of its TensorFlow code.
_OLD_ENDINGS = {"LayerNorm.gamma": "LayerNorm.weight", "LayerNorm.beta": "LayerNorm.bias"}


@dataclass(frozen=True)
class Found:
    """A tensor in a file: nothing of it but its name, its dtype and its shape has been read."""

    file: Path
    name: str
    dtype: str
    shape: tuple[int, ...]


def find_tensors(directory: Path, prefix: str, architecture: str) -> dict[str, Found]:
    """The tensors of a directory by their names without the base model's prefix.

    Args:
        directory: of the model.
        prefix: of the base model.
        architecture: the class of ``transformers``, to say how a pickle is converted.

    Raises:
        UsageError: there are none, in safetensors; a file is malformed, or the index and the files
            do not belong together.
    """
    if (directory / WEIGHTS).is_file():
        files: dict[Path, set[str] | None] = {directory / WEIGHTS: None}
    elif (directory / INDEX).is_file():
        files = {**_shards(directory / INDEX)}
    else:
        raise _no_weights(directory, architecture)
    found: dict[str, Found] = {}
    for file, expected in files.items():
        header = read_header(file)
        if expected is not None and header.keys() != expected:
            different = sorted(header.keys() ^ expected)
            raise UsageError(
                f"{file}: {INDEX} lists other tensors: {few(different)}. Expected those that the "
                "file has. The two do not belong together; copy all files again."
            )
        for name, (dtype, shape) in header.items():
            plain = name.removeprefix(prefix)
            for old, new in _OLD_ENDINGS.items():
                plain = plain.removesuffix(old) + new if plain.endswith(old) else plain
            if plain in found:
                raise UsageError(
                    f"{file}: {name} is {found[plain].name} of {found[plain].file.name} once more. "
                    "Expected every tensor once. Save the model again."
                )
            found[plain] = Found(file, name, dtype, shape)
    return found


class Reader:
    """Reads tensors one after another, so that no more than one is held besides the model's."""

    def __init__(self, found: Mapping[str, Found], stack: ExitStack) -> None:
        self._found, self._stack = found, stack
        self._open: dict[Path, safe_open] = {}

    def __call__(self, name: str) -> Tensor:
        """The tensor of that name.

        Raises:
            UsageError: the file is malformed.
        """
        where = self._found[name]
        try:
            if where.file not in self._open:
                opened = safe_open(where.file, framework="pt")
                self._open[where.file] = self._stack.enter_context(opened)
            tensor: Tensor = self._open[where.file].get_tensor(where.name)
        except (SafetensorError, OSError, ValueError) as error:
            raise broken(where.file, str(error)) from None
        return tensor


def check_tensors(
    found: Mapping[str, Found],
    expected: Mapping[str, tuple[int, ...]],
    repeated: Mapping[str, str],
    ignored: Mapping[str, str],
    source: Path,
) -> tuple[str, ...]:
    """Compare what the files have with what the model of config.json needs.

    Returns:
        What is there and is not used, in words.

    Raises:
        UsageError: a tensor is missing, is one too many, or has another shape or dtype.
    """
    extra = sorted(found.keys() - expected.keys() - repeated.keys())
    unused = {
        name: why
        for name in extra
        for pattern, why in ignored.items()
        if re.fullmatch(pattern, name)
    }
    extra = [name for name in extra if name not in unused]
    missing = sorted(expected.keys() - found.keys())
    if missing or extra:
        parts = [f"they lack {few(missing)}"] * bool(missing)
        parts += [f"they have {few(extra)} besides"] * bool(extra)
        raise UsageError(
            f"{source}: the weights do not fit config.json: {' and '.join(parts)}. Expected the "
            f"{len(expected)} tensors of its model. Copy all files of the directory again."
        )
    shapes = {**{name: expected[first] for name, first in repeated.items()}, **expected}
    for name in sorted(found.keys() & shapes.keys()):
        tensor, shape = found[name], shapes[name]
        if tensor.shape != shape or tensor.dtype not in DTYPES:
            raise UsageError(
                f"{tensor.file}: {tensor.name} is {tensor.dtype} of shape {list(tensor.shape)}. "
                f"Expected {', '.join(DTYPES)} of shape {list(shape)}, for the model of "
                "config.json. The two do not belong together; copy all files again."
            )
    return tuple(dict.fromkeys(unused.values()))


def _shards(index: Path) -> dict[Path, set[str]]:
    """The files of an index, and the tensors that each is to have."""
    try:
        with index.open("rb") as file:
            data = file.read(LARGEST_INDEX + 1)
        if len(data) > LARGEST_INDEX:
            raise ValueError(f"it has more than {LARGEST_INDEX // 2**20} MiB")
        listed = json.loads(data)["weight_map"]
        pairs = [(str(name), str(file)) for name, file in listed.items()]
    except OSError as error:
        raise UsageError(f"{index}: cannot read it: {error.strerror}.") from None
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise UsageError(
            f"{index}: not an index of weights: {error}. Expected JSON with a weight_map. "
            "It may be cut short: copy it again."
        ) from None
    files: dict[Path, set[str]] = {}
    for name, given in pairs:
        if Path(given).name != given or not given.endswith(".safetensors") or "\\" in given:
            raise UsageError(
                f"{index}: {given[:100]!r} is no file of this directory. Expected names such as "
                "model-00001-of-00002.safetensors. Use a copy from a source that you trust."
            )
        files.setdefault(index.parent / given, set()).add(name)
    if not files:
        raise UsageError(f"{index}: it lists no tensors. Expected those of a model. Copy it again.")
    return files


def _no_weights(directory: Path, architecture: str) -> UsageError:
    pickles = sorted(file.name for glob in _PICKLES for file in directory.glob(glob))
    if not pickles:
        return UsageError(
            f"{directory}: no {WEIGHTS}. Expected the weights of the model there, or in parts with "
            f"{INDEX}. Copy the whole directory."
        )
    safe = f"{directory}-safe"
    return UsageError(
        f"{directory}: the weights are a pickle, {pickles[0]}, which may run any program when it "
        f"is read. Expected {WEIGHTS}. If you trust where it comes from, convert it:\n"
        f'  python -c "from transformers import AutoTokenizer as T, {architecture} as M; '
        f"M.from_pretrained({str(directory)!r}).save_pretrained({safe!r}); "
        f'T.from_pretrained({str(directory)!r}).save_pretrained({safe!r})"'
    )
