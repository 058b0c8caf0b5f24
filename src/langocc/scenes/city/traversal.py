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
    shape = np.array(grid.shape)
    strides = np.array([shape[1] * shape[2], shape[2], 1])[:, None]
    cell = ((origins - np.array(grid.lower_m, np.float32)) / np.float32(grid.cell_m)).T.copy()
    index = np.clip(np.floor(cell), 0, shape[:, None] - 1).astype(np.int32)
    forward = directions.T.copy() >= 0
    cells_per_m = np.maximum(np.abs(directions.T.copy()) / np.float32(grid.cell_m), 1e-9)
    walk = _Walk(
        voxel=(index * strides).sum(axis=0),
        face_m=(np.where(forward, index + 1 - cell, cell - index) / cells_per_m).astype(np.float32),
        between_m=(1 / cells_per_m).astype(np.float32),
        step=np.where(forward, strides, -strides),
        faces_left=np.where(forward, shape[:, None] - 1 - index, index).astype(np.int32),
        length_m=length_m,
    )
    end = np.zeros(shape.prod() + 1, dtype=bool)  # one more than the grid has: where ended rays lie
    end[-1] = True
    if blocked is not None:
        end[:-1] = blocked.reshape(-1)
    return walk.run(end)[:-1].reshape(grid.shape)


@dataclass
class _Walk:
    """Rays on their way. Two-dimensional arrays are [x y z, ray], contiguous."""

    voxel: np.ndarray  # flat index of the voxel a ray is in
    face_m: np.ndarray  # distance at which it meets the next face of each axis
    between_m: np.ndarray  # distance from face to face
    step: np.ndarray  # change of `voxel` at a face
    faces_left: np.ndarray  # faces still to come before the grid's side
    length_m: np.ndarray

    def run(self, end: np.ndarray) -> np.ndarray:
        """Walks all rays to their ends; returns what they cross. `end[-1]` is nowhere."""
        crossed = np.zeros_like(end)
        while len(self.voxel):
            crossed[self.voxel] = True
            axis = self._nearest_face()
            going = ~end[self.voxel]
            going &= self.face_m.take(axis) < self.length_m
            going &= self.faces_left.take(axis) > 0
            self.voxel += self.step.take(axis)
            self.voxel[~going] = len(end) - 1
            self.face_m.reshape(-1)[axis] += self.between_m.take(axis)
            self.faces_left.reshape(-1)[axis] -= 1
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
        self.step, self.faces_left = self.step.take(kept, 1), self.faces_left.take(kept, 1)


_WORTH_KEEPING = 0.8  # ended rays cost a step each, forgetting them costs a copy of all arrays
