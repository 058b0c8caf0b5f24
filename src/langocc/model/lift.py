# SPDX-License-Identifier: Apache-2.0
"""Lift-splat: image features, spread along their rays by depth, summed into voxels.

Source: method.md section 2.4; Philion and Fidler 2020.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from langocc.geometry.grid import VoxelGrid
from langocc.model.projection import points_from

OUTSIDE = -1
"""Cell of a point that lies outside the grid."""


def voxel_cells(
    points_m: Float[Tensor, "*shape 3"], grid: VoxelGrid, *, truncated: bool
) -> Int[Tensor, "*shape"]:
    """Index of each point's voxel in the grid flattened in [x, y, z] order; `OUTSIDE` if in none.

    Args:
        points_m: Points in the key ego frame, metres.
        grid: The voxels.
        truncated: Round toward zero instead of down; see `Quirks.truncated_cells`.
    """
    is_outside = torch.zeros_like(points_m[..., 0], dtype=torch.bool)
    flat = torch.zeros_like(is_outside, dtype=torch.long)
    # An axis at a time, because numbers from the host as a tensor would make a GPU's host wait.
    axes = zip(points_m.unbind(-1), grid.lower_m, grid.shape, grid.edges_m, strict=True)
    for axis, lower, cells, edge_m in axes:
        position = (axis - lower) / edge_m
        cell = (position.trunc() if truncated else position.floor()).long()
        is_outside |= (cell < 0) | (cell >= cells)
        flat = flat * cells + cell
    return flat.masked_fill(is_outside, OUTSIDE)


def cells_from(
    numbers: Float[Tensor, "batch cam 27"],
    frustum: Float[Tensor, "3 depth height width"],
    grid: VoxelGrid,
    *,
    truncated: bool,
) -> Int[Tensor, "batch cam depth height width"]:
    """Voxels of `projection.points_from`, as `voxel_cells` numbers them."""
    return voxel_cells(points_from(numbers, frustum), grid, truncated=truncated)


def splat(
    depth: Float[Tensor, "batch cam depth height width"],
    context: Float[Tensor, "batch cam channel height width"],
    cells: Int[Tensor, "batch cam depth height width"],
    shape: tuple[int, int, int],
) -> Float[Tensor, "batch channel x y z"]:
    """Sum of depth * context over all points of each voxel.

    Differentiable in `depth` and `context`. The order of summation on a GPU is not fixed.

    Args:
        depth: Weight of each point, a distribution along each ray.
        context: Features of each pixel.
        cells: Voxel of each point, from `voxel_cells`.
        shape: Cells of the grid along x, y, z.
    """
    batch, _, channels = context.shape[:3]
    sample = torch.arange(batch, device=cells.device).view(-1, 1, 1, 1, 1)
    voxels = shape[0] * shape[1] * shape[2]
    b, cam, bin_, row, column = torch.where(cells != OUTSIDE)
    index = (sample * voxels + cells)[b, cam, bin_, row, column]
    points = depth[b, cam, bin_, row, column, None] * context[b, cam, :, row, column]
    volume = points.new_zeros(batch * voxels, channels).index_add(0, index, points)
    return volume.view(batch, *shape, channels).permute(0, 4, 1, 2, 3)
