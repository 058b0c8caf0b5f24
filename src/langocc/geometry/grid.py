# SPDX-License-Identifier: Apache-2.0
"""The voxel grid: an axis-aligned box in the key ego frame, cut into equal cells."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64


@dataclass(frozen=True)
class VoxelGrid:
    """A box in the ego frame (x forward, y left, z up), indexed [x, y, z].

    The centre of cell i is `lower_m + (i + 0.5) * edges_m`. Defaults are the Occ3D-nuScenes grid,
    200 x 200 x 16 cells.

    Attributes:
        lower_m: Lower edges of the box, metres.
        upper_m: Upper edges of the box, metres.
        cell_m: Edge of a cell along x and y, metres.
        cell_height_m: Along z, metres; None: cells are cubes.

    Raises:
        ValueError: the box is empty or not a whole number of cells.

    Source: method.md section 1.
    """

    lower_m: tuple[float, float, float] = (-40.0, -40.0, -1.0)
    upper_m: tuple[float, float, float] = (40.0, 40.0, 5.4)
    cell_m: float = 0.4
    cell_height_m: float | None = None

    def __post_init__(self) -> None:
        """Refuses boxes that are not a whole number of cells."""
        for name in ("cell_m", "cell_height_m"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"grid.{name}: expected metres above zero, got {value}")
        boxes = zip(self.lower_m, self.upper_m, self.shape, self.edges_m, strict=True)
        for lower, upper, cells, edge in boxes:
            if cells < 1 or abs(cells * edge - (upper - lower)) > 1e-6:
                raise ValueError(
                    f"grid: expected a whole number of {edge} m cells between {lower} and "
                    f"{upper} m, got {(upper - lower) / edge:.4f}"
                )

    @property
    def edges_m(self) -> tuple[float, float, float]:
        """Edges of a cell along x, y, z, metres."""
        height_m = self.cell_m if self.cell_height_m is None else self.cell_height_m
        return self.cell_m, self.cell_m, height_m

    @property
    def shape(self) -> tuple[int, int, int]:
        """Cells along x, y, z. Rounded, because int(6.4 / 0.4) may be 15."""
        x, y, z = (
            round((upper - lower) / edge)
            for lower, upper, edge in zip(self.lower_m, self.upper_m, self.edges_m, strict=True)
        )
        return x, y, z

    def centres_m(self) -> Float64[np.ndarray, "x y z 3"]:
        """Centres of all cells, metres, in the ego frame."""
        axes = [
            lower + (np.arange(cells) + 0.5) * edge
            for lower, cells, edge in zip(self.lower_m, self.shape, self.edges_m, strict=True)
        ]
        return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)

    def contains(self, points_m: Float64[np.ndarray, "*shape 3"]) -> Bool[np.ndarray, "*shape"]:
        """Boolean per point [..., 3]: inside the box, lower edge included, upper edge not."""
        lower, upper = np.asarray(self.lower_m), np.asarray(self.upper_m)
        return np.all((points_m >= lower) & (points_m < upper), axis=-1)


OCC3D_GRID = VoxelGrid()
