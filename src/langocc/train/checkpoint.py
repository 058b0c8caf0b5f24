# SPDX-License-Identifier: Apache-2.0
"""Checkpoints: one safetensors file each, whole or not there, with its own checksum.

Layout: tensors `model.<name>`, `average.<name>`, `optimizer.<moment>.<parameter name>`; the
header's entry `langocc` is a JSON object with everything else. By parameter name, because the order
of parameters is an accident of the code.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from langocc.errors import DataError
from langocc.files import replacing
from langocc.train.average import MovingAverage


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint file holds.

    Attributes:
        path: The file.
        metadata: `step`, `updates` of the average, `config`, `provenance`, `sha256` of the tensors.
        model: The trained state.
        average: Its moving average: what is evaluated.
        optimizer: AdamW's moments, `<moment>.<parameter name>`; empty in shipped weights.
    """

    path: Path
    metadata: Mapping[str, Any]
    model: Mapping[str, Tensor]
    average: Mapping[str, Tensor]
    optimizer: Mapping[str, Tensor]


def save_checkpoint(
    path: Path,
    model: nn.Module,
    average: MovingAverage,
    optimizer: torch.optim.Optimizer | None,
    metadata: Mapping[str, Any],
) -> None:
    """Writes a checkpoint to a temporary file and renames it.

    Raises:
        OSError: the disk is full or the folder cannot be written; an older file stays as it was.
    """
    tensors = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
    tensors |= {f"average.{name}": tensor for name, tensor in average.state.items()}
    if optimizer is not None:
        tensors |= {f"optimizer.{k}": v for k, v in _moments(model, optimizer).items()}
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    header = dict(metadata) | {"updates": average.updates, "sha256": checksum(tensors)}
    with replacing(path) as temporary:
        try:
            save_file(tensors, temporary, metadata={"langocc": json.dumps(header)})
        except SafetensorError as error:
            raise OSError(f"{path}: the checkpoint could not be written: {error}") from error


def load_checkpoint(path: Path) -> Checkpoint:
    """Reads and verifies a checkpoint, on the CPU.

    Raises:
        DataError: missing, truncated, damaged, or not one of ours.
    """
    try:
        with safe_open(path, framework="pt") as file:
            header = (file.metadata() or {}).get("langocc")
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such checkpoint") from error
    except (SafetensorError, OSError) as error:
        raise DataError(f"{path}: not a whole safetensors file: {error}") from error
    if header is None:
        raise DataError(f"{path}: expected a langocc checkpoint, found other safetensors")
    metadata = json.loads(header)
    if checksum(tensors) != metadata["sha256"]:
        raise DataError(f"{path}: damaged: the checksum of its tensors differs from the stored one")
    parts: dict[str, dict[str, Tensor]] = {"model": {}, "average": {}, "optimizer": {}}
    for name, tensor in tensors.items():
        part, rest = name.split(".", 1)
        parts[part][rest] = tensor
    return Checkpoint(path, metadata, **parts)


def restore_optimizer(
    model: nn.Module, optimizer: torch.optim.Optimizer, moments: Mapping[str, Tensor]
) -> None:
    """Gives AdamW its stored moments back, matched by parameter name."""
    for name, parameter in model.named_parameters():
        state = {
            key: moments[f"{key}.{name}"].to(parameter.device if key != "step" else "cpu")
            for key in ("exp_avg", "exp_avg_sq", "step")
            if f"{key}.{name}" in moments
        }
        if state:  # a parameter that no gradient has reached yet has none
            optimizer.state[parameter] = state


def newest_checkpoint(folder: Path) -> Path | None:
    """The checkpoint file with the highest step in a folder; temporary files do not count."""
    files = sorted(folder.glob("step-*.safetensors"))
    return files[-1] if files else None


def step_of(path: Path) -> int:
    """Step of a checkpoint file, by its name."""
    return int(path.stem.removeprefix("step-"))


def keep_last(folder: Path, count: int) -> None:
    """Deletes all but the newest `count` checkpoints."""
    for path in sorted(folder.glob("step-*.safetensors"))[:-count]:
        path.unlink()


def _moments(model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    return {
        f"{key}.{name}": value
        for name, parameter in model.named_parameters()
        for key, value in optimizer.state.get(parameter, {}).items()
    }


def checksum(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 over names and bytes of tensors on the CPU."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(name.encode())
        digest.update(tensors[name].reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
