# SPDX-License-Identifier: Apache-2.0
"""Occ3D's semantic grid of a key frame, from points on the surfaces.

A voxel takes the class that most of its points have: surfaces, not the inside of solids, as Occ3D
gets them from accumulated LiDAR points. Everything stands where it is at the key time.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float32, Int64, UInt8

from langocc.geometry.grid import OCC3D_GRID, VoxelGrid
from langocc.scenes.city.surfaces import SurfacePoints
from langocc.scenes.occ3d import FREE_ID, OCC3D_CLASSES

_OUTSIDE = -1


def voxel_index(
    grid: VoxelGrid, points: Float32[np.ndarray, "point 3"]
) -> Int64[np.ndarray, " point"]:
    """Flat index [x, y, z] of the voxel each point (ego frame, metres) is in; -1 outside."""
    flat = np.zeros(len(points), dtype=np.int64)
    inside = np.ones(len(points), dtype=bool)
    for axis, cells in enumerate(grid.shape):
        cell = (points[:, axis] - np.float32(grid.lower_m[axis])) / np.float32(grid.edges_m[axis])
        inside &= (cell >= 0) & (cell < cells)
        flat *= cells
        flat += cell.astype(np.int64)  # towards zero: the floor, where inside
    flat[~inside] = _OUTSIDE
    return flat


def semantic_grid(parts: Sequence[SurfacePoints]) -> UInt8[np.ndarray, "x y z"]:
    """The class with the most points in each voxel of the Occ3D grid; the lower id wins a tie.

    Args:
        parts: Points in the key ego frame, each part sorted by class.
    """
    shape = OCC3D_GRID.shape
    voxels = [voxel_index(OCC3D_GRID, part.points) for part in parts]
    semantics = np.full(np.prod(shape), FREE_ID, dtype=np.uint8)
    most = np.zeros(len(semantics), dtype=np.int64)
    for occ3d_id in range(len(OCC3D_CLASSES)):
        mine = [v[_class_slice(p, occ3d_id)] for v, p in zip(voxels, parts, strict=True)]
        mine = np.concatenate(mine)
        mine = mine[mine != _OUTSIDE]
        if not len(mine):
            continue
        count = np.bincount(mine, minlength=len(semantics))
        won = np.flatnonzero(count > most)
        semantics[won], most[won] = occ3d_id, count[won]
    return semantics.reshape(shape)


def _class_slice(part: SurfacePoints, occ3d_id: int) -> slice:
    """Where a class lies in points sorted by class."""
    start, stop = np.searchsorted(part.occ3d_id, [occ3d_id, occ3d_id + 1])
    return slice(int(start), int(stop))
