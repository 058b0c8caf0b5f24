# SPDX-License-Identifier: Apache-2.0
"""Where pixels lie: in the key ego frame for lifting, in another frame's image for stereo.

Relative transforms are composed in float64, because global coordinates are kilometres; pixels are
moved by them in float32. What pixels are moved by is a row of numbers for each camera: composed on
the processor, where a few small matrices are quicker, it is one copy to a GPU.

Source: method.md sections 2.3 and 2.4.
"""

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from langocc.geometry.rig import CameraRig
from langocc.model.config import DepthConfig
from langocc.model.quirks import Quirks

CAMERA_NUMBERS = 27
"""Numbers that describe a camera to the depth net."""
BEHIND = -2.0
"""Normalised coordinate of points behind the reference camera: outside its image."""
RAY_NUMBERS = 18
"""Numbers that lead from a camera's pixels to points."""
NEAREST_M = 1e-3
"""Points nearer to the reference camera's plane than this count as behind it, metres."""


def key_from_cam(rig: CameraRig, frame: int, quirks: Quirks) -> Float64[Tensor, "batch cam 4 4"]:
    """Transform of a frame's cameras to the key ego frame, each through its own exposure's pose."""
    global_from_key = rig.global_from_ego[:, 0, 0]
    if rig.global_from_key is not None and not quirks.first_camera_is_key:
        global_from_key = rig.global_from_key
    global_from_cam = rig.global_from_ego[:, frame] @ rig.ego_from_cam[:, frame]
    return _inverse(global_from_key)[:, None] @ global_from_cam


def reference_from_cam(
    rig: CameraRig, frame: int, reference: int
) -> Float64[Tensor, "batch cam 4 4"]:
    """Transform of each of a frame's cameras to the same camera in the reference frame."""
    global_from_cam = rig.global_from_ego[:, frame] @ rig.ego_from_cam[:, frame]
    global_from_reference = rig.global_from_ego[:, reference] @ rig.ego_from_cam[:, reference]
    return _inverse(global_from_reference) @ global_from_cam


def camera_numbers(rig: CameraRig, frame: int, quirks: Quirks) -> Float[Tensor, "batch cam 27"]:
    """What the depth net is told of each camera.

    Focal lengths and principal point of the original image, the six numbers of the image
    augmentation row by row, five of the BEV augmentation, and the 3 x 4 key_from_cam, row by row.
    """
    told = 0 if quirks.key_pose_for_all_frames else frame
    intrinsics = rig.intrinsics[:, told]
    augmented = rig.augmented_from_ego[:, None].expand(-1, intrinsics.shape[1], -1, -1)
    numbers = [
        intrinsics.diagonal(dim1=-2, dim2=-1)[..., :2],
        intrinsics[..., :2, 2],
        rig.input_from_image[..., :2, :].flatten(-2),
        augmented[..., :2, :2].flatten(-2),
        augmented[..., 2, 2:],
        key_from_cam(rig, told, quirks)[..., :3, :].flatten(-2),
    ]
    return torch.cat(numbers, dim=-1).float()


def frustum(
    input_size: tuple[int, int], stride: int, depth: DepthConfig
) -> Float[Tensor, "3 depth height width"]:
    """(u, v, d): pixels (u, v) of the network's input at depths d in metres.

    One pixel for each cell of a feature map of that stride, spread from the first pixel of the
    input to the last; depths are the bins' lower edges.
    """
    height, width = input_size
    rows, columns = -(-height // stride), -(-width // stride)
    depth_m = depth.lower_m + depth.step_m * torch.arange(depth.bins, dtype=torch.float32)
    v = torch.linspace(0, height - 1, rows, dtype=torch.float32)
    u = torch.linspace(0, width - 1, columns, dtype=torch.float32)
    d, v, u = torch.meshgrid(depth_m, v, u, indexing="ij")
    return torch.stack([u, v, d])


def lifted_points_m(
    rig: CameraRig,
    frame: int,
    frustum: Float[Tensor, "3 depth height width"],
    quirks: Quirks,
) -> Float[Tensor, "batch cam depth height width 3"]:
    """Points of the frustum in the augmented key ego frame, metres."""
    return points_from(lift_numbers(rig, frame, quirks), frustum)


def lift_numbers(rig: CameraRig, frame: int, quirks: Quirks) -> Float[Tensor, "batch cam 27"]:
    """What `lifted_points_m` computes with for each camera, row by row.

    Those of `_ray_numbers`, then augmented_from_ego (9).
    """
    intrinsics = rig.intrinsics[:, frame]
    moved = _ray_numbers(rig, intrinsics, key_from_cam(rig, frame, quirks))
    augmented = rig.augmented_from_ego.float().flatten(1)[:, None]
    return torch.cat([moved, augmented.expand(-1, moved.shape[1], -1)], dim=-1)


def points_from(
    numbers: Float[Tensor, "batch cam 27"],
    frustum: Float[Tensor, "3 depth height width"],
) -> Float[Tensor, "batch cam depth height width 3"]:
    """As `lifted_points_m`, of its numbers."""
    numbers = numbers.to(frustum.device, non_blocking=True)
    points_m = _unprojected(frustum, numbers)
    augmented_from_ego = numbers[..., RAY_NUMBERS:].unflatten(-1, (3, 3))
    return torch.stack(_times(augmented_from_ego, points_m), dim=-1)


def stereo_grid(
    rig: CameraRig,
    frame: int,
    frustum: Float[Tensor, "3 depth height width"],
    input_size: tuple[int, int],
) -> Float[Tensor, "batch cam depth height width 2"]:
    """Where the frustum's points appear in the images of the frame before.

    Coordinates (x, y) with -1 and 1 the centres of the outermost input pixels; both are `BEHIND`
    for points that are not in front of the reference camera. Both images are taken to have the key
    frame's intrinsics and augmentation.
    """
    return grid_from(stereo_numbers(rig, frame), frustum, input_size)


def stereo_numbers(rig: CameraRig, frame: int) -> Float[Tensor, "batch cam 28"]:
    """What `stereo_grid` computes with for each camera, row by row.

    Those of `_ray_numbers`, two rows of the intrinsics (6), the linear part of the image
    augmentation (4).
    """
    intrinsics = rig.intrinsics[:, 0]
    linear, _ = _augmentation(rig)
    numbers = [
        _ray_numbers(rig, intrinsics, reference_from_cam(rig, frame, frame + 1)),
        intrinsics[..., :2, :].float().flatten(-2),
        linear.flatten(-2),
    ]
    return torch.cat(numbers, dim=-1)


def grid_from(
    numbers: Float[Tensor, "batch cam 28"],
    frustum: Float[Tensor, "3 depth height width"],
    input_size: tuple[int, int],
) -> Float[Tensor, "batch cam depth height width 2"]:
    """As `stereo_grid`, of its numbers."""
    numbers = numbers.to(frustum.device, non_blocking=True)
    points_m = _unprojected(frustum, numbers)
    depth_m = points_m[2]
    intrinsics, linear = numbers[..., RAY_NUMBERS:].split([6, 4], dim=-1)
    image = [axis / depth_m for axis in _times(intrinsics.unflatten(-1, (2, 3)), points_m)]
    pixels = _plus(_times(linear.unflatten(-1, (2, 2)), image), numbers[..., 4:6])
    last_pixels = (input_size[1] - 1, input_size[0] - 1)
    grid = [axis / last * 2 - 1 for axis, last in zip(pixels, last_pixels, strict=True)]
    return torch.where(depth_m[..., None] < NEAREST_M, BEHIND, torch.stack(grid, dim=-1))


def _ray_numbers(
    rig: CameraRig,
    intrinsics: Float64[Tensor, "batch cam 3 3"],
    target_from_cam: Float64[Tensor, "batch cam 4 4"],
) -> Float[Tensor, "batch cam 18"]:
    """What leads from a camera's input pixels to points in the target frame.

    The inverse linear part of the image augmentation (4) and its offset in pixels (2),
    target_from_ray (9) and its translation in metres (3).
    """
    linear, offset_px = _augmentation(rig)
    still = torch.cat([_inverse(linear).flatten(-2), offset_px], dim=-1)
    return moved_numbers(still, target_from_cam.float(), _inverse(intrinsics.float()))


def moved_numbers(
    numbers: Float[Tensor, "*batch cam _"],
    target_from_cam: Float[Tensor, "*batch cam 4 4"],
    ray_from_image: Float[Tensor, "*#batch cam 3 3"],
) -> Float[Tensor, "*batch cam _"]:
    """Numbers that begin as `_ray_numbers` do, with those that a pose decides put in their place.

    The numbers may lack them or have those of another pose.
    """
    rotation, translation_m = target_from_cam[..., :3, :3], target_from_cam[..., :3, 3]
    target_from_ray = _product(rotation, ray_from_image).flatten(-2)
    still, others = numbers[..., :6], numbers[..., RAY_NUMBERS:]
    return torch.cat([still, target_from_ray, translation_m, others], dim=-1)


def _unprojected(
    frustum: Float[Tensor, "3 depth height width"], numbers: Float[Tensor, "batch cam _"]
) -> list[Float[Tensor, "batch cam depth height width"]]:
    """Points of the frustum in the target frame, metres; the numbers begin with `_ray_numbers`.

    In float32, step by step: one composed matrix would be more exact, but the stereo cost amplifies
    this chain's rounding, and recorded numbers carry it.
    """
    u, v, depth_m = frustum
    parts = numbers[..., :RAY_NUMBERS].split([4, 2, 9, 3], dim=-1)
    image_from_input, offset_px, target_from_ray, translation_m = parts
    pixels = _plus([u[:1], v[:1]], -offset_px)  # alike at every depth
    image = _times(image_from_input.unflatten(-1, (2, 2)), pixels)
    rays = [*(axis * depth_m for axis in image), depth_m]
    return _plus(_times(target_from_ray.unflatten(-1, (3, 3)), rays), translation_m)


def _augmentation(
    rig: CameraRig,
) -> tuple[Float[Tensor, "batch cam 2 2"], Float[Tensor, "batch cam 2"]]:
    """Linear part and offset (pixels) of the image augmentation."""
    affine = rig.input_from_image[..., :2, :].float()
    return affine[..., :2], affine[..., 2]


def _times(matrix: Float[Tensor, "batch cam m n"], point: list[Tensor]) -> list[Tensor]:
    """`matrix @ point`, each camera's matrix for all its points.

    A point's coordinates are kept apart, each a tensor over the frustum: quicker than a last axis
    of three, and safe from a GPU that rounds matrix products to TF32 or bfloat16.
    """
    moved = []
    for row in matrix.unbind(-2):
        factors = [_per_point(factor) for factor in row.unbind(-1)]
        total = point[0] * factors[0]
        for axis, factor in zip(point[1:], factors[1:], strict=True):
            total += axis * factor
        moved.append(total)
    return moved


def _plus(point: list[Tensor], offset: Float[Tensor, "batch cam n"]) -> list[Tensor]:
    """`point + offset`, each camera's offset for all its points."""
    return [axis + _per_point(o) for axis, o in zip(point, offset.unbind(-1), strict=True)]


def _per_point(
    value: Float[Tensor, "batch cam"],
) -> Float[Tensor, "batch cam 1 1 1"]:
    """A camera's value, to be broadcast over its frustum."""
    return value[:, :, None, None, None]


def _product(
    left: Float[Tensor, "*batch cam 3 3"], right: Float[Tensor, "*#batch cam 3 3"]
) -> Float[Tensor, "*batch cam 3 3"]:
    """`left @ right`, safe from rounding as `_times` is."""
    return (left[..., None] * right[..., None, :, :]).sum(dim=-2)


def _inverse(b_from_a: Float[Tensor, "*batch n n"]) -> Float[Tensor, "*batch n n"]:
    """`a_from_b`, without waiting for a GPU to say that the matrix was regular."""
    return torch.linalg.inv_ex(b_from_a).inverse
