# SPDX-License-Identifier: Apache-2.0
"""The geometry of a fixed rig as a function of where the vehicle is: exported beside the step.

Poses are composed in float64 outside, because global coordinates are kilometres.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Float64
from torch import Tensor, nn

from langocc.geometry.rig import CameraRig
from langocc.model.langocc import LangOcc
from langocc.model.lift import cells_from
from langocc.model.projection import (
    camera_numbers,
    grid_from,
    lift_numbers,
    moved_numbers,
    stereo_numbers,
)

STATIC_NUMBERS = 15
"""Camera numbers that do not move with the vehicle: all before the 3 x 4 key_from_cam."""


class GeometryStep(nn.Module):
    """Poses to the inputs `numbers`, `cells` and `places` of a step.

    The operations of `projection` in its order, so that they agree bit for bit: rounding decides
    on which side of a voxel's border or an image's rim a point lies. Where a frame is its own past,
    all pixels of the rim lie on it.
    """

    numbers: Tensor
    lift: Tensor
    stereo: Tensor
    ray_from_image: Tensor
    frustum16: Tensor
    frustum4: Tensor

    def __init__(self, model: LangOcc, rig: CameraRig) -> None:
        """For the rig's intrinsics and inputs; its poses do not matter. One scene."""
        super().__init__()
        self.config, quirks = model.config, model.config.quirks
        buffers = {
            "numbers": camera_numbers(rig, 0, quirks)[0, :, :STATIC_NUMBERS],
            "lift": lift_numbers(rig, 0, quirks)[0],
            "ray_from_image": torch.linalg.inv(rig.intrinsics[0, 0].float()),
            "frustum16": model.frustum16,
            "frustum4": model.frustum4,
        }
        if self.config.stereo:
            buffers["stereo"] = stereo_numbers(rig, 0)[0]
        for name, value in buffers.items():
            self.register_buffer(name, value.detach().clone())

    def forward(
        self,
        key_from_cam: Float[Tensor, "frame cam 4 4"],
        reference_from_cam: Float[Tensor, "cam 4 4"],
    ) -> tuple[Tensor, ...]:
        """Inputs of the step, in its order.

        Args:
            key_from_cam: Of each lifted frame's cameras, to the key ego frame, metres.
            reference_from_cam: Each camera's to itself in the frame before; unused without stereo.
        """
        config, told = self.config, key_from_cam
        if config.quirks.key_pose_for_all_frames:
            told = key_from_cam[:1].expand_as(key_from_cam)
        numbers = self.numbers.expand(told.shape[0], -1, -1)
        numbers = torch.cat([numbers, told[:, :, :3].flatten(2)], dim=-1)
        lift = self.lift.expand(told.shape[0], -1, -1)
        lift = moved_numbers(lift, key_from_cam, self.ray_from_image)
        truncated = config.quirks.truncated_cells
        cells = cells_from(lift, self.frustum16, config.grid, truncated=truncated)
        if not config.stereo:
            return numbers, cells
        stereo = moved_numbers(self.stereo, reference_from_cam, self.ray_from_image)
        return numbers, cells, grid_from(stereo[None], self.frustum4, config.input_size)[0]


def geometry_inputs(
    model: LangOcc, poses: Sequence[Float64[Tensor, "cam 4 4"]], global_from_key: Tensor
) -> dict[str, Tensor]:
    """What `GeometryStep` takes.

    Args:
        model: The network.
        poses: global_from_cam of the frame and those before it, newest first, metres.
        global_from_key: Pose of the key ego frame, [4, 4].
    """
    lifted = model.config.lifted_frames
    key_from_cam = torch.stack([global_from_key.inverse() @ pose for pose in poses[:lifted]])
    reference = poses[min(1, len(poses) - 1)]
    return {
        "key_from_cam": key_from_cam.float(),
        "reference_from_cam": (reference.inverse() @ poses[0]).float(),
    }
