# SPDX-License-Identifier: Apache-2.0
"""Worker processes that render and caption scenes while the network learns."""

import os
import time
from collections.abc import Sequence
from functools import partial
from multiprocessing import get_context
from multiprocessing.pool import AsyncResult

from langocc.teachers.city_clip.views import SceneTask, SceneViews, ViewMaker, make_scene


class Workers:
    """Makes scenes in other processes, in the order of the tasks. A context manager."""

    def __init__(self, tasks: Sequence[SceneTask], processes: int, make_views: ViewMaker) -> None:
        """Starts the processes and hands out all tasks.

        Args:
            tasks: What to make.
            processes: How many at a time.
            make_views: Renders one task; a function of a module, so that processes find it.
        """
        os.environ.setdefault("OMP_NUM_THREADS", "1")  # inherited by the workers
        self._pool = get_context("spawn").Pool(processes)
        make = partial(make_scene, make_views=make_views)
        self._pending: list[tuple[SceneTask, AsyncResult[SceneViews]]] = [
            (task, self._pool.apply_async(make, (task,))) for task in tasks
        ]

    def __enter__(self) -> "Workers":
        """The workers themselves."""
        return self

    def __exit__(self, *_: object) -> None:
        """Ends the processes, whatever they are at."""
        self._pool.terminate()
        self._pool.join()

    def ready(self, wait_s: float = 0.0) -> list[tuple[SceneTask, SceneViews]]:
        """Scenes finished since the last call; one that failed is told and left out.

        Args:
            wait_s: How long to wait for the first, seconds.
        """
        until = time.monotonic() + wait_s
        while not (done := [p for p in self._pending if p[1].ready()]):
            if self.is_done or time.monotonic() >= until:
                return []
            time.sleep(0.05)
        self._pending = [p for p in self._pending if p not in done]
        made = []
        for task, result in done:
            try:
                made.append((task, result.get()))
            except Exception as error:  # whatever went wrong in one scene must not end the training
                print(f"scene {task.seed}/{task.scene_index} failed: {error!r}", flush=True)
        return made

    @property
    def is_done(self) -> bool:
        """Whether nothing more will come."""
        return not self._pending
