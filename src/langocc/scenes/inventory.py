# SPDX-License-Identifier: Apache-2.0
"""What of a nuScenes version is on disk: images, sweeps, labels, per key frame."""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool

from langocc.errors import DataError
from langocc.scenes.dataset import Split
from langocc.scenes.images import read_image
from langocc.scenes.lidar import read_points
from langocc.scenes.nuscenes import NuScenes


@dataclass(frozen=True)
class Inventory:
    """One claim per key frame of the index.

    Attributes:
        has_images: All its images are there.
        has_sweep: Its LiDAR sweep is there.
        has_occ3d: Its Occ3D label is there.
        has_lidarseg: The lidarseg labels of its sweep are there.
        has_panoptic: The panoptic labels of its sweep are there.
        in_split: Split -> whether the key frame's scene belongs to it.
        has_previous: There is an earlier key frame with images in its scene.
    """

    has_images: Bool[np.ndarray, " key"]
    has_sweep: Bool[np.ndarray, " key"]
    has_occ3d: Bool[np.ndarray, " key"]
    has_lidarseg: Bool[np.ndarray, " key"]
    has_panoptic: Bool[np.ndarray, " key"]
    has_previous: Bool[np.ndarray, " key"]
    in_split: dict[Split, Bool[np.ndarray, " key"]]


def take_inventory(dataset: NuScenes) -> Inventory:
    """Looks what is there, by listing folders."""
    index, folders = dataset.index, dataset.folders
    scene_of = np.repeat(np.arange(len(index.scenes)), np.diff(index.scene_start))
    has_images = np.all(dataset.is_present[:, : len(index.cameras)], axis=1)
    seen_before = np.cumsum(has_images) - has_images
    at_scene_start = np.append(seen_before, 0)[index.scene_start[scene_of]]
    labelled = _occ3d_tokens(folders.gts, index.scenes)
    lidarseg = _names(folders.lidarseg_label(dataset.version, "").parent)
    panoptic = _names(folders.panoptic_label(dataset.version, "").parent)
    return Inventory(
        has_images=has_images,
        has_sweep=(
            dataset.is_present[:, -1] if index.has_lidar else np.zeros(len(has_images), dtype=bool)
        ),
        has_occ3d=np.array([token in labelled for token in index.tokens], dtype=bool),
        has_lidarseg=np.array([f"{t}_lidarseg.bin" in lidarseg for t in index.lidar_tokens]),
        has_panoptic=np.array([f"{t}_panoptic.npz" in panoptic for t in index.lidar_tokens]),
        has_previous=seen_before > at_scene_start,
        in_split={
            split: np.isin(np.array(index.scenes)[scene_of], names)
            for split, names in dataset.splits.items()
        },
    )


def damaged_files(dataset: NuScenes) -> Iterator[str]:
    """Reads every image and sweep of the frames; tells what is wrong with those that cannot be."""
    for frame in dataset.frames():
        for camera in frame.cameras.values():
            yield from _fault(read_image, camera.image_path, (camera.width, camera.height))
        if frame.lidar is not None:
            yield from _fault(read_points, frame.lidar)


def _fault(read: Callable[..., object], *arguments: object) -> list[str]:
    try:
        read(*arguments)
    except DataError as error:
        return [str(error)]
    return []


def _names(folder: Path) -> set[str]:
    return set(os.listdir(folder)) if folder.is_dir() else set()


def _occ3d_tokens(gts: Path | None, scenes: Sequence[str]) -> set[str]:
    """Tokens of the labels of the scenes."""
    if gts is None:
        return set()
    return {
        token
        for scene in scenes
        for token in _names(gts / scene)
        if (gts / scene / token / "labels.npz").is_file()
    }
