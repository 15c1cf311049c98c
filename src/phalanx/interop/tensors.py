"""Reading a safetensors file that somebody else wrote: nothing is believed before it is checked."""

import json
import struct
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from phalanx.errors import UsageError

LONGEST_HEADER = 100 * 2**20  # the limit of the safetensors library
_DTYPES = {"F64": torch.float64, "F32": torch.float32, "BF16": torch.bfloat16, "F16": torch.float16}


def read_header(path: Path) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Names, dtypes and shapes in a safetensors file, without reading or allocating any tensor.

    Raises:
        UsageError: the file is missing, is no safetensors file, or is shorter than it says.
    """
    try:
        with path.open("rb") as file:
            size = path.stat().st_size
            start = file.read(8)
            length = struct.unpack("<Q", start)[0] if len(start) == 8 else size
            if length > min(size - 8, LONGEST_HEADER):
                raise broken(path, "it ends within its own header")
            header = json.loads(file.read(length))
        tensors = {name: item for name, item in header.items() if name != "__metadata__"}
        found = {n: (str(t["dtype"]), tuple(map(int, t["shape"]))) for n, t in tensors.items()}
        end = max((int(item["data_offsets"][1]) for item in tensors.values()), default=0)
    except OSError as error:
        raise UsageError(
            f"{path}: cannot read the weights: {error.strerror}. Expected the model.safetensors of "
            "a model directory."
        ) from None
    except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError):
        raise broken(path, "its header is not that of a safetensors file") from None
    if 8 + length + end != size:
        raise broken(path, f"it has {size} bytes and announces {8 + length + end}")
    return found


def read_weights(
    path: Path, expected: Mapping[str, torch.Tensor], of: str = "the model in config.json"
) -> dict[str, torch.Tensor]:
    """The tensors of a file, which must be exactly those expected.

    Args:
        path: the safetensors file.
        expected: what is needed; only shapes and dtypes are looked at (meta tensors will do).
        of: whose tensors they are, for the errors.

    Raises:
        UsageError: see ``read_header``; or a tensor is missing, is one too many, or has another
            shape or dtype; all found before any is allocated.
    """
    found = read_header(path)
    missing, extra = sorted(expected.keys() - found), sorted(found.keys() - expected.keys())
    if missing or extra:
        parts = [f"it lacks {few(missing)}"] * bool(missing)
        parts += [f"it has {few(extra)} besides"] * bool(extra)
        raise UsageError(
            f"{path}: {' and '.join(parts)}. Expected the {len(expected)} tensors of {of}. The "
            "two do not belong together; copy all files of the directory again."
        )
    for name, (dtype, shape) in found.items():
        wanted = expected[name]
        if shape != tuple(wanted.shape) or _DTYPES.get(dtype) != wanted.dtype:
            raise UsageError(
                f"{path}: {name} is {dtype} of shape {list(shape)}. Expected {wanted.dtype} of "
                f"shape {list(wanted.shape)}, for {of}. The two do not belong together; copy all "
                "files of the directory again."
            )
    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise broken(path, str(error)) from None


def broken(path: Path, why: str) -> UsageError:
    """The error for a file that is no whole safetensors file."""
    return UsageError(
        f"{path}: not a whole safetensors file: {why}. Expected the weights of a model. "
        "It may be cut short: copy it again."
    )


def few(names: list[str]) -> str:
    """The first names of a list, and how many more there are."""
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
