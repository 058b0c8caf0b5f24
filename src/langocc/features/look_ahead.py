# SPDX-License-Identifier: Apache-2.0
"""Takes frames through the teacher ahead of whoever writes them, from one scene into the next.

Three things happen at once: threads read the frames to come, the device works on the next ones,
and the caller encodes and writes the one it took. One thread gives the device its work and takes
the results, each frame's apart from those behind it, so nothing depends on who was faster.
"""

from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch

from langocc.errors import DataError
from langocc.features.pixels import PixelRays
from langocc.features.reading import ReadFrame
from langocc.features.targets import FrameTargets, Look, SkyRule, look, settled
from langocc.scenes.frame import Frame
from langocc.teachers.teacher import Teacher

READ_AHEAD = 3
"""Frames that are being read (26 MB each in nuScenes)."""
LOOK_AHEAD = 2
"""Frames that the device has been given, or has done, besides the one just taken."""


@dataclass(frozen=True)
class Planned:
    """A frame to look at, its scene and number there, and how to get its rays."""

    scene: str
    index: int
    frame: Frame
    rays: Callable[[], PixelRays]


class LookAhead:
    """Frames in the order of a plan, looked at one after the other, each once."""

    def __init__(
        self,
        plan: Iterable[Planned],
        teacher: Teacher | None,
        sky: SkyRule | None,
        device: torch.device,
        pool: ThreadPoolExecutor,
    ) -> None:
        """Starts nothing yet; `device` is the teacher's, `pool` reads."""
        self._plan, self._teacher, self._device, self._pool = iter(plan), teacher, device, pool
        self._sky = None if sky is None else sky.to(device)
        self._lane = _Lane(device)
        self._dropped: set[str] = set()
        self._reading: deque[tuple[Planned, ReadFrame | DataError]] = deque()
        self._looked: deque[tuple[Planned, _Looked | DataError]] = deque()

    def take(self, scene: str) -> tuple[int, FrameTargets]:
        """Number and targets of the plan's next frame, which must be of this scene.

        Raises:
            DataError: its rays or images are missing or damaged.
        """
        self._fill()
        planned, looked = self._looked.popleft()
        if planned.scene != scene:
            raise ValueError(f"take: expected scene {planned.scene}, got {scene}")
        if isinstance(looked, DataError):
            raise looked
        self._lane.wait(looked)
        return planned.index, settled(looked.read.rays, looked.read.rgb, looked.look)

    def drop(self, scene: str) -> None:
        """Leaves out what is left of a scene."""
        self._dropped.add(scene)
        self._reading = deque(entry for entry in self._reading if entry[0].scene != scene)
        self._looked = deque(entry for entry in self._looked if entry[0].scene != scene)

    def _fill(self) -> None:
        """Starts reading and looking, up to the bounds."""
        while len(self._looked) <= LOOK_AHEAD:
            self._start_reading()
            if not self._reading:
                return
            planned, read = self._reading.popleft()
            self._looked.append((planned, self._look(read)))
        self._start_reading()

    def _start_reading(self) -> None:
        while len(self._reading) < READ_AHEAD and (planned := self._next()):
            try:
                pinned = self._device.type == "cuda"
                read = ReadFrame(planned.frame, planned.rays(), self._pool, pinned)
            except DataError as error:  # told when its scene's turn has come
                read = error
            self._reading.append((planned, read))

    def _next(self) -> Planned | None:
        return next((p for p in self._plan if p.scene not in self._dropped), None)

    def _look(self, read: ReadFrame | DataError) -> "_Looked | DataError":
        if isinstance(read, DataError):
            return read
        try:
            read.wait()
        except DataError as error:
            return error
        with self._lane.given():
            seen = look(read, self._teacher, self._sky, self._device)
            return _Looked(read, seen, self._lane.mark())


@dataclass(frozen=True)
class _Looked:
    """A frame that the device has been given; `done` says when it is through (None: it is)."""

    read: ReadFrame
    look: Look
    done: torch.cuda.Event | None


class _Lane:
    """The teacher's own stream of a GPU, so that taking a frame does not wait for those behind it.

    On a processor all is done at once and there is nothing to wait for.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None
        if self._stream is not None:  # the teacher's weights may still be on their way
            self._stream.wait_stream(torch.cuda.current_stream(device))

    def given(self) -> AbstractContextManager[object]:
        """What is called inside goes to the teacher's stream."""
        return nullcontext() if self._stream is None else torch.cuda.stream(self._stream)

    def mark(self) -> torch.cuda.Event | None:
        """When all that was given so far is done."""
        if self._stream is None:
            return None
        event = torch.cuda.Event()
        event.record(self._stream)
        return event

    def wait(self, looked: _Looked) -> None:
        """Lets the caller's stream go on only when the frame is done, and share its memory."""
        if looked.done is None:
            return
        own = torch.cuda.current_stream(self._device)
        own.wait_event(looked.done)
        for tensor in (looked.look.features, looked.look.sees_sky):
            if tensor is not None and tensor.is_cuda:
                tensor.record_stream(own)
