# SPDX-License-Identifier: Apache-2.0
"""Which voxels rays cross: the walk through the grid that both visibility masks are made of."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32

from langocc.geometry.grid import VoxelGrid


def crossed_voxels(
    grid: VoxelGrid,
    origins: Float32[np.ndarray, "ray 3"],
    directions: Float32[np.ndarray, "ray 3"],
    length_m: Float32[np.ndarray, " ray"],
    blocked: Bool[np.ndarray, "x y z"] | None = None,
) -> Bool[np.ndarray, "x y z"]:
    """Voxels that rays cross, from voxel face to voxel face (exact, no step size).

    A ray ends at its length, at the grid's side, or in the first blocked voxel, which still counts.

    Args:
        grid: The voxels.
        origins: Inside the grid, metres, in its frame.
        directions: Unit vectors.
        length_m: Where each ray ends.
        blocked: Voxels that end a ray; None: none do.

    Source: Amanatides and Woo, A Fast Voxel Traversal Algorithm for Ray Tracing, 1987.
    """
    end = np.ones([cells + 2 for cells in grid.shape], dtype=bool)  # a rim ends what leaves
    end[1:-1, 1:-1, 1:-1] = False if blocked is None else blocked
    strides = np.array([end[0].size, end.shape[2], 1])[:, None]
    last = np.array(grid.shape)[:, None] - 1
    cell = (
        (origins - np.array(grid.lower_m, np.float32)) / np.array(grid.edges_m, np.float32)
    ).T.copy()
    index = np.clip(np.floor(cell), 0, last)
    forward = directions.T.copy() >= 0
    cells_per_m = np.maximum(
        np.abs(directions.T.copy()) / np.array(grid.edges_m, np.float32)[:, None], 1e-9
    )
    walk = _Walk(
        voxel=((index.astype(np.int64) + 1) * strides).sum(axis=0),
        face_m=(np.where(forward, index + 1 - cell, cell - index) / cells_per_m).astype(np.float32),
        between_m=(1 / cells_per_m).astype(np.float32),
        step=np.where(forward, strides, -strides),
        length_m=length_m,
    )
    crossed = walk.run(end.reshape(-1)).reshape(end.shape)
    return crossed[1:-1, 1:-1, 1:-1]


@dataclass
class _Walk:
    """Rays on their way. Two-dimensional arrays are [x y z, ray], contiguous."""

    voxel: np.ndarray  # flat index of the voxel a ray is in
    face_m: np.ndarray  # distance at which it meets the next face of each axis
    between_m: np.ndarray  # distance from face to face
    step: np.ndarray  # change of `voxel` at a face
    length_m: np.ndarray

    def run(self, end: np.ndarray) -> np.ndarray:
        """Walks all rays to their ends; returns what they cross."""
        crossed = np.zeros_like(end)
        while len(self.voxel):
            crossed[self.voxel] = True
            face = self._nearest_face()
            going = ~end[self.voxel]
            going &= self.face_m.take(face) < self.length_m
            self.voxel += self.step.take(face) * going
            self.face_m.reshape(-1)[face] += self.between_m.take(face)
            if np.count_nonzero(going) < _WORTH_KEEPING * len(going):
                self._keep(np.flatnonzero(going))
        return crossed

    def _nearest_face(self) -> np.ndarray:
        """Flat positions in the [x y z, ray] arrays of the face each ray meets next."""
        x, y, z = self.face_m
        rays = np.arange(len(x))
        nearest = np.where(x < y, rays, rays + len(x))
        return np.where(np.minimum(x, y) < z, nearest, rays + 2 * len(x))

    def _keep(self, kept: np.ndarray) -> None:
        """Forgets the other rays."""
        self.voxel, self.length_m = self.voxel[kept], self.length_m[kept]
        self.face_m, self.between_m = self.face_m.take(kept, 1), self.between_m.take(kept, 1)
        self.step = self.step.take(kept, 1)


_WORTH_KEEPING = 0.8  # ended rays cost a step each, forgetting them costs a copy of all arrays
