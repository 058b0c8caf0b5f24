# SPDX-License-Identifier: Apache-2.0
"""Occ3D label files.

Source: formats.md section 2.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Bool, UInt8

from langocc.errors import DataError
from langocc.evaluate.archives import read_arrays

Mask = Literal["camera", "lidar", "none"]
"""Which voxels count: seen by a camera (the field's convention), by the LiDAR, or all."""


@dataclass(frozen=True)
class Occ3DLabel:
    """One frame's labels, ego frame, index [x, y, z]."""

    semantics: UInt8[np.ndarray, "x y z"]
    mask_camera: Bool[np.ndarray, "x y z"]
    mask_lidar: Bool[np.ndarray, "x y z"]

    def mask(self, which: Mask) -> Bool[np.ndarray, "x y z"] | None:
        """The voxels that count under a convention; None where all do."""
        return {"camera": self.mask_camera, "lidar": self.mask_lidar, "none": None}[which]


def read_label(path: Path) -> Occ3DLabel:
    """Reads `labels.npz`.

    Raises:
        DataError: no such file, not an archive, an array is missing, of another type or shape.
    """
    names = ("semantics", "mask_camera", "mask_lidar")
    arrays = read_arrays(path, required=names)
    shape = arrays["semantics"].shape
    for name, array in arrays.items():
        if array.ndim != 3 or array.shape != shape:
            raise DataError(f"{path}: {name}: expected [x, y, z] like semantics, got {array.shape}")
        if array.dtype not in (np.uint8, np.bool_):
            raise DataError(f"{path}: {name}: expected uint8, got {array.dtype}")
    return Occ3DLabel(
        arrays["semantics"].astype(np.uint8, copy=False),
        arrays["mask_camera"] != 0,
        arrays["mask_lidar"] != 0,
    )
