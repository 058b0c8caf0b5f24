# SPDX-License-Identifier: Apache-2.0
"""Writes teacher features beside their rays: one shard per scene, finished ones are skipped.

What a shard holds depends on its scene, the teacher and the options alone, so a run that was
killed and started again ends with the same bytes as one that was not.
"""

import os
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from langocc.errors import ConfigError, DataError
from langocc.features.prepare import RunReport, check_room
from langocc.features.rows import rays_of_rows
from langocc.features.scene_writer import CodecConfig, write_scene
from langocc.features.shard import Shard
from langocc.features.store import FeatureStore, create_store
from langocc.features.store_record import StoreRecord
from langocc.features.targets import FrameTargets, SkyRule, frame_targets
from langocc.scenes.dataset import Dataset
from langocc.scenes.frame import Frame
from langocc.scenes.images import read_image
from langocc.teachers.teacher import Teacher


def record_of_features(
    rays: StoreRecord, teacher: Teacher | None, sky: SkyRule | None, codec: CodecConfig
) -> StoreRecord:
    """The record of a store of features."""
    if teacher is None:
        return replace(rays, teacher="colours")
    return StoreRecord(
        teacher=teacher.id,
        channels=teacher.channels,
        codec=codec.name,
        components=codec.recorded_components,
        rays=rays.rays,
        sky="" if sky is None else sky.record,
    )


def extract_features(
    dataset: Dataset,
    rays: FeatureStore,
    scenes: Sequence[str],
    folder: Path,
    teacher: Teacher | None,
    sky: SkyRule | None,
    codec: CodecConfig,
    readers: int = 4,
    on_images: Callable[[int], None] | None = None,
) -> tuple[FeatureStore, RunReport]:
    """Writes the features of scenes.

    Args:
        dataset: Frames.
        rays: The store that `prepare_rays` made.
        scenes: Names of the scenes.
        folder: The store of features.
        teacher: On the device where it is to run; None: colours only, whatever the codec.
        sky: Marks sky rays; None: none are.
        codec: How features are written.
        readers: Threads that decode images ahead of the teacher.
        on_images: Called with the number of images just done.

    Raises:
        ConfigError: the folder holds another store, or the disk has not room enough.
        OSError: the disk is full after all. Finished shards stay.
    """
    if teacher is None:
        codec = CodecConfig("none")
    store = create_store(folder, record_of_features(rays.record, teacher, sky, codec))
    pending = [scene for scene in scenes if not store.has(scene)]
    channels = 0 if teacher is None else teacher.channels
    check_room(folder, pending_bytes(rays, pending, codec.row_bytes(channels)))
    report = RunReport(skipped=[scene for scene in scenes if store.has(scene)])
    with ThreadPoolExecutor(max(1, readers)) as pool:
        for scene in pending:
            look = _Look(dataset.scenes[scene], rays.shard(scene), teacher, sky, pool)
            try:
                counts = write_scene(
                    look,
                    store.path_of(scene),
                    scene,
                    store.record,
                    codec,
                    None if on_images is None else partial(on_images, look.cameras),
                )
                report.add(scene, look.tokens, counts)
            except DataError as error:
                report.failed[scene] = str(error)
    return store, report


def pending_bytes(rays: FeatureStore, scenes: Sequence[str], row_size: int) -> int:
    """Disk space that the shards of scenes will take, at most (sky candidates may be dropped).

    Raises:
        DataError: a scene has no rays yet.
    """
    total = 0
    for scene in scenes:
        if not rays.has(scene):
            raise DataError(f"{rays.path_of(scene)}: no rays; run `langocc prepare` first")
        rows = sum(entry.rows for entry in rays.shard(scene).index.frames)
        total += rows * row_size + (1 << 17)
    return total


class _Look:
    """The teacher's view of a scene's frames, images decoded ahead by threads."""

    def __init__(
        self,
        frames: Sequence[Frame],
        rays: Shard,
        teacher: Teacher | None,
        sky: SkyRule | None,
        pool: ThreadPoolExecutor,
    ) -> None:
        self.frames, self.rays, self.teacher, self.sky = frames, rays, teacher, sky
        self.tokens: Sequence[str] = [frame.token for frame in frames]
        self.channels = 0 if teacher is None else teacher.channels
        self.cameras = len(frames[0].cameras)
        self._pool = pool

    def at(self, indices: Sequence[int]) -> Iterator[tuple[int, FrameTargets]]:
        """Targets of some frames, in order; the next two frames are being decoded meanwhile."""
        ahead: deque[tuple[int, list[Future[np.ndarray]]]] = deque()
        for index in indices:
            ahead.append((index, self._images(self.frames[index])))
            if len(ahead) > 2:
                yield self._targets(*ahead.popleft())
        while ahead:
            yield self._targets(*ahead.popleft())

    def _images(self, frame: Frame) -> list[Future[np.ndarray]]:
        return [
            self._pool.submit(read_image, camera.image_path, (camera.width, camera.height))
            for camera in frame.cameras.values()
        ]

    def _targets(self, index: int, images: list[Future[np.ndarray]]) -> tuple[int, FrameTargets]:
        chosen = rays_of_rows(self.rays.read(self.frames[index].token))
        decoded = [image.result() for image in images]
        return index, frame_targets(chosen, decoded, self.teacher, self.sky)


def shard_of(text: str | None, environment: Mapping[str, str] | None = None) -> tuple[int, int]:
    """`i/n` as numbers: this run does scenes i, i + n, i + 2 n, ... of the list.

    Args:
        text: `i/n`; None: what torchrun (RANK, WORLD_SIZE) or a Slurm array
            (SLURM_ARRAY_TASK_ID, _MIN, _COUNT) says, else 0/1.
        environment: Environment variables; None: the process's own.

    Raises:
        ConfigError: not of that form, or i is not in 0 .. n - 1.

    Example:
        >>> shard_of("1/4")
        (1, 4)
        >>> shard_of(None, {"RANK": "2", "WORLD_SIZE": "8"})
        (2, 8)
    """
    if text is None:
        values = os.environ if environment is None else environment
        if "WORLD_SIZE" in values:
            return int(values.get("RANK", 0)), int(values["WORLD_SIZE"])
        if "SLURM_ARRAY_TASK_COUNT" in values:
            first = int(values.get("SLURM_ARRAY_TASK_MIN", 0))
            index = int(values.get("SLURM_ARRAY_TASK_ID", first)) - first
            return index, int(values["SLURM_ARRAY_TASK_COUNT"])
        return 0, 1
    try:
        index, count = (int(part) for part in text.split("/"))
    except ValueError:
        index, count = 0, 0
    if not 0 <= index < count:
        raise ConfigError(f"shard {text!r}: expected i/n with 0 <= i < n, such as 0/4")
    return index, count
