# SPDX-License-Identifier: Apache-2.0
"""`langocc city OUT`: writes the procedural city."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from langocc.errors import ConfigError


@dataclass(frozen=True)
class City:
    """Writes the procedural city: nuScenes tables, images, LiDAR, Occ3D labels, retrieval rows."""

    out: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="OUT")]
    """New or empty folder, or one with the same city half written, which is then finished."""
    scenes_train: int = 8
    """Scenes to train on."""
    scenes_val: int = 2
    """Scenes to validate on."""
    scenes_test: int = 1
    """Scenes only for the retrieval benchmark."""
    frames_per_scene: int = 20
    """Key frames in a scene, 0.5 s apart."""
    image_size: tuple[int, int] = (400, 225)
    """Width and height of the six images, pixels (nuScenes' own: 1600 900)."""
    seed: int = 0
    """Another seed, another city; the same seed, the same bytes."""
    workers: int = 0
    """Processes, a scene each; 0 takes all cores."""
    version: str = "v1.0-mini"
    """Name of the folder of tables."""

    def run(self) -> None:
        """Writes the city and says what is there."""
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

        from langocc.scenes.city.plan import CitySettings
        from langocc.scenes.city.write import write_city

        if self.workers < 0:
            raise ConfigError(f"workers: expected 0 (all cores) or more, got {self.workers}")
        settings = CitySettings(
            self.scenes_train,
            self.scenes_val,
            self.scenes_test,
            self.frames_per_scene,
            *self.image_size,
            self.seed,
            self.version,
        )
        workers = self.workers or _cores()
        columns = ("key frames", BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=Console(stderr=True)) as progress:
            task = progress.add_task("city", total=settings.frames)
            write_city(
                self.out,
                settings,
                workers,
                lambda frames: progress.update(task, completed=frames),
            )
        print(
            f"{self.out}: {settings.frames} key frames in {self.scenes_train} train, "
            f"{self.scenes_val} val and {self.scenes_test} test scenes, "
            f"images {settings.width} x {settings.height}, {_size_mb(self.out):.0f} MB"
        )


def _cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _size_mb(folder: Path) -> float:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6
