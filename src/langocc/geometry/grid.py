# SPDX-License-Identifier: Apache-2.0
"""The voxel grid: an axis-aligned box in the key ego frame, cut into equal cells."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64


@dataclass(frozen=True)
class VoxelGrid:
    """A box in the ego frame (x forward, y left, z up), indexed [x, y, z].

    The centre of cell i is `lower_m + (i + 0.5) * cell_m`. Defaults are the Occ3D-nuScenes grid,
    200 x 200 x 16 cells.

    Attributes:
        lower_m: Lower edges of the box, metres.
        upper_m: Upper edges of the box, metres.
        cell_m: Edge of a cubic cell, metres.

    Raises:
        ValueError: the box is empty or not a whole number of cells.

    Source: method.md section 1.
    """

    lower_m: tuple[float, float, float] = (-40.0, -40.0, -1.0)
    upper_m: tuple[float, float, float] = (40.0, 40.0, 5.4)
    cell_m: float = 0.4

    def __post_init__(self) -> None:
        """Refuses boxes that are not a whole number of cells."""
        for lower, upper, cells in zip(self.lower_m, self.upper_m, self.shape, strict=True):
            if cells < 1 or abs(cells * self.cell_m - (upper - lower)) > 1e-6:
                raise ValueError(
                    f"grid: expected a whole number of {self.cell_m} m cells between {lower} and "
                    f"{upper} m, got {(upper - lower) / self.cell_m:.4f}"
                )

    @property
    def shape(self) -> tuple[int, int, int]:
        """Cells along x, y, z. Rounded, because int(6.4 / 0.4) may be 15."""
        x, y, z = (
            round((upper - lower) / self.cell_m)
            for lower, upper in zip(self.lower_m, self.upper_m, strict=True)
        )
        return x, y, z

    def centres_m(self) -> Float64[np.ndarray, "x y z 3"]:
        """Centres of all cells, metres, in the ego frame."""
        axes = [
            lower + (np.arange(cells) + 0.5) * self.cell_m
            for lower, cells in zip(self.lower_m, self.shape, strict=True)
        ]
        return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)

    def contains(self, points_m: Float64[np.ndarray, "*shape 3"]) -> Bool[np.ndarray, "*shape"]:
        """Boolean per point [..., 3]: inside the box, lower edge included, upper edge not."""
        lower, upper = np.asarray(self.lower_m), np.asarray(self.upper_m)
        return np.all((points_m >= lower) & (points_m < upper), axis=-1)


OCC3D_GRID = VoxelGrid()
