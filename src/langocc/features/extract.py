# SPDX-License-Identifier: Apache-2.0
"""Writes teacher features beside their rays: one shard per scene, finished ones are skipped.

What a shard holds depends on its scene, the teacher and the options alone, so a run that was
killed and started again ends with the same bytes as one that was not.
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from langocc.errors import ConfigError, DataError
from langocc.features.look_ahead import LookAhead, Planned
from langocc.features.pixels import PixelRays
from langocc.features.prepare import RunReport, check_room
from langocc.features.rows import rays_of_rows
from langocc.features.scene_writer import CodecConfig, looking_order, write_scene
from langocc.features.store import FeatureStore, create_store
from langocc.features.store_record import StoreRecord
from langocc.features.targets import FrameTargets, SkyRule
from langocc.scenes.dataset import Dataset
from langocc.scenes.frame import Frame
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
    device: torch.device | str = "cpu",
) -> tuple[FeatureStore, RunReport]:
    """Writes the features of scenes.

    Args:
        dataset: Frames.
        rays: The store that `prepare_rays` made.
        scenes: Names of the scenes.
        folder: The store of features.
        teacher: On its device; None: colours only, whatever the codec.
        sky: Marks sky rays; None: none are.
        codec: How features are written.
        readers: Threads that decode images ahead of the teacher.
        on_images: Called with the number of images just done.
        device: Where the teacher is.

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
        plan = _planned(dataset, rays, pending, codec)
        device = torch.device("cpu" if teacher is None else device)
        ahead = LookAhead(plan, teacher, sky, device, pool)
        for scene in pending:
            frames = dataset.scenes[scene]
            look = _SceneAhead(scene, frames, channels, ahead)
            advance = None if on_images is None else partial(on_images, len(frames[0].cameras))
            try:
                counts = write_scene(
                    look, store.path_of(scene), scene, store.record, codec, advance
                )
                report.add(scene, look.tokens, counts)
            except DataError as error:
                report.failed[scene] = str(error)
                ahead.drop(scene)
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


def _planned(
    dataset: Dataset, rays: FeatureStore, scenes: Sequence[str], codec: CodecConfig
) -> Iterator[Planned]:
    """All frames of the scenes, as `write_scene` asks for them."""
    for scene in scenes:
        frames = dataset.scenes[scene]
        for index in looking_order(len(frames), codec):
            token = frames[index].token
            yield Planned(scene, index, frames[index], partial(_rays_of, rays, scene, token))


def _rays_of(rays: FeatureStore, scene: str, token: str) -> PixelRays:
    return rays_of_rows(rays.shard(scene).read(token))


class _SceneAhead:
    """A scene's frames, taken from those that are looked at ahead."""

    def __init__(
        self, scene: str, frames: Sequence[Frame], channels: int, ahead: LookAhead
    ) -> None:
        self.tokens: Sequence[str] = [frame.token for frame in frames]
        self.channels = channels
        self._scene, self._ahead = scene, ahead

    def at(self, indices: Sequence[int]) -> Iterator[tuple[int, FrameTargets]]:
        """Targets of the frames in their planned order, which is that of `indices`."""
        return (self._ahead.take(self._scene) for _ in indices)


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


def fair_threads(environment: Mapping[str, str] | None = None) -> int:
    """Processors that this process may use, divided among those that torchrun started beside it.

    Args:
        environment: Environment variables; None: the process's own.
    """
    values = os.environ if environment is None else environment
    can_ask = hasattr(os, "sched_getaffinity")  # not everywhere
    processors = len(os.sched_getaffinity(0)) if can_ask else os.cpu_count() or 1
    return max(1, processors // int(values.get("LOCAL_WORLD_SIZE", 1)))
