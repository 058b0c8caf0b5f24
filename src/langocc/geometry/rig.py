# SPDX-License-Identifier: Apache-2.0
"""What the network knows of the cameras: a batch of calibrated rigs as tensors."""

from dataclasses import dataclass, fields, replace

import torch
from jaxtyping import Float64
from torch import Tensor


@dataclass(frozen=True)
class CameraRig:
    """Cameras of a batch. Axis `frame` is [key, previous, the one before, ...], newest first.

    All float64: global coordinates are kilometres, voxels decimetres. The model forms relative
    transforms in float64 and only then goes to float32.

    Attributes:
        intrinsics: Pinhole matrices of the original images, pixels.
        ego_from_cam: Extrinsics; the ego frame is the vehicle at that camera's exposure.
        global_from_ego: Vehicle pose at each camera's own exposure time, metres.
        input_from_image: Affine map of original pixels (u, v, 1) to pixels of the network's input
            (resize, crop, flip, rotation); the same for all frames of a camera.
        augmented_from_ego: BEV augmentation: a flip or rotation of the ego frame; identity at test.
        global_from_key: Pose of the key ego frame, the one of rays and labels (LiDAR time, else the
            reference camera's). None: the first camera's pose in the key frame.
    """

    intrinsics: Float64[Tensor, "batch frame cam 3 3"]
    ego_from_cam: Float64[Tensor, "batch frame cam 4 4"]
    global_from_ego: Float64[Tensor, "batch frame cam 4 4"]
    input_from_image: Float64[Tensor, "batch cam 3 3"]
    augmented_from_ego: Float64[Tensor, "batch 3 3"]
    global_from_key: Float64[Tensor, "batch 4 4"] | None = None

    def to(self, device: torch.device | str) -> "CameraRig":
        """The same rig on another device."""
        moved = {f.name: getattr(self, f.name) for f in fields(self)}
        return replace(self, **{k: v.to(device) for k, v in moved.items() if v is not None})
