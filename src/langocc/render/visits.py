# SPDX-License-Identifier: Apache-2.0
"""Rendering as a sparse matrix of rays x voxels, in vectorised torch.

A sample visits eight voxels. Neighbouring samples mostly lie between the same eight, so runs of
such samples are merged: about 800 visits of a ray become some 200.
"""

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from langocc.render.lookup import (
    Box,
    corner_voxels,
    corner_weights,
    corners,
    voxel_coordinates,
)

Context = Any  # autograd contexts carry whatever `forward` puts on them


@dataclass(frozen=True)
class Visits:
    """Sparse matrix of what each ray takes from each voxel; entries of a ray are contiguous.

    Attributes:
        voxel: Flat voxel index over [batch, x, y, z]; a ray may name one more than once.
        share: Weight of that voxel in the ray; differentiable.
        begin: First entry of each ray, rays of all scenes in order.
    """

    voxel: Int[Tensor, " visit"]
    share: Float[Tensor, " visit"]
    begin: Int[Tensor, " ray"]


def merge_visits(
    weights: Float[Tensor, "batch ray sample"],
    points_m: Float[Tensor, "batch ray sample 3"],
    box: Box,
    cells: tuple[int, int, int],
) -> Visits:
    """Merges the visits of samples between the same eight voxels.

    Args:
        weights: Share of the ray that each sample stops; the gradient goes to them.
        points_m: Sample positions, metres.
        box: What the volume fills.
        cells: Voxels along x, y, z.
    """
    batch, rays, _, _ = points_m.shape
    coordinates = voxel_coordinates(points_m, box, cells).flatten(0, 2)
    base = coordinates.floor()
    is_near = ((base >= -1) & (base < base.new_tensor(cells))).all(-1)
    kept = is_near.nonzero()[:, 0]
    fraction = (coordinates - base)[kept]
    base = base[kept].long()
    is_start = torch.ones_like(kept, dtype=torch.bool)
    ray = torch.div(kept, points_m.shape[2], rounding_mode="floor")
    is_start[1:] = (base[1:] != base[:-1]).any(-1) | (ray[1:] != ray[:-1])
    first = is_start.nonzero()[:, 0]
    run = is_start.cumsum(0) - 1
    visit = weights.flatten()[kept, None] * corner_weights(fraction).to(weights)
    share = visit.new_zeros(first.shape[0], 8).index_add(0, run, visit)
    voxel, ray = corner_voxels(base[first], cells), ray[first]
    return _gather_inside(voxel, share, ray, (batch, rays), cells)


def point_visits(
    points_m: Float[Tensor, "batch point 3"],
    box: Box,
    cells: tuple[int, int, int],
    align_corners: bool = True,
) -> Visits:
    """The trilinear weights of points, each point in the place of a ray."""
    batch, points, _ = points_m.shape
    coordinates = voxel_coordinates(points_m.flatten(0, 1), box, cells, align_corners)
    voxel, share = corners(coordinates, cells)
    owner = torch.arange(batch * points, device=points_m.device)
    return _gather_inside(voxel, share, owner, (batch, points), cells)


def _gather_inside(
    voxel: Int[Tensor, "run 8"],
    share: Float[Tensor, "run 8"],
    ray: Int[Tensor, " run"],
    shape: tuple[int, int],
    cells: tuple[int, int, int],
) -> Visits:
    """Drops corners outside the volume and numbers voxels through the scenes of the batch.

    Args:
        voxel: Flat index within a scene, -1 outside.
        share: Weights of the corners.
        ray: Ascending index of the ray, through the scenes.
        shape: Scenes, rays of each.
        cells: Voxels along x, y, z.
    """
    scenes, rays = shape
    is_inside = voxel >= 0
    kept = is_inside.flatten().nonzero()[:, 0]
    scene = torch.div(ray, max(rays, 1), rounding_mode="floor")
    voxel = voxel + (scene * (cells[0] * cells[1] * cells[2]))[:, None]
    per_ray = torch.zeros(scenes * rays, dtype=torch.long, device=voxel.device)
    per_ray.index_add_(0, ray, is_inside.sum(-1))
    return Visits(voxel.flatten()[kept], share.flatten()[kept], per_ray.cumsum(0) - per_ray)


def number_touched(
    voxel: Int[Tensor, " visit"], voxels: int
) -> tuple[Int[Tensor, " touched"], Int[Tensor, " visit"]]:
    """Voxels that any ray visits, ascending, and each visit's position among them."""
    is_touched = torch.zeros(voxels, dtype=torch.bool, device=voxel.device)
    is_touched.index_fill_(0, voxel, True)
    position = is_touched.cumsum(0) - 1
    return is_touched.nonzero()[:, 0], position[voxel]


class _CompositeRows(torch.autograd.Function):
    """Sparse x dense product; its backward is the transposed product, not a scatter."""

    @staticmethod
    def forward(ctx: Context, rows: Tensor, share: Tensor, row: Tensor, begin: Tensor) -> Tensor:
        with torch.enable_grad():  # torch itself differentiates with respect to the shares
            leaf = share.detach().requires_grad_(share.requires_grad)
            out = functional.embedding_bag(
                row, rows.detach(), begin, mode="sum", per_sample_weights=leaf
            )
        ctx.leaf, ctx.out = leaf, out
        ctx.rows = rows.shape[0]
        ctx.save_for_backward(row, begin)
        return out.detach()

    @staticmethod
    @once_differentiable
    def backward(ctx: Context, gradient: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        row, begin = ctx.saved_tensors
        wants_rows, wants_share, *_ = ctx.needs_input_grad
        gradient = gradient.contiguous()
        rows_gradient = share_gradient = None
        if wants_rows:
            order = row.int().sort(stable=True).indices
            per_row = torch.bincount(row, minlength=ctx.rows)
            end = torch.cat([begin[1:], begin.new_tensor([row.shape[0]])])
            ray = torch.repeat_interleave(end - begin)
            rows_gradient = functional.embedding_bag(
                ray[order],
                gradient,
                per_row.cumsum(0) - per_row,
                mode="sum",
                per_sample_weights=ctx.leaf.detach()[order],
            )
        if wants_share:
            (share_gradient,) = torch.autograd.grad(
                ctx.out,
                ctx.leaf,
                gradient,
                retain_graph=True,
            )
        return rows_gradient, share_gradient, None, None


def composite_rows(
    rows: Float[Tensor, "row channel"],
    share: Float[Tensor, " visit"],
    row: Int[Tensor, " visit"],
    begin: Int[Tensor, " ray"],
) -> Float[Tensor, "ray channel"]:
    """Sum of share * row over the visits of each ray; differentiable in rows and shares."""
    if row.numel() == 0:
        return rows.new_zeros(begin.shape[0], rows.shape[1])
    return _CompositeRows.apply(rows, share.to(rows.dtype), row, begin)  # type: ignore[return-value]
