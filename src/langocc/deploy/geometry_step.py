# SPDX-License-Identifier: Apache-2.0
"""The geometry of a fixed rig as a function of where the vehicle is: exported beside the step.

Poses are composed in float64 outside, because global coordinates are kilometres; what is left is
small enough for float32.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Float64
from torch import Tensor, nn

from langocc.geometry.rig import CameraRig
from langocc.model.langocc import LangOcc
from langocc.model.lift import voxel_cells
from langocc.model.projection import BEHIND, NEAREST_M, camera_numbers

STATIC_NUMBERS = 15
"""Camera numbers that do not move with the vehicle: all before the 3 x 4 key_from_cam."""


class GeometryStep(nn.Module):
    """Poses to the inputs `numbers`, `cells` and `places` of a step.

    As `projection`, but composed in another order: a point may differ by the rounding of float32,
    and so, on the border of two voxels, its cell.
    """

    numbers: Tensor
    ray_from_input: Tensor
    input_from_ray: Tensor
    pixels16: Tensor
    pixels4: Tensor
    depth_m: Tensor

    def __init__(self, model: LangOcc, rig: CameraRig) -> None:
        """For the rig's intrinsics and inputs; its poses do not matter. One scene."""
        super().__init__()
        self.config = model.config
        numbers = camera_numbers(rig, 0, model.config.quirks)[0, :, :STATIC_NUMBERS]
        input_from_ray = rig.input_from_image[0] @ rig.intrinsics[0, 0]
        buffers = {
            "numbers": numbers,
            "input_from_ray": input_from_ray.float(),
            "ray_from_input": input_from_ray.inverse().float(),
            "pixels16": _pixels(model.frustum16),
            "pixels4": _pixels(model.frustum4),
            "depth_m": model.frustum16[2, :, 0, 0],
        }
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
        points = torch.stack([self._points(self.pixels16, pose) for pose in key_from_cam.unbind()])
        points_m = points.permute(0, 1, 3, 4, 5, 2)
        cells = voxel_cells(points_m, config.grid, truncated=config.quirks.truncated_cells)
        if not config.stereo:
            return numbers, cells
        return numbers, cells, self._places(reference_from_cam)

    def _points(
        self, pixels: Float[Tensor, "3 height width"], target_from_cam: Float[Tensor, "cam 4 4"]
    ) -> Float[Tensor, "cam 3 depth height width"]:
        """Points of all pixels at all depths in the target frame, metres."""
        target_from_input = target_from_cam[:, :3, :3] @ self.ray_from_input
        rays = (target_from_input @ pixels.flatten(1)).unflatten(2, pixels.shape[1:])
        points_m = rays[:, :, None] * self.depth_m[:, None, None]
        return points_m + target_from_cam[:, :3, 3, None, None, None]

    def _places(
        self, reference_from_cam: Float[Tensor, "cam 4 4"]
    ) -> Float[Tensor, "cam depth height width 2"]:
        points_m = self._points(self.pixels4, reference_from_cam)
        depth_m = points_m[:, 2]
        rays = (points_m / points_m[:, 2:]).flatten(2)
        pixels = (self.input_from_ray[:, :2] @ rays).unflatten(2, depth_m.shape[1:])
        height, width = self.config.input_size
        last = torch.tensor([width - 1, height - 1], dtype=pixels.dtype, device=pixels.device)
        places = pixels.permute(0, 2, 3, 4, 1) / last * 2 - 1
        return torch.where(depth_m[..., None] < NEAREST_M, BEHIND, places)


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


def _pixels(frustum: Float[Tensor, "3 depth height width"]) -> Float[Tensor, "3 height width"]:
    """Input pixels (u, v, 1) of a feature map."""
    u, v, _ = frustum[:, 0]
    return torch.stack([u, v, torch.ones_like(u)])
