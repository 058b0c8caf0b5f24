# SPDX-License-Identifier: Apache-2.0
"""Weights in files of others, and a short name for any set of weights."""

import hashlib
import warnings
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from langocc.errors import DataError

LISTED_DIFFERENCES = 10
"""How many differences an error lists."""


def read_state(path: Path) -> Mapping[str, Tensor]:
    """The state dictionary of a checkpoint, of a plain one or of a TorchScript archive.

    Runs no Python code that a file may hold.

    Raises:
        DataError: the file is missing, damaged, or holds something else.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # the format is old, not the call
            return dict(torch.jit.load(str(path), map_location="cpu").state_dict())
    except RuntimeError:
        pass  # not TorchScript
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises several kinds for damaged and for unsafe files
        raise DataError(f"{path}: not a readable checkpoint: {error}") from None
    state = content.get("state_dict", content) if isinstance(content, Mapping) else None
    if not isinstance(state, Mapping) or not all(isinstance(v, Tensor) for v in state.values()):
        raise DataError(f"{path}: expected a state dictionary, found {type(content).__name__}")
    return state


def require_same_entries(
    found: Mapping[str, Tensor], expected: Mapping[str, Tensor], source: str
) -> None:
    """Refuses weights whose names or shapes are not the network's.

    Raises:
        DataError: lists the first ten differences.
    """
    differences = [
        *(f"{name} is missing" for name in expected if name not in found),
        *(f"{name} has no place in this network" for name in found if name not in expected),
        *(
            f"{name}: expected shape {tuple(expected[name].shape)}, found {tuple(value.shape)}"
            for name, value in found.items()
            if name in expected and value.shape != expected[name].shape
        ),
    ]
    if differences:
        listed = "\n  ".join(differences[:LISTED_DIFFERENCES])
        raise DataError(
            f"{source}: {len(differences)} entries differ from the network's, first:\n  {listed}"
        )


def digest_of(state: Mapping[str, Tensor]) -> str:
    """Eight hex digits of weights, by name, in float32: the same in any file format."""
    digest = hashlib.sha256()
    for key, value in sorted(state.items()):
        digest.update(key.encode())
        digest.update(value.detach().float().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:8]
