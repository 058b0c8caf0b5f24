# SPDX-License-Identifier: Apache-2.0
"""What the loader hands to the model: images, rigs, and in training rays."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from langocc.geometry.rays import RayBatch
from langocc.geometry.rig import CameraRig


@dataclass(frozen=True)
class Batch:
    """Samples of one step.

    Attributes:
        images: Normalised network inputs; frame axis [key, previous, the one before, ...].
        rig: The cameras of the same frames.
        tokens: Key frame of each sample.
        rays: Training rays, or None at test time.
        lidar_depth_m: Smallest LiDAR depth (camera z, metres) in each 16 x 16 block of the key
            frame's inputs; 0: none. None: not asked for.
    """

    images: Float[Tensor, "batch frame cam 3 height width"]
    rig: CameraRig
    tokens: tuple[str, ...]
    rays: RayBatch | None = None
    lidar_depth_m: Float[Tensor, "batch cam rows columns"] | None = None

    def to(self, device: torch.device | str) -> "Batch":
        """The same batch on another device."""
        rays = None if self.rays is None else self.rays.to(device)
        depth_m = None if self.lidar_depth_m is None else self.lidar_depth_m.to(device)
        return Batch(self.images.to(device), self.rig.to(device), self.tokens, rays, depth_m)
