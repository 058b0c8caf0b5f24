# SPDX-License-Identifier: Apache-2.0
"""`langocc evaluate baselines`: folders of predictions that a model is judged beside."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from langocc.errors import ConfigError
from langocc.teachers.names import TEXT_CLIP


@dataclass(frozen=True)
class Baselines:
    """Writes predictions of the prior, the projected and the oracle teacher, to be evaluated."""

    out: Annotated[Path, tyro.conf.Positional]
    """Folder to write: OUT/{prior, projected-teacher, oracle-teacher}; about 100 MB a frame."""
    root: Path
    """Data root: ROOT/{nuscenes, gts}."""
    split: Literal["train", "val", "test"] = "val"
    """Scenes to answer for; the prior learns from those of train."""
    version: str | None = None
    """Folder of tables, such as v1.0-mini; default: the only one, or v1.0-trainval."""
    work: Path | None = None
    """Folder of the key-frame index; default ROOT/langocc."""
    teacher: str = "city-clip"
    """The teacher: `city-clip`, a CLIP on the hub, a folder, or a checkpoint file."""
    text: str = TEXT_CLIP
    """For a teacher in a checkpoint file: the CLIP (name or folder) that reads its texts."""
    vocabulary: str = "city"
    """Prompts of the classes: city, v1, v2, or a YAML file."""

    def run(self) -> None:
        """Writes them, and says how to evaluate them."""
        from rich.console import Console

        from langocc.comparison import write_baselines
        from langocc.scenes.opening import open_dataset
        from langocc.teachers.load import load_teacher
        from langocc.teachers.text import load_vocabulary

        dataset = open_dataset(self.root, version=self.version, work=self.work)
        if not any(dataset.frames(self.split)):
            raise ConfigError(f"split: {self.root} has no frames in {self.split}")
        teacher, vocabulary = load_teacher(self.teacher, text=self.text), self.vocabulary
        folders = write_baselines(
            self.out, dataset, self.split, teacher, load_vocabulary(vocabulary)
        )
        console = Console(highlight=False, soft_wrap=True)
        for name, folder in folders.items():
            console.print(f"{name}: {folder}", markup=False)
        beside = " ".join(map(str, folders.values()))
        command = f"langocc evaluate all RUN --root {self.root} --split {self.split}"
        console.print(f"beside a model: {command} --beside {beside}", markup=False)
