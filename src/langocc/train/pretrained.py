# SPDX-License-Identifier: Apache-2.0
"""A folder that hands on a model, as Hugging Face lays it out: weights, JSON, a card.

`model.safetensors` holds the averaged weights under the network's own names, `config.json` the
configuration and where the weights come from, `README.md` the same in words.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from langocc.errors import DataError
from langocc.files import replacing
from langocc.train.checkpoint import Checkpoint, checksum

WEIGHTS = "model.safetensors"
CONFIG = "config.json"
CARD = "README.md"
MODEL_TYPE = "langocc"


def is_pretrained(place: Path) -> bool:
    """Whether a folder looks as if it handed on a model."""
    return (place / WEIGHTS).is_file()


def write_pretrained(
    folder: Path,
    weights: Mapping[str, Tensor],
    record: Mapping[str, Any],
    card: str,
    *,
    half: bool = False,
) -> None:
    """Writes the three files, each whole or not at all; the weights last.

    Args:
        folder: Where to; made if it is not there.
        weights: Averaged weights by the network's names.
        record: `config`, `facts`, `step`, `checkpoint`, `software`: what a checkpoint says of
            itself.
        card: Markdown.
        half: Kernels and matrices as float16, where their range allows. Vectors (norms, biases)
            are few bytes, and small numbers count in them: they stay as they are.

    Raises:
        OSError: the disk is full or the folder cannot be written.
    """
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in weights.items()}
    if half:
        tensors = {name: _halved(tensor) for name, tensor in tensors.items()}
    content = {"model_type": MODEL_TYPE, **record, "sha256": checksum(tensors)}
    for name, text in ((CONFIG, json.dumps(content, indent=2) + "\n"), (CARD, card)):
        with replacing(folder / name) as temporary:
            temporary.write_text(text)
    with replacing(folder / WEIGHTS) as temporary:
        save_file(tensors, temporary, metadata={"format": "pt"})


def read_pretrained(folder: Path) -> Checkpoint:
    """Reads and verifies such a folder; its weights stand for the trained ones and their average.

    Raises:
        DataError: a file is missing, damaged, or of another program.
    """
    config, weights = folder / CONFIG, folder / WEIGHTS
    try:
        record = json.loads(config.read_text())
        with safe_open(weights, framework="pt") as file:
            stored = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except FileNotFoundError as error:
        raise DataError(f"{error.filename or weights}: no such file") from error
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise DataError(f"{config}: not JSON: {error}") from error
    except (SafetensorError, OSError) as error:
        raise DataError(f"{weights}: not a whole safetensors file: {error}") from error
    if not isinstance(record, dict) or record.get("model_type") != MODEL_TYPE:
        raise DataError(f"{config}: expected model_type {MODEL_TYPE!r}, found another program's")
    lacking = [name for name in ("config", "facts", "step", "sha256") if name not in record]
    if lacking:
        raise DataError(f"{config}: expected entries {', '.join(lacking)}, found none")
    if checksum(stored) != record["sha256"]:
        raise DataError(f"{weights}: damaged: its checksum differs from the one in {CONFIG}")
    tensors = {n: t.float() if t.dtype == torch.float16 else t for n, t in stored.items()}
    # How often the average was updated is not handed on: nothing goes on from it.
    return Checkpoint(weights, {"updates": None} | record, tensors, tensors, {})


def _halved(tensor: Tensor) -> Tensor:
    """Half floats of a kernel or matrix; itself, where that loses more than halves do in range."""
    if tensor.dtype != torch.float32 or tensor.dim() < 2:
        return tensor
    half = tensor.half()
    # Rounding moves a value in range by 2^-11 of itself at most; overflow and kernels of nothing
    # but tiny values lose more.
    fits = (half.float() - tensor).abs().max() <= 2**-11 * tensor.abs().max()
    return half if bool(fits) else tensor
