# SPDX-License-Identifier: Apache-2.0
"""Chooses the rays of every frame and writes them as a store without features."""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from langocc.errors import ConfigError, DataError
from langocc.features.codecs import NoFeatures
from langocc.features.ego_mask import EgoMasks, load_masks, no_masks
from langocc.features.pixels import joined
from langocc.features.rows import pack_rows
from langocc.features.shard import write_shard
from langocc.features.sources import RayConfig, choose_rays
from langocc.features.store import FeatureStore, create_store
from langocc.features.store_record import StoreRecord
from langocc.scenes.dataset import Dataset
from langocc.scenes.frame import Frame


@dataclass
class RunReport:
    """What a run over scenes did.

    Attributes:
        done: Scenes written now.
        skipped: Scenes that were finished before.
        failed: Scene -> what is wrong; it has no shard, and the others are not touched by it.
        rays: Rays written now.
        frames: Frames written now.
        bare: Tokens of frames without any ray.
        notes: Things to know that stop nothing.
    """

    done: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    rays: int = 0
    frames: int = 0
    bare: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, scene: str, tokens: Sequence[str], counts: Sequence[int]) -> None:
        """Counts a scene that was written: its frames and their rays."""
        self.done.append(scene)
        self.rays += sum(counts)
        self.frames += len(counts)
        self.bare += [token for token, count in zip(tokens, counts, strict=True) if count == 0]

    def summary(self, folder: Path, what: str) -> str:
        """A few lines for people."""
        size_mb = sum(path.stat().st_size for path in folder.glob("*.shard")) / 1e6
        lines = [
            f"{folder}: {what} of {len(self.done)} scenes written ({self.frames} key frames, "
            f"{self.rays:,} rays), {len(self.skipped)} were there; {size_mb:.1f} MB in all"
        ]
        if self.bare:
            lines.append(f"{len(self.bare)} key frames have no rays, such as {self.bare[0]}")
        return "\n".join(lines + self.notes)

    def raise_failures(self) -> None:
        """Raises what went wrong with some scenes, once all the others are done.

        Raises:
            DataError: at least one scene failed.
        """
        if self.failed:
            lines = [f"  {scene}: {message}" for scene, message in self.failed.items()]
            raise DataError(
                f"{len(self.failed)} scenes are not written; mend this and run again, finished "
                "scenes are kept:\n" + "\n".join(lines)
            )


def record_of_rays(config: RayConfig, masks: EgoMasks) -> StoreRecord:
    """The record of a store of rays alone."""
    rays = config.record() | {"ego_mask": masks.digest()}
    return StoreRecord(teacher="", channels=0, codec="none", rays=rays)


def prepare_rays(
    dataset: Dataset,
    scenes: Sequence[str],
    config: RayConfig,
    folder: Path,
    ego_masks: Path | None = None,
    on_frame: Callable[[], None] | None = None,
) -> tuple[FeatureStore, RunReport]:
    """Writes the rays of scenes; scenes whose shard is finished are skipped.

    Args:
        dataset: Frames.
        scenes: Names of the scenes.
        config: How rays are chosen.
        folder: The store of rays.
        ego_masks: Folder of masks of the vehicle's own body; see `ego_mask.py`.
        on_frame: Called after each frame.

    Raises:
        ConfigError: the folder holds rays chosen in another way.
        DataError: the masks are unreadable, or no frame has a LiDAR where one is needed.
        OSError: the disk is full.
    """
    first = next((frame for scene in scenes for frame in dataset.scenes[scene]), None)
    if first is None:
        raise DataError(f"{dataset.root}: no frames in {len(scenes)} scenes")
    masks = no_masks() if ego_masks is None else load_masks(ego_masks, first.cameras)
    store, report = create_store(folder, record_of_rays(config, masks)), RunReport()
    without_lidar = 0
    for scene in scenes:
        if store.has(scene):
            report.skipped.append(scene)
            continue
        try:
            without_lidar += _prepare_scene(
                dataset.scenes[scene], scene, config, masks, store, report, on_frame
            )
        except DataError as error:
            report.failed[scene] = str(error)
    if without_lidar and without_lidar == report.frames:
        raise DataError(
            f"{dataset.root}: no frame has a LiDAR sweep on disk, and the ray source lidar_pixels "
            "needs them; use the source grid or random"
        )
    if without_lidar:
        report.notes.append(f"{without_lidar} frames have no LiDAR sweep on disk: no rays")
    return store, report


def _prepare_scene(
    frames: Sequence[Frame],
    scene: str,
    config: RayConfig,
    masks: EgoMasks,
    store: FeatureStore,
    report: RunReport,
    on_frame: Callable[[], None] | None,
) -> int:
    """Writes one shard; returns the number of frames without a sweep."""
    codec, without_lidar, counts = NoFeatures(), 0, []
    with write_shard(store.path_of(scene), scene, store.record, codec) as writer:
        for frame in frames:
            if config.source == "lidar_pixels" and frame.lidar is None:
                without_lidar += 1
                rays = joined([])
            else:
                rays = choose_rays(frame, config, masks)
            nothing = np.zeros((len(rays), 3), np.uint8), np.zeros((len(rays), 0), np.uint8)
            writer.add(frame.token, pack_rows(rays, *nothing))
            counts.append(len(rays))
            if on_frame:
                on_frame()
    report.add(scene, [frame.token for frame in frames], counts)
    return without_lidar


def check_room(folder: Path, needed_bytes: int) -> None:
    """Refuses to start what the disk cannot hold.

    Raises:
        ConfigError: less is free than needed.
    """
    at = folder
    while not at.exists():
        at = at.parent
    free = shutil.disk_usage(at).free
    if free < needed_bytes:
        raise ConfigError(
            f"{folder}: {needed_bytes / 1e9:.2f} GB are needed and {free / 1e9:.2f} GB are free; "
            "choose another --work folder, a smaller codec, or fewer scenes"
        )
