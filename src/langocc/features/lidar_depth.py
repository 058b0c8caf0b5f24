# SPDX-License-Identifier: Apache-2.0
"""LiDAR depth of network inputs, as coarse as the depth net's own answer.

Source: method.md section 8b.
"""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor

from langocc.errors import ConfigError
from langocc.features.sources import project, strictly_inside
from langocc.geometry.augment import ImageAugmentation
from langocc.geometry.rigid import transform_points
from langocc.scenes.frame import Frame, Lidar
from langocc.scenes.lidar import read_points

BLOCK_PX = 16
"""Pixels of the input, across and down, that share one depth."""


def lidar_of(frame: Frame) -> Lidar:
    """The frame's LiDAR sweep.

    Raises:
        ConfigError: it has none, so no depth loss is possible.
    """
    if frame.lidar is None:
        raise ConfigError(
            f"sample.lidar-depth: frame {frame.token} has no LiDAR sweep to take depth from; train "
            "without it, and with loss.depth-weight 0"
        )
    return frame.lidar


def lidar_depth_m(
    frame: Frame, augmentations: Sequence[ImageAugmentation]
) -> Float32[Tensor, "cam rows columns"]:
    """Smallest camera z of the LiDAR points in each block of the augmented inputs; 0: none.

    The same as `render.losses.nearest_block_depth` of a dense depth image, without the image.

    Raises:
        ConfigError: the frame has no LiDAR.
        DataError: its file is missing or damaged.
    """
    lidar = lidar_of(frame)
    points = np.asarray(read_points(lidar)[:, :3], dtype=np.float64)
    points_global = transform_points(lidar.global_from_ego @ lidar.ego_from_lidar, points)
    width, height = augmentations[0].input_size
    shape = (len(augmentations), -(-height // BLOCK_PX), -(-width // BLOCK_PX))
    nearest = np.full(shape, np.inf, dtype=np.float32)
    for index, (camera, drawn) in enumerate(
        zip(frame.cameras.values(), augmentations, strict=True)
    ):
        row_col, depths_m = project(points_global, camera)
        seen = strictly_inside(row_col, camera)
        affine = drawn.input_from_image()
        u, v = (row_col[seen][:, ::-1] @ affine[:2, :2].T + affine[:2, 2]).T
        inside = (u >= 0) & (u < width) & (v >= 0) & (v < height)
        rows, columns = (v[inside] // BLOCK_PX).astype(int), (u[inside] // BLOCK_PX).astype(int)
        np.minimum.at(nearest[index], (rows, columns), depths_m[seen][inside])
    return torch.from_numpy(np.where(np.isfinite(nearest), nearest, np.float32(0.0)))
