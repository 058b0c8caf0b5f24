# SPDX-License-Identifier: Apache-2.0
"""`langocc prepare ROOT`: the index of key frames, and the rays of each."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from langocc.errors import ConfigError
from langocc.features.sources import RayConfig, Source
from langocc.scenes.dataset import Split

if TYPE_CHECKING:
    from langocc.features.store import FeatureStore
    from langocc.scenes.dataset import Dataset


@dataclass(frozen=True)
class Prepare:
    """Reads the tables into an index and chooses the rays of every key frame."""

    root: Annotated[Path, tyro.conf.Positional]
    """Data root: the nuScenes folder, or ROOT/{nuscenes, gts, retrieval_benchmark}."""
    work: Path | None = None
    """Folder to write to; default ROOT/langocc."""
    version: str | None = None
    """Folder of tables, such as v1.0-mini; default: the only one, or v1.0-trainval."""
    split: tuple[Split, ...] = ()
    """Splits to prepare; default: all scenes."""
    rays: Source = "lidar_pixels"
    """`lidar_pixels`: where LiDAR points fall, as published; `grid`, `random`: without a LiDAR."""
    rays_per_frame: int = 18_000
    """Rays of a key frame over all its cameras (grid, random)."""
    sky_rays: int = 0
    """lidar_pixels: random pixels per key frame, added where the teacher later sees sky."""
    near_m: float = 0.05
    """Smallest LiDAR depth of a ray, metres."""
    far_m: float = 40.0
    """LiDAR depth from which on rays are dropped, metres; the range of grid and random."""
    seed: int = 0
    """Changes every random choice."""
    ego_masks: Path | None = None
    """Folder of masks of the vehicle's own body: CAMERA.png (not black = vehicle) or CAMERA.json
    (polygons [[[column, row], ...], ...] in pixels)."""
    overlay: Path | None = None
    """Also draw one key frame's rays over its photographs, coloured by depth, to this PNG file."""
    overlay_token: str | None = None
    """Key frame of the overlay; default: the first."""

    def run(self) -> None:
        """Chooses and writes the rays."""
        from langocc.features.prepare import prepare_rays
        from langocc.features.progress import scene_progress
        from langocc.features.store import ray_store_folder
        from langocc.scenes.opening import open_dataset

        dataset = open_dataset(self.root, version=self.version, work=self.work)
        scenes = scenes_of(dataset, self.split)
        config = RayConfig(
            source=self.rays,
            rays_per_frame=self.rays_per_frame,
            sky_rays=self.sky_rays,
            near_m=self.near_m,
            far_m=self.far_m,
            seed=self.seed,
        )
        folder = ray_store_folder(dataset.folders.work, self.rays)
        frames = sum(len(dataset.scenes[scene]) for scene in scenes)
        with scene_progress("rays", frames, "key frames") as advance:
            store, report = prepare_rays(
                dataset, scenes, config, folder, self.ego_masks, lambda: advance(1)
            )
        print(report.summary(folder, "rays"))
        if self.overlay is not None:
            self._draw(dataset, store)
        report.raise_failures()

    def _draw(self, dataset: "Dataset", store: "FeatureStore") -> None:
        from langocc.features.overlay import draw_overlay

        token = self.overlay_token or next(dataset.frames()).token
        frame = dataset.frame(token)
        draw_overlay(frame, store.shard(frame.scene).read(token), self.overlay or Path())
        print(f"{self.overlay}: rays of key frame {token}")


def scenes_of(dataset: "Dataset", splits: tuple[Split, ...]) -> list[str]:
    """Scene names of some splits, or of all if none is named.

    Raises:
        ConfigError: the splits have no scene here.
    """
    if not splits:
        return list(dataset.scenes)
    scenes = [scene for split in splits for scene in dataset.splits.get(split, ())]
    if not scenes:
        there = ", ".join(f"{name}: {len(s)}" for name, s in dataset.splits.items()) or "none"
        raise ConfigError(f"split {' '.join(splits)}: no scenes in {dataset.root} (found {there})")
    return scenes
