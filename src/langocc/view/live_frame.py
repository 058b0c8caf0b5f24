# SPDX-License-Identifier: Apache-2.0
"""A frame ready to be looked at and asked: its visible voxels, prepared once for any query."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int64, UInt8
from torch import Tensor

from langocc.evaluate.labels import Occ3DLabel, read_label
from langocc.evaluate.projected import lidar_points_ego
from langocc.field import OccupiedVoxels, VoxelField
from langocc.geometry.grid import OCC3D_GRID, VoxelGrid
from langocc.predictor import ClassQueries
from langocc.scenes.frame import Frame
from langocc.scenes.nuscenes import NuScenes
from langocc.scenes.occ3d import FREE_ID

MOST_VOXELS = 150_000
"""Cubes a browser still turns smoothly; beyond, the densest are shown."""


@dataclass(frozen=True)
class Cubes:
    """Voxels that can be seen, not buried among others.

    Attributes:
        centres_m: Ego frame, metres.
        class_ids: Occ3D id of each.
        edges_m: Along x, y, z, metres.
    """

    centres_m: Float32[np.ndarray, "voxel 3"]
    class_ids: UInt8[np.ndarray, " voxel"]
    edges_m: tuple[float, float, float]


@dataclass(frozen=True)
class Prediction:
    """What the model says of a frame above a density.

    Attributes:
        cubes: The visible voxels.
        voxels: The same, ready for queries.
        hidden: Visible voxels left out because there are too many.
    """

    cubes: Cubes
    voxels: OccupiedVoxels
    hidden: int

    @property
    def index(self) -> Int64[np.ndarray, "voxel 3"]:
        """Cells of the visible voxels."""
        return self.voxels.index[:, 1:].cpu().numpy()

    def scores(self, vectors: Float[Tensor, "query channel"]) -> Float32[np.ndarray, "query voxel"]:
        """Similarity of every visible voxel to vectors in the model's text space."""
        return self.voxels.query(vectors).float().cpu().numpy()


def prepare(
    field: VoxelField, classes: ClassQueries, threshold: float, most: int = MOST_VOXELS
) -> Prediction:
    """Visible voxels of a field of one scene, their classes, and what queries need.

    Args:
        field: What the model says.
        classes: Prompts of the classes.
        threshold: Density from which a voxel is occupied, 1/m.
        most: Voxels kept; beyond, the densest.
    """
    density = field.density[0]
    is_exposed = torch.from_numpy(exposed((density >= threshold).cpu().numpy())).to(density.device)
    count = int(is_exposed.sum())
    if count > most:
        densest = torch.where(is_exposed, density, -1.0).flatten().topk(most).indices
        is_exposed = torch.zeros_like(is_exposed)
        is_exposed.view(-1)[densest] = True
    seen = VoxelField(
        field.grid,
        torch.where(is_exposed, density, 0.0)[None],
        field.features,
        field.head,
        field.variant,
    )
    voxels = seen.occupied(threshold)
    index = voxels.index[:, 1:].cpu().numpy()
    best = voxels.query(classes.vectors).argmax(dim=0).cpu().numpy()
    ids = np.array(classes.class_ids, np.uint8)[best]
    return Prediction(_cubes(index, ids, field.grid), voxels, count - len(index))


def exposed(is_occupied: Bool[np.ndarray, "x y z"]) -> Bool[np.ndarray, "x y z"]:
    """Occupied voxels with a free neighbour at one of their six faces; outside the grid is free."""
    padded = np.pad(is_occupied, 1)
    buried = np.ones_like(padded)
    for axis in range(3):
        buried &= np.roll(padded, 1, axis) & np.roll(padded, -1, axis)
    return is_occupied & ~buried[1:-1, 1:-1, 1:-1]


def label_of(dataset: NuScenes, frame: Frame) -> Occ3DLabel | None:
    """The frame's label; None where there is none.

    Raises:
        DataError: the label is damaged.
    """
    path = dataset.folders.occ3d_label(frame)
    return read_label(path) if path is not None and path.is_file() else None


def visible_cubes(
    ids: UInt8[np.ndarray, "x y z"], free: int = FREE_ID, grid: VoxelGrid = OCC3D_GRID
) -> Cubes:
    """Voxels of a label grid that are not `free` and not buried among others."""
    index = np.argwhere(exposed(ids != free))
    return _cubes(index, ids[tuple(index.T)], grid)


def lidar_in(frame: Frame, grid: VoxelGrid) -> Float32[np.ndarray, "point 3"]:
    """LiDAR points around the grid, ego frame, metres; none without a LiDAR.

    Raises:
        DataError: the file is missing or damaged.
    """
    if frame.lidar is None:
        return np.zeros((0, 3), np.float32)
    points = lidar_points_ego(frame)
    return np.asarray(points[grid.contains(points)], np.float32)


def classes_of(cubes: Sequence[Cubes | None]) -> list[int]:
    """Ids that occur in some cubes, sorted."""
    there = [np.unique(part.class_ids) for part in cubes if part is not None]
    return sorted({int(i) for ids in there for i in ids})


def _cubes(index: np.ndarray, class_ids: UInt8[np.ndarray, " voxel"], grid: VoxelGrid) -> Cubes:
    centres = np.asarray(grid.lower_m) + (index + 0.5) * grid.edges_m
    return Cubes(np.asarray(centres, np.float32).reshape(-1, 3), class_ids, grid.edges_m)
