# SPDX-License-Identifier: Apache-2.0
"""What the network refuses to see."""

from dataclasses import fields

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from langocc.geometry.rig import CameraRig
from langocc.model.config import ModelConfig


def check_shapes(
    images: Float[Tensor, "batch frame cam 3 height width"], rig: CameraRig, config: ModelConfig
) -> None:
    """Refuses tensors that do not fit the network or each other.

    Raises:
        ValueError: names the argument, what was expected and what was given.
    """
    size = (config.input_frames, 3, *config.input_size)
    given = tuple(images.shape)
    if len(given) != 6 or (given[1], *given[3:]) != size or 0 in given:
        frames, _, height, width = size
        raise ValueError(
            f"images: expected [batch, {frames} frames, cam, 3, {height}, {width}], got {given}"
        )
    batch, frames, cams = given[:3]
    expected = {
        "intrinsics": (batch, frames, cams, 3, 3),
        "ego_from_cam": (batch, frames, cams, 4, 4),
        "global_from_ego": (batch, frames, cams, 4, 4),
        "input_from_image": (batch, cams, 3, 3),
        "augmented_from_ego": (batch, 3, 3),
        "global_from_key": (batch, 4, 4),
    }
    for entry in fields(rig):
        value = getattr(rig, entry.name)
        if value is None:
            continue
        if tuple(value.shape) != expected[entry.name]:
            raise ValueError(
                f"rig.{entry.name}: expected shape {expected[entry.name]}, got {tuple(value.shape)}"
            )
        if value.dtype != torch.float64:
            raise ValueError(f"rig.{entry.name}: expected float64, got {value.dtype}")


def check_values(images: Float[Tensor, "batch frame cam 3 height width"], rig: CameraRig) -> None:
    """Refuses numbers that would spread as NaN through the whole field. Waits for the device.

    Raises:
        ValueError: names the argument, what was expected, what was given and where.
    """
    faults = {"images: expected finite numbers, got NaN or infinity": ~images.isfinite()}
    for entry in fields(rig):
        value = getattr(rig, entry.name)
        if value is not None:
            message = f"rig.{entry.name}: expected finite numbers, got NaN or infinity"
            faults[message] = ~value.isfinite()
    for name in ("intrinsics", "input_from_image", "augmented_from_ego"):
        message = f"rig.{name}: expected matrices that can be inverted, got a singular one"
        faults[message] = _determinant(getattr(rig, name)).abs() < 1e-9
    poses = {"rig.ego_from_cam": rig.ego_from_cam, "rig.global_from_ego": rig.global_from_ego}
    for name, pose in poses.items():
        message = f"{name}: expected rigid transforms, got a rotation whose determinant is not 1"
        faults[message] = (_determinant(pose[..., :3, :3]) - 1).abs() > 1e-3
    # One transfer for all findings: each would stall a GPU.
    found = torch.stack([is_bad.any() for is_bad in faults.values()]).tolist()
    for (message, is_bad), is_found in zip(faults.items(), found, strict=True):
        if is_found:
            raise ValueError(f"{message} at {_first(is_bad)}")


def _first(is_bad: Bool[Tensor, "*index"]) -> str:
    """Index of the first true entry, as its tensor is indexed."""
    return str(is_bad.nonzero()[0].tolist())


def _determinant(matrix: Float[Tensor, "*batch 3 3"]) -> Float[Tensor, "*batch"]:
    first, second, third = matrix.unbind(-2)
    return (first * torch.linalg.cross(second, third)).sum(-1)
