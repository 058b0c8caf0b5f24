# SPDX-License-Identifier: Apache-2.0
"""Writes teacher features beside their rays: one shard per scene, finished ones are skipped.

What a shard holds depends on its scene, the teacher and the options alone, so a run that was
killed and started again ends with the same bytes as one that was not.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from langocc.errors import ConfigError, DataError
from langocc.features.codecs import Codec, CodecName, Fp16, Int8, NoFeatures, fit_pca
from langocc.features.pixels import SKY, SKY_ONLY
from langocc.features.prepare import RunReport, check_room
from langocc.features.rows import pack_rows, rays_of_rows, row_dtype
from langocc.features.shard import Shard, write_shard
from langocc.features.store import FeatureStore, create_store
from langocc.features.store_record import StoreRecord
from langocc.features.targets import FrameTargets, SkyRule, frame_targets
from langocc.scenes.dataset import Dataset
from langocc.scenes.frame import Frame
from langocc.scenes.images import read_image
from langocc.teachers.teacher import Teacher

FIT_FRAMES = 8
"""Frames of a scene, evenly spaced, that a PCA is fitted to."""
FIT_ROWS = 4096
"""Rows of each of them."""


@dataclass(frozen=True)
class ExtractConfig:
    """How features are written."""

    codec: CodecName = "int8"
    """`fp16` (2 bytes a channel), `int8` (1), `pca-int8` (1 a component), `none` (colours)."""
    components: int = 96
    """Components of the codec pca-int8."""
    readers: int = 4
    """Threads that decode images ahead of the teacher."""


def record_of_features(
    rays: StoreRecord, teacher: Teacher | None, sky: SkyRule | None, config: ExtractConfig
) -> StoreRecord:
    """The record of a store of features."""
    if teacher is None or config.codec == "none":
        return replace(rays, codec="none", teacher="colours" if teacher is None else teacher.id)
    return StoreRecord(
        teacher=teacher.id,
        channels=teacher.channels,
        codec=config.codec,
        components=config.components if config.codec == "pca-int8" else 0,
        rays=rays.rays,
        sky="" if sky is None else sky.record,
    )


def row_bytes(config: ExtractConfig, channels: int) -> int:
    """Bytes of a row on disk."""
    code = {"fp16": 2 * channels, "int8": channels + 2, "pca-int8": config.components, "none": 0}
    return row_dtype(code[config.codec]).itemsize


def extract_features(
    dataset: Dataset,
    rays: FeatureStore,
    scenes: Sequence[str],
    folder: Path,
    teacher: Teacher | None,
    sky: SkyRule | None,
    config: ExtractConfig,
    on_images: Callable[[int], None] | None = None,
) -> tuple[FeatureStore, RunReport]:
    """Writes the features of scenes.

    Args:
        dataset: Frames.
        rays: The store that `prepare_rays` made.
        scenes: Names of the scenes.
        folder: The store of features.
        teacher: On the device where it is to run; None: colours only (codec `none`).
        sky: Marks sky rays; None: none are.
        config: Codec and threads.
        on_images: Called with the number of images just done.

    Raises:
        ConfigError: the folder holds another store, or the disk has not room enough.
        OSError: the disk is full after all. Finished shards stay.
    """
    store = create_store(folder, record_of_features(rays.record, teacher, sky, config))
    pending = [scene for scene in scenes if not store.has(scene)]
    channels = 0 if teacher is None else teacher.channels
    check_room(folder, pending_bytes(rays, pending, row_bytes(config, channels)))
    report = RunReport(skipped=[scene for scene in scenes if scene not in set(pending)])
    with ThreadPoolExecutor(max(1, config.readers)) as pool:
        for scene in pending:
            look = _Look(dataset.scenes[scene], rays.shard(scene), teacher, sky, pool)
            try:
                _extract_scene(look, scene, store, config, report, on_images)
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


def _extract_scene(
    look: _Look,
    scene: str,
    store: FeatureStore,
    config: ExtractConfig,
    report: RunReport,
    on_images: Callable[[int], None] | None,
) -> None:
    known: dict[int, FrameTargets] = {}
    codec = _codec(look, config, known)
    counts = []
    with write_shard(store.path_of(scene), scene, store.record, codec) as writer:
        unknown = look.at([i for i in range(len(look.frames)) if i not in known])
        for index, frame in enumerate(look.frames):
            targets = known.pop(index) if index in known else next(unknown)[1]
            codes = codec.encode(targets.features.float()).cpu().numpy()
            writer.add(frame.token, pack_rows(targets.rays, targets.rgb, codes))
            counts.append(len(targets.rays))
            if on_images:
                on_images(len(frame.cameras))
    report.done.append(scene)
    report.rays += sum(counts)
    report.frames += len(counts)
    report.bare += [f.token for f, n in zip(look.frames, counts, strict=True) if n == 0]


def _codec(look: _Look, config: ExtractConfig, known: dict[int, FrameTargets]) -> Codec:
    """The scene's codec. Frames that a PCA was fitted to are kept in `known`: seen only once."""
    channels = 0 if look.teacher is None else look.teacher.channels
    if config.codec == "pca-int8":
        spaced = np.linspace(0, len(look.frames) - 1, min(FIT_FRAMES, len(look.frames)))
        for index, targets in look.at(sorted({round(at) for at in spaced})):
            known[index] = replace(targets, features=targets.features.half())
        sample = [_world(targets)[:FIT_ROWS].float() for targets in known.values()]
        return fit_pca(torch.cat(sample), config.components)
    if config.codec == "none":
        return NoFeatures()
    return {"fp16": Fp16, "int8": Int8}[config.codec](channels)


def _world(targets: FrameTargets) -> torch.Tensor:
    """Features of rays that are not sky: sky targets are not used."""
    is_world = (targets.rays.flags & (SKY | SKY_ONLY)) == 0
    return targets.features[torch.from_numpy(is_world).to(targets.features.device)]


def shard_of(text: str) -> tuple[int, int]:
    """`i/n` as numbers: this run does scenes i, i + n, i + 2 n, ... of the list.

    Raises:
        ConfigError: not of that form, or i is not in 0 .. n - 1.

    Example:
        >>> shard_of("1/4")
        (1, 4)
    """
    try:
        index, count = (int(part) for part in text.split("/"))
    except ValueError:
        index, count = 0, 0
    if not 0 <= index < count:
        raise ConfigError(f"shard {text!r}: expected i/n with 0 <= i < n, such as 0/4")
    return index, count
