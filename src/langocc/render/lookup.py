# SPDX-License-Identifier: Apache-2.0
"""Trilinear lookup in a voxel volume, whole (`lookup`) or as corners and weights (`corners`)."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True)
class Box:
    """The axis-aligned box that a volume [batch, x, y, z] fills, in metres."""

    lower_m: tuple[float, float, float]
    upper_m: tuple[float, float, float]


def voxel_coordinates(
    points_m: Float[Tensor, "*shape 3"],
    box: Box,
    cells: tuple[int, int, int],
    align_corners: bool = True,
) -> Float[Tensor, "*shape 3"]:
    """Positions in units of voxel indices: voxel i's value sits at coordinate i.

    Args:
        points_m: Points in the frame of the box, metres.
        box: The box.
        cells: Voxels along x, y, z.
        align_corners: True puts the outermost values onto the faces of the box, as rendering does
            (*quirk*: lifting puts them half a cell inside); False puts every value at the centre
            of its cell.

    Source: method.md section 4.
    """
    lower = points_m.new_tensor(box.lower_m)
    extent = points_m.new_tensor(box.upper_m) - lower
    count = points_m.new_tensor(cells)
    if align_corners:
        return (points_m - lower) * ((count - 1) / extent)
    return (points_m - lower) * (count / extent) - 0.5


def lookup(
    volume: Float[Tensor, "batch x y z channel"],
    points_m: Float[Tensor, "batch *shape 3"],
    box: Box,
    align_corners: bool = True,
) -> Float[Tensor, "batch *shape channel"]:
    """Trilinear values of a volume at points; zero outside, fading over one pitch.

    Differentiable with respect to the volume; positions get no gradient.
    """
    batch, *shape, _ = points_m.shape
    channels = volume.shape[-1]
    if points_m.numel() == 0:
        return volume.new_zeros((batch, *shape, channels))
    lower = points_m.new_tensor(box.lower_m)
    extent = points_m.new_tensor(box.upper_m) - lower
    normalised = ((points_m.detach() - lower) / extent * 2 - 1).flip(-1)  # z, y, x
    values = functional.grid_sample(
        volume.permute(0, 4, 1, 2, 3),
        normalised.view(batch, 1, 1, -1, 3).to(volume.dtype),
        mode="bilinear",
        padding_mode="zeros",
        align_corners=align_corners,
    )
    return values.view(batch, channels, -1).transpose(1, 2).reshape(batch, *shape, channels)


def corners(
    coordinates: Float[Tensor, "point 3"], cells: tuple[int, int, int]
) -> tuple[Int[Tensor, "point 8"], Float[Tensor, "point 8"]]:
    """The eight voxels around each position and their trilinear weights.

    Returns:
        Flat voxel index (x * Y + y) * Z + z, -1 outside the volume; weights, of these too.
        Corner c has offsets (c >> 2 & 1, c >> 1 & 1, c & 1) along x, y, z.
    """
    # Far points would overflow an integer; beyond -2 or the last cell all corners are outside.
    nearby = torch.minimum(coordinates.clamp(min=-2.0), coordinates.new_tensor(cells))
    base = nearby.floor()
    return corner_voxels(base.long(), cells), corner_weights(nearby - base)


def corner_voxels(
    base: Int[Tensor, "point 3"], cells: tuple[int, int, int]
) -> Int[Tensor, "point 8"]:
    """Flat indices of the eight voxels base + {0, 1}^3, -1 outside the volume."""
    pairs = base[..., None] + torch.arange(2, device=base.device)
    inside = (pairs >= 0) & (pairs < base.new_tensor(cells)[:, None])
    pairs = pairs * base.new_tensor([cells[1] * cells[2], cells[2], 1])[:, None]
    x, y, z = pairs[:, 0, :, None, None], pairs[:, 1, None, :, None], pairs[:, 2, None, None, :]
    index = x + y + z
    x, y, z = inside[:, 0, :, None, None], inside[:, 1, None, :, None], inside[:, 2, None, None, :]
    is_inside = x & y & z
    return index.masked_fill_(~is_inside, -1).flatten(1)


def corner_weights(fraction: Float[Tensor, "point 3"]) -> Float[Tensor, "point 8"]:
    """Trilinear weights of the eight corners of a unit cell, in the order of `corner_voxels`."""
    pairs = torch.stack([1 - fraction, fraction], dim=-1)
    square = pairs[:, 0, :, None] * pairs[:, 1, None, :]
    return (square[..., None] * pairs[:, 2, None, None, :]).flatten(1)
