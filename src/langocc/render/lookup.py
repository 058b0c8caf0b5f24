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
    coordinates: Float[Tensor, "*shape 3"], cells: tuple[int, int, int]
) -> tuple[Int[Tensor, "*shape 8"], Float[Tensor, "*shape 8"]]:
    """The eight voxels around each position and their trilinear weights.

    Returns:
        Flat voxel index (x * Y + y) * Z + z, -1 outside the volume; weights, 0 outside.
        Corner c has offsets (c >> 2 & 1, c >> 1 & 1, c & 1) along x, y, z.
    """
    base = coordinates.floor()
    fraction = coordinates - base
    # Far points would overflow an integer; beyond -2 or the last cell all corners are outside.
    limit = base.new_tensor(cells)
    base = torch.minimum(base.clamp(min=-2.0), limit).long()
    index = base.new_zeros((*base.shape[:-1], 8))
    weight = fraction.new_ones((*base.shape[:-1], 8))
    inside = torch.ones_like(weight, dtype=torch.bool)
    corner = torch.arange(8, device=base.device)
    for axis, shift in enumerate((2, 1, 0)):
        offset = corner >> shift & 1
        position = base[..., axis, None] + offset
        inside &= (position >= 0) & (position < cells[axis])
        index = index * cells[axis] + position
        share = fraction[..., axis, None]
        weight = weight * torch.where(offset.bool(), share, 1 - share)
    return index.masked_fill(~inside, -1), weight.masked_fill(~inside, 0.0)
