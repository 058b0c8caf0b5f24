# SPDX-License-Identifier: Apache-2.0
"""LiDAR sweeps."""

import numpy as np
from jaxtyping import Float32

from langocc.errors import DataError
from langocc.scenes.frame import Lidar


def read_points(lidar: Lidar) -> Float32[np.ndarray, "point column"]:
    """All points of a sweep in file order: x, y, z in the LiDAR frame, metres, then the rest.

    Labels (lidarseg, retrieval) count points in this order, so none is dropped, not even NaN ones.

    Raises:
        DataError: the file is missing, or its size is not a whole number of rows.
    """
    path, row_bytes = lidar.points_path, 4 * lidar.columns
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise DataError(f"{path}: no such LiDAR file") from None
    if len(content) % row_bytes:
        raise DataError(
            f"{path}: expected rows of {row_bytes} bytes ({lidar.columns} float32), found "
            f"{len(content)} bytes, {len(content) % row_bytes} too many; the file is cut short"
        )
    return np.frombuffer(content, dtype="<f4").astype(np.float32).reshape(-1, lidar.columns)
