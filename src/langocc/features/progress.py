# SPDX-License-Identifier: Apache-2.0
"""A progress line on the error stream: done of total, speed, time left."""

import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

LOOK_S = 2.0
"""Seconds between looks at what other processes have finished."""


class _Speed(ProgressColumn):
    """Units per second."""

    def __init__(self, unit: str) -> None:
        super().__init__()
        self._unit = unit

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:.1f} {self._unit}/s")


@contextmanager
def scene_progress(title: str, total: int, unit: str) -> Iterator[Callable[[int], None]]:
    """A function that advances the line by a number of units."""
    with _line(title, unit) as progress:
        task = progress.add_task(title, total=total)

        def advance(units: int) -> None:
            progress.update(task, advance=units)

        yield advance


@contextmanager
def shared_progress(
    title: str,
    images: Mapping[str, int],
    own: Collection[str],
    is_finished: Callable[[str], bool],
) -> Iterator[Callable[[int], None]]:
    """A function that advances the line by images done here; the line is over all processes.

    Args:
        title: What is made.
        images: Images of every scene that is to be done, by whichever process.
        own: Scenes of this process, whose images are told one by one.
        is_finished: Whether a scene is done; asked for the scenes of other processes.
    """
    others = [scene for scene in images if scene not in set(own)]
    done, looked = 0, time.monotonic()
    with _line(title, "images") as progress:
        task = progress.add_task(title, total=sum(images.values()))

        def advance(units: int) -> None:
            nonlocal done, looked
            done += units
            if others and time.monotonic() - looked >= LOOK_S:
                looked = time.monotonic()
                for scene in [scene for scene in others if is_finished(scene)]:
                    others.remove(scene)
                    done += images[scene]
            progress.update(task, completed=done)

        yield advance


def _line(title: str, unit: str) -> Progress:
    return Progress(
        TextColumn(title),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(unit),
        _Speed(unit),
        TimeRemainingColumn(),
        console=Console(file=sys.stderr),
        speed_estimate_period=300,
    )
