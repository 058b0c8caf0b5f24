# SPDX-License-Identifier: Apache-2.0
"""Predictions of density and features: classes, and answers at points, of a model without prompts.

    density   float16 [x, y, z]      1/m
    features  float16 [x, y, z, C]   in the space of the text vectors, of any length; or
              float16 [voxel, C]     of these voxels only:
    voxels    int32   [voxel]        flat index of each row, (x * ny + y) * nz + z

An all-zero feature, or none, says "no answer": such a voxel must not be occupied.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int64, UInt8

from langocc.errors import DataError
from langocc.geometry.grid import VoxelGrid
from langocc.scenes.occ3d import FREE_ID

PAPER_DENSITY = 0.1
"""A voxel this dense (1/m) is occupied where a prediction does not say otherwise."""

_ROWS = 65536
"""Voxels classified at once."""


@dataclass(frozen=True)
class Prompts:
    """What features are compared with.

    Attributes:
        vectors: Text vectors, in the space of the features.
        class_ids: Occ3D id each stands for.
    """

    vectors: Float[np.ndarray, "prompt channel"]
    class_ids: Sequence[int]


@dataclass(frozen=True)
class FeatureRows:
    """Features of some voxels, checked.

    Attributes:
        voxels: Flat index of each row; all voxels where the file holds a dense grid.
        features: [voxel, channel].
        shape: Of the grid.
    """

    voxels: Int64[np.ndarray, " voxel"]
    features: Float[np.ndarray, "voxel channel"]
    shape: tuple[int, ...]

    def classes(self, prompts: Prompts, path: Path) -> UInt8[np.ndarray, "x y z"]:
        """Class of the prompt most similar to each voxel's feature; free where there is no answer.

        Raises:
            DataError: features and prompts have another number of channels.
        """
        channels = prompts.vectors.shape[1]
        if self.features.shape[1] != channels:
            raise DataError(
                f"{path}: features: expected {channels} channels like the prompts, got "
                f"{self.features.shape[1]}"
            )
        ids = np.asarray(prompts.class_ids, np.uint8)
        towards = prompts.vectors.T.astype(np.float32)
        grid = np.full(self.shape, FREE_ID, np.uint8)
        for start in range(0, len(self.voxels), _ROWS):
            rows = self.features[start : start + _ROWS].astype(np.float32)
            best = ids[(rows @ towards).argmax(axis=1)]
            best[~rows.any(axis=1)] = FREE_ID
            grid.reshape(-1)[self.voxels[start : start + _ROWS]] = best
        return grid

    def at(
        self, points_ego_m: Float[np.ndarray, "point 3"], grid: VoxelGrid
    ) -> Float[np.ndarray, "point channel"]:
        """Feature of the voxel each point lies in, or of the nearest one outside the grid."""
        cells = np.floor((points_ego_m - np.asarray(grid.lower_m)) / grid.edges_m).astype(int)
        x, y, z = np.clip(cells, 0, np.asarray(self.shape) - 1).T
        flat = (x * self.shape[1] + y) * self.shape[2] + z
        row_of = np.full(int(np.prod(self.shape)), -1, np.int64)
        row_of[self.voxels] = np.arange(len(self.voxels))
        rows = row_of[flat]
        answers = np.zeros((len(points_ego_m), self.features.shape[1]), np.float16)
        answers[rows >= 0] = self.features[rows[rows >= 0]]
        return answers


def feature_rows(arrays: Mapping[str, np.ndarray], path: Path) -> FeatureRows:
    """Features of a prediction's arrays `density`, `features` and perhaps `voxels`.

    Raises:
        DataError: another shape or type, voxels outside the grid or twice, NaN (counted).
    """
    density, features = arrays["density"], arrays["features"]
    if density.ndim != 3:
        raise DataError(f"{path}: density: expected [x, y, z], got {density.shape}")
    if "voxels" in arrays:
        voxels = _voxels(arrays["voxels"], density.size, path)
        wanted = (len(voxels),)
    else:
        voxels, wanted = np.arange(density.size), density.shape
    if features.shape[:-1] != wanted or not np.issubdtype(features.dtype, np.floating):
        raise DataError(
            f"{path}: features: expected floats [{', '.join(map(str, wanted))}, C], got "
            f"{features.dtype} {list(features.shape)}"
        )
    rows = features.reshape(len(voxels), -1)
    broken = int((~np.isfinite(rows).all(axis=1)).sum())
    if broken:
        raise DataError(f"{path}: features: {broken} of {len(rows)} rows hold NaN or infinity")
    return FeatureRows(voxels, rows, density.shape)


def _voxels(voxels: np.ndarray, size: int, path: Path) -> Int64[np.ndarray, " voxel"]:
    if voxels.ndim != 1 or not np.issubdtype(voxels.dtype, np.integer):
        raise DataError(
            f"{path}: voxels: expected integers [voxel], got {voxels.dtype} {list(voxels.shape)}"
        )
    if voxels.size and (voxels.min() < 0 or voxels.max() >= size):
        raise DataError(
            f"{path}: voxels: expected indices below {size}, got {voxels.min()} to {voxels.max()}"
        )
    if len(np.unique(voxels)) != len(voxels):
        raise DataError(f"{path}: voxels: expected every voxel once, some come several times")
    return voxels.astype(np.int64)
