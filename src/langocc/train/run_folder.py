# SPDX-License-Identifier: Apache-2.0
"""A run on disk: settings, metrics, checkpoints, predictions, report, and a threshold if found."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from langocc.errors import DataError
from langocc.files import replacing
from langocc.train.checkpoint import Checkpoint, load_checkpoint, newest_checkpoint
from langocc.train.pretrained import is_pretrained, read_pretrained
from langocc.train.shipped import shipped, shipped_folder


@dataclass(frozen=True)
class RunFolder:
    """The folder of one training run."""

    path: Path

    @property
    def checkpoints(self) -> Path:
        """Folder of `step-<n>.safetensors`."""
        return self.path / "checkpoints"

    @property
    def metrics(self) -> Path:
        """One JSON object per logged step."""
        return self.path / "metrics.jsonl"

    @property
    def predictions(self) -> Path:
        """Saved predictions, a folder per split."""
        return self.path / "predictions"

    def checkpoint_path(self, step: int) -> Path:
        """File of the checkpoint after `step` steps."""
        return self.checkpoints / f"step-{step:08d}.safetensors"

    def write_json(self, name: str, value: Mapping[str, Any]) -> None:
        """Writes a JSON file of the folder, whole or not at all."""
        with replacing(self.path / name) as temporary:
            temporary.write_text(json.dumps(value, indent=2) + "\n")

    def log(self, record: Mapping[str, Any]) -> None:
        """Appends a line to the metrics."""
        self.path.mkdir(parents=True, exist_ok=True)
        with open(self.metrics, "a") as file:
            file.write(json.dumps(record) + "\n")

    def forget_after(self, step: int) -> None:
        """Drops metrics of steps after `step`, and a half-written last line: they come again."""
        if not self.metrics.exists():
            return
        kept = []
        for line in self.metrics.read_text().splitlines():
            try:
                if json.loads(line)["step"] <= step:
                    kept.append(line)
            except json.JSONDecodeError:
                break
        with replacing(self.metrics) as temporary:
            temporary.write_text("".join(f"{line}\n" for line in kept))


def find_checkpoint(place: Path) -> Checkpoint:
    """The checkpoint a user named.

    A file, the newest whole one of a run folder, that of a folder that hands on a model, or, where
    nothing lies here under that name, a model of the package.

    Raises:
        DataError: there is none, or the file is damaged.
    """
    if not place.exists():
        if (ours := shipped_folder(str(place))) is not None:
            return read_pretrained(ours)
        known = ", ".join(shipped()) or "none"
        raise DataError(f"{place}: no such run or checkpoint; models of the package: {known}")
    if place.is_file():
        return load_checkpoint(place)
    if is_pretrained(place):
        return read_pretrained(place)
    newest = newest_checkpoint(RunFolder(place).checkpoints)
    if newest is None:
        raise DataError(
            f"{place}: no checkpoint; expected a run folder with checkpoints/step-*.safetensors, "
            "a checkpoint file, or a folder of save_pretrained"
        )
    return load_checkpoint(newest)
