# SPDX-License-Identifier: Apache-2.0
"""`langocc city OUT`: writes the procedural city."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from langocc.errors import ConfigError

if TYPE_CHECKING:
    from langocc.scenes.city.plan import CitySettings

_SETTINGS = (
    *("scenes_train", "scenes_val", "scenes_test", "frames_per_scene"),
    *("image_size", "seed", "version"),
)
"""Options that say what city; the benchmark fixes them."""


@dataclass(frozen=True)
class City:
    """Writes the procedural city: nuScenes tables, images, LiDAR, Occ3D labels, retrieval rows."""

    out: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="OUT")]
    """New or empty folder, or one with the same city half written, which is then finished."""
    benchmark: int | None = None
    """Number of the fixed city that results are given on (1: 400 key frames, images 704 x 396); it
    settles every option below but --workers."""
    scenes_train: int | None = None
    """Scenes to train on; default: 8."""
    scenes_val: int | None = None
    """Scenes to validate on; default: 2."""
    scenes_test: int | None = None
    """Scenes only for the retrieval benchmark; default: 1."""
    frames_per_scene: int | None = None
    """Key frames in a scene, 0.5 s apart; default: 20."""
    image_size: tuple[int, int] | None = None
    """Width and height of the six images, pixels; default: 400 225 (nuScenes' own: 1600 900)."""
    seed: int | None = None
    """Another seed, another city; the same seed, the same bytes; default: 0."""
    version: str | None = None
    """Name of the folder of tables; default: v1.0-mini."""
    workers: int = 0
    """Processes, a scene each; 0 takes all cores, and more where that spares a last, emptier
    round."""

    def settings(self) -> "CitySettings":
        """What city is asked for.

        Raises:
            ConfigError: a number no city can have, or a benchmark with settings of one's own.
        """
        from langocc.scenes.city.benchmark import benchmark_settings
        from langocc.scenes.city.plan import CitySettings

        given = {name: value for name in _SETTINGS if (value := getattr(self, name)) is not None}
        if self.benchmark is not None:
            if given:
                options = ", ".join(f"--{name.replace('_', '-')}" for name in given)
                raise ConfigError(
                    f"benchmark: number {self.benchmark} fixes the city, but {options} was given "
                    "too; leave one of them out"
                )
            return benchmark_settings(self.benchmark)
        if "image_size" in given:
            given["width"], given["height"] = given.pop("image_size")
        return CitySettings(**given)

    def run(self) -> None:
        """Writes the city and says what is there."""
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

        from langocc.scenes.city.write import even_processes, write_city

        if self.workers < 0:
            raise ConfigError(f"workers: expected 0 (all cores) or more, got {self.workers}")
        settings = self.settings()
        workers = self.workers or even_processes(len(settings.scenes()), _cores())
        columns = ("key frames", BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=Console(stderr=True)) as progress:

            def frames_done(frames: int) -> None:
                if not progress.tasks:  # no bar above a refusal
                    progress.add_task("city", total=settings.frames)
                progress.update(progress.task_ids[0], completed=frames)

            write_city(self.out, settings, workers, frames_done)
        print(
            f"{self.out}: {_name(settings)}{settings.frames} key frames in "
            f"{settings.scenes_train} train, {settings.scenes_val} val and "
            f"{settings.scenes_test} test scenes, "
            f"images {settings.width} x {settings.height}, {_size_mb(self.out):.0f} MB"
        )


def _name(settings: "CitySettings") -> str:
    return "" if settings.benchmark is None else f"benchmark {settings.benchmark}, "


def _cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _size_mb(folder: Path) -> float:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6
