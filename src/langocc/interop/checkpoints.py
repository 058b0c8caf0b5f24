# SPDX-License-Identifier: Apache-2.0
"""Checkpoint files of other programs, read without running what they contain."""

import _codecs
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from langocc.errors import DataError
from langocc.files import replacing

_scalar = np.float64(0).__reduce__()[0]
_PLAIN_NUMBERS: list[Any] = [
    (_scalar, "numpy.core.multiarray.scalar"),
    (_scalar, "numpy._core.multiarray.scalar"),
    np.dtype,
    *(type(np.dtype(kind)) for kind in ("f8", "f4", "i8", "i4", "?")),
    _codecs.encode,
]
"""NumPy scalars: best scores and the like among a checkpoint's facts. They run nothing."""


def read_torch_file(path: Path) -> Any:  # noqa: ANN401  (whatever the file holds)
    """What a `.pth` or `.safetensors` file holds: tensors, numbers, strings and collections.

    Raises:
        DataError: missing, damaged, or a file that could run code when opened.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        with torch.serialization.safe_globals(_PLAIN_NUMBERS):
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        reason = str(error).splitlines()
        named = next((line.strip() for line in reason if "GLOBAL" in line), reason[0])
        raise DataError(
            f"{path}: refused: expected tensors and plain values, found what would run code, or no "
            f"checkpoint at all: {named}"
        ) from error
    except (SafetensorError, RuntimeError, EOFError, OSError) as error:
        raise DataError(f"{path}: not a whole checkpoint: {str(error).splitlines()[0]}") from error


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """The tensors of a file that is a state dict, or has one under `state_dict` or `model`.

    Raises:
        DataError: as `read_torch_file`, or there is no state dict in it.
    """
    content = read_torch_file(path)
    for name in ("state_dict", "model"):
        if isinstance(content, Mapping) and isinstance(content.get(name), Mapping):
            content = content[name]
            break
    if not isinstance(content, Mapping) or not content:
        raise DataError(f"{path}: expected a state dict, found {type(content).__name__}")
    others = [name for name, value in content.items() if not isinstance(value, Tensor)]
    if others:
        raise DataError(f"{path}: expected tensors alone, found others under {others[:10]}")
    return dict(content)


def write_torch_file(path: Path, content: Mapping[str, Any]) -> None:
    """Writes a `.pth` file, whole or not at all."""
    with replacing(path) as temporary:
        torch.save(dict(content), temporary)
