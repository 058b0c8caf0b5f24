# SPDX-License-Identifier: Apache-2.0
"""Published checkpoint files: weights, optimizer, facts of the run.

Training writes `{meta, state_dict, optimizer}`, averaging `{state_dict, updates}` beside it.

Source: formats.md section 5.
"""

import json
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from torch import Tensor

from langocc.errors import DataError
from langocc.interop.checkpoints import read_torch_file, write_torch_file
from langocc.interop.checkpoints_optimizer import (
    OptimizerState,
    optimizer_from_published,
    optimizer_to_published,
)

NEXT_TO = {"state_dict", "optimizer", "updates"}
"""Entries of a published file that are not facts of the run."""


@dataclass(frozen=True)
class PublishedFile:
    """A published checkpoint.

    Attributes:
        path: The file.
        state: Weights under their published names.
        optimizer: AdamW's state as published; None: not in the file.
        updates: How often the average was updated; None: not a file of averaged weights.
        facts: All other entries, plain values: `meta` with epoch and iteration, versions, ...
    """

    path: Path
    state: Mapping[str, Tensor]
    optimizer: Mapping[str, Any] | None = None
    updates: int | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def preset(self) -> Literal["full", "reduced", "rgb"]:
        """The network whose heads the weights have."""
        if "reducer.U" in self.state:
            return "reduced"
        return "rgb" if any(name.startswith("rgb_decoder.") for name in self.state) else "full"

    @property
    def iterations(self) -> int:
        """Optimizer steps so far; 0 if the file does not say."""
        return int(self.facts.get("meta", {}).get("iter", 0))

    def optimizer_state(self, parameters: Mapping[str, Tensor]) -> OptimizerState | None:
        """Moments by our names; `parameters` are our network's, in order.

        Raises:
            DataError: they do not fit the network.
        """
        if self.optimizer is None:
            return None
        return optimizer_from_published(self.optimizer, parameters, str(self.path))


def read_published(path: Path) -> PublishedFile:
    """Reads a published checkpoint or a file of averaged weights.

    Raises:
        DataError: missing, damaged, would run code, or has no state dict.
    """
    content = read_torch_file(path)
    if not isinstance(content, Mapping) or not isinstance(content.get("state_dict"), Mapping):
        raise DataError(f"{path}: expected a published checkpoint with a state_dict, found none")
    facts = {name: value for name, value in content.items() if name not in NEXT_TO}
    try:
        facts = json.loads(json.dumps(facts, default=_plain))
    except TypeError as error:
        raise DataError(f"{path}: expected plain facts beside the weights: {error}") from error
    updates = content.get("updates")
    return PublishedFile(
        path,
        content["state_dict"],
        content.get("optimizer"),
        None if updates is None else int(updates),
        facts,
    )


def write_published(
    file: PublishedFile, optimizer: OptimizerState | None, parameters: list[str]
) -> None:
    """Writes a published checkpoint, whole or not at all.

    Args:
        file: Path, weights, updates and facts.
        optimizer: Moments in our terms, instead of `file.optimizer`; None: none.
        parameters: Our parameter names, in order.
    """
    content: dict[str, Any] = dict(file.facts) | {"state_dict": OrderedDict(file.state)}
    if optimizer is not None:
        content["optimizer"] = optimizer_to_published(optimizer, parameters)
    if file.updates is not None:
        content["updates"] = file.updates
    write_torch_file(file.path, content)


def _plain(value: object) -> object:
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"found {type(value).__name__}")
