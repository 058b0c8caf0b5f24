# SPDX-License-Identifier: Apache-2.0
"""Weights in files of others, and a short name for any set of weights."""

import hashlib
import warnings
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from langocc.errors import DataError


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


def digest_of(state: Mapping[str, Tensor]) -> str:
    """Eight hex digits of weights, by name, in float32: the same in any file format."""
    digest = hashlib.sha256()
    for key, value in sorted(state.items()):
        digest.update(key.encode())
        digest.update(value.detach().float().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:8]
