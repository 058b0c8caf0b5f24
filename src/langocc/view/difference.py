# SPDX-License-Identifier: Apache-2.0
"""Prediction against truth, voxel by voxel: right, another class, missed, or invented."""

import numpy as np
from jaxtyping import Bool, UInt8
from PIL import Image

from langocc.geometry.grid import OCC3D_GRID, VoxelGrid
from langocc.scenes.occ3d import FREE_ID
from langocc.view.pictures import bev_colours, oblique
from langocc.view.sheets import swatches

NAMES = ("right", "another class", "missed", "nothing is there")
"""What a voxel's prediction is, by its number."""

COLOURS = ((150, 186, 150), (245, 176, 55), (45, 105, 225), (215, 48, 60))

SAME_FREE = 255
"""Free in both, or not judged."""


def difference(
    predicted: UInt8[np.ndarray, "x y z"],
    true: UInt8[np.ndarray, "x y z"],
    seen: Bool[np.ndarray, "x y z"] | None = None,
) -> UInt8[np.ndarray, "x y z"]:
    """Number in `NAMES` of every voxel that is occupied in either; `SAME_FREE` elsewhere.

    Args:
        predicted: Occ3D ids.
        true: Occ3D ids; beyond 17 unknown, which is not judged.
        seen: Voxels that are judged; None: all.
    """
    is_predicted, is_true = predicted != FREE_ID, true != FREE_ID
    kinds = np.full(predicted.shape, SAME_FREE, np.uint8)
    kinds[is_predicted & is_true] = 1
    kinds[is_predicted & (predicted == true)] = 0
    kinds[~is_predicted & is_true] = 2
    kinds[is_predicted & ~is_true] = 3
    judged = true <= FREE_ID if seen is None else seen & (true <= FREE_ID)
    return np.where(judged, kinds, np.uint8(SAME_FREE))


def difference_colours(kinds: UInt8[np.ndarray, "*shape"]) -> UInt8[np.ndarray, "*shape 3"]:
    """Colours of numbers in `NAMES`; white elsewhere."""
    palette = np.full((256, 3), 255, np.uint8)
    palette[: len(COLOURS)] = COLOURS
    return palette[kinds]


def difference_oblique(
    kinds: UInt8[np.ndarray, "x y z"],
    grid: VoxelGrid = OCC3D_GRID,
    size: tuple[int, int] = (1200, 760),
) -> Image.Image:
    """Cubes from above and behind."""
    return oblique(kinds != SAME_FREE, difference_colours(kinds), grid, size)


def difference_bev(
    kinds: UInt8[np.ndarray, "x y z"], grid: VoxelGrid = OCC3D_GRID, scale: int = 3
) -> Image.Image:
    """From above: the topmost voxel of each column."""
    return bev_colours(kinds != SAME_FREE, difference_colours(kinds), grid, scale)


def difference_legend(width: int) -> Image.Image:
    """What the colours mean."""
    return swatches(list(zip(NAMES, COLOURS, strict=True)), width)
