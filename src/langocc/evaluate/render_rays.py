# SPDX-License-Identifier: Apache-2.0
"""Rays to judge rendering by: pixels of LiDAR points, with the teacher's features of these pixels.

Source: method.md section 3.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from langocc.features.pixels import PixelRays, generator_of
from langocc.features.sources import RayConfig, lidar_pixels
from langocc.geometry.rays import RayBatch
from langocc.geometry.rigid import invert_rigid
from langocc.scenes.frame import Frame
from langocc.scenes.images import read_image
from langocc.teachers.teacher import Teacher


@dataclass(frozen=True)
class LidarRays:
    """Rays of one frame towards LiDAR points, key ego frame.

    Attributes:
        rays: Batch of one, with the teacher's features.
        lidar_m: Distance of the LiDAR point along each ray, metres.
    """

    rays: RayBatch
    lidar_m: Float[Tensor, " ray"]


def lidar_rays(
    frame: Frame,
    teacher: Teacher,
    count: int = 4096,
    config: RayConfig | None = None,
    device: str = "cpu",
) -> LidarRays:
    """At most `count` rays of the published protocol, drawn by the frame's token.

    Args:
        frame: With a LiDAR.
        teacher: Gives the features to compare with, on `device`.
        count: Rays kept.
        config: Range and grid of the rays.
        device: Of the teacher and of the rays.

    Raises:
        DataError: the frame has no LiDAR, or a file is missing or damaged.
    """
    generator = generator_of("render", frame.token)
    pixels = lidar_pixels(frame, config or RayConfig(), generator)
    pixels = pixels.take(np.sort(generator.permutation(len(pixels))[:count]))
    origins, directions, lidar_m = _geometry(frame, pixels)
    features = torch.zeros(len(pixels), teacher.channels, device=device)
    for index, camera in enumerate(frame.cameras.values()):
        mine = np.flatnonzero(pixels.cameras == index)
        if not len(mine):
            continue
        image = torch.from_numpy(read_image(camera.image_path, (camera.width, camera.height)))
        with torch.inference_mode():
            dense = teacher.dense(image.permute(2, 0, 1)[None].to(device))[0]
            row_col = torch.from_numpy(pixels.pixels[mine]).to(device)
            sampled = teacher.sample(dense, row_col, (camera.height, camera.width))
        features[torch.from_numpy(mine).to(device)] = sampled.float()
    rays = RayBatch(origins[None].to(device), directions[None].to(device), features[None])
    return LidarRays(rays, lidar_m.to(device))


def _geometry(
    frame: Frame, pixels: PixelRays
) -> tuple[Float[Tensor, "ray 3"], Float[Tensor, "ray 3"], Float[Tensor, " ray"]]:
    """Origins (metres) and unit directions in the key ego frame; distances (metres)."""
    origins = np.zeros((len(pixels), 3))
    directions = np.zeros((len(pixels), 3))
    stretch = np.ones(len(pixels))
    for index, camera in enumerate(frame.cameras.values()):
        mine = pixels.cameras == index
        key_from_cam = (
            invert_rigid(frame.global_from_ego) @ camera.global_from_ego @ camera.ego_from_cam
        )
        uv1 = np.concatenate([pixels.pixels[mine, ::-1], np.ones((mine.sum(), 1))], axis=1)
        in_cam = uv1 @ np.linalg.inv(camera.intrinsics).T  # camera z = 1
        stretch[mine] = np.linalg.norm(in_cam, axis=1)
        directions[mine] = (in_cam / stretch[mine, None]) @ key_from_cam[:3, :3].T
        origins[mine] = key_from_cam[:3, 3]
    parts = (origins, directions, pixels.depths_m * stretch)
    origin, direction, distance = (torch.from_numpy(np.asarray(p)).float() for p in parts)
    return origin, direction, distance
