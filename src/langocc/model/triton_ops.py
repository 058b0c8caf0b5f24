# SPDX-License-Identifier: Apache-2.0
"""The stereo cost volume and the sum into voxels on a GPU, one kernel a pass.

Equal to `projection.stereo_grid`, `cost_volume.stereo_cost_volume` and `lift.splat` to the rounding
of float32.
"""

from typing import Any

import torch
import triton
from jaxtyping import Float, Int
from torch import Tensor
from torch.autograd.function import once_differentiable

from langocc.geometry.grid import VoxelGrid
from langocc.geometry.rig import CameraRig
from langocc.model import kernels
from langocc.model.cost_volume import deciding_channel
from langocc.model.projection import BEHIND, NEAREST_M, stereo_numbers

Context = Any  # autograd contexts carry whatever `forward` puts on them

MATCH = {"PIXELS": 2, "num_warps": 1}
"""Pixels that one program of the cost volume follows through all depths, and its warps."""
GRID_BLOCK = 512
"""Points that one program moves to, or finds in, the reference image."""
LIFTED = {"PIXELS": 16, "DEPTHS": 8}
"""Pixels and depths that one program lifts at a time."""


@torch.no_grad()
def triton_stereo_grid(
    rig: CameraRig,
    frame: int,
    frustum: Float[Tensor, "3 depth height width"],
    input_size: tuple[int, int],
) -> Float[Tensor, "batch cam depth height width 2"]:
    """As `projection.stereo_grid`, which passes over all points some fifty times."""
    numbers = stereo_numbers(rig, frame).to(frustum.device, non_blocking=True)
    return triton_grid_from(numbers, frustum, input_size)


@torch.no_grad()
def triton_grid_from(
    numbers: Float[Tensor, "batch cam 28"],
    frustum: Float[Tensor, "3 depth height width"],
    input_size: tuple[int, int],
) -> Float[Tensor, "batch cam depth height width 2"]:
    """As `projection.grid_from`."""
    batch, cams, count = numbers.shape
    grid = frustum.new_empty(batch, cams, *frustum.shape[1:], 2)
    points = frustum[0].numel()
    height, width = input_size
    kernels.stereo_grid_kernel[(triton.cdiv(points, GRID_BLOCK), batch * cams)](
        frustum.contiguous(), numbers.contiguous(), grid,
        points, float(width - 1), float(height - 1), NEAREST_M, BEHIND,
        NUMBERS=count, BLOCK=GRID_BLOCK,
    )  # fmt: skip
    return grid


@torch.no_grad()
def triton_cells_from(
    numbers: Float[Tensor, "batch cam 27"],
    frustum: Float[Tensor, "3 depth height width"],
    grid: VoxelGrid,
    *,
    truncated: bool,
) -> Int[Tensor, "batch cam depth height width"]:
    """As `fused.fused_cells_from`; points that rounding moves over a border change voxels."""
    batch, cams, count = numbers.shape
    cells = torch.empty(batch, cams, *frustum.shape[1:], dtype=torch.long, device=frustum.device)
    points = frustum[0].numel()
    kernels.lifted_cells_kernel[(triton.cdiv(points, GRID_BLOCK), batch * cams)](
        frustum.contiguous(), numbers.contiguous(), cells, points, *grid.lower_m, *grid.edges_m,
        *grid.shape, TRUNCATED=truncated, NUMBERS=count, BLOCK=GRID_BLOCK,
    )  # fmt: skip
    return cells


@torch.no_grad()
def triton_cost_volume(
    current: Float[Tensor, "view channel height width"],
    reference: Float[Tensor, "view channel height width"],
    grid: Float[Tensor, "view depth height width 2"],
    *,
    invalid_cost: float,
    zero_is_invalid: bool,
) -> Float[Tensor, "view depth height width"]:
    """As `cost_volume.stereo_cost_volume`; sums in float32, whatever the features are."""
    (views, channels, height, width), bins = current.shape, grid.shape[1]
    scores = grid.new_empty(views, height, width, bins, dtype=torch.float32)
    if scores.numel():
        bordered = reference.new_zeros(views, height + 2, width + 2, channels)
        bordered[:, 1:-1, 1:-1] = reference.permute(0, 2, 3, 1)
        watched = bordered[..., deciding_channel(channels)].float().contiguous()
        place = grid.new_empty(grid.shape[:-1], dtype=torch.int32)
        right, below = torch.empty_like(scores), torch.empty_like(scores)
        points = scores[0].numel()
        kernels.match_kernel[(triton.cdiv(points, GRID_BLOCK), views)](
            grid.float().contiguous(), watched, place, right, below, points, height, width,
            IS_WATCHED=zero_is_invalid, BLOCK=GRID_BLOCK,
        )  # fmt: skip
        kernels.cost_volume_kernel[(triton.cdiv(height * width, MATCH["PIXELS"]), views)](
            current.permute(0, 2, 3, 1).contiguous(), bordered, place, right, below, scores,
            bins, height, width, float(invalid_cost),
            CHANNELS=channels, CHANNEL_BLOCK=triton.next_power_of_2(channels), **MATCH,
        )  # fmt: skip
    return scores.softmax(dim=-1).movedim(-1, 1)


class _Splat(torch.autograd.Function):
    """The volume as rows of voxels, from depth and from rows of pixels."""

    @staticmethod
    def forward(ctx: Context, depth: Tensor, context: Tensor, cells: Tensor, voxels: int) -> Tensor:
        batch, cams, bins, height, width = depth.shape
        pixels, channels = height * width, context.shape[-1]
        volume = torch.zeros(batch * voxels, channels, dtype=torch.float32, device=depth.device)
        ctx.views, ctx.sizes = batch * cams, (cams, bins, pixels, voxels)
        ctx.blocks = LIFTED | {
            "CHANNELS": channels,
            "CHANNEL_BLOCK": triton.next_power_of_2(channels),
        }
        ctx.save_for_backward(depth, context, cells)
        if depth.numel():
            blocks = [triton.cdiv(pixels, LIFTED["PIXELS"]), triton.cdiv(bins, LIFTED["DEPTHS"])]
            kernels.splat_kernel[(*blocks, ctx.views)](
                depth, context, cells, volume, *ctx.sizes, **ctx.blocks
            )
        return volume.to(torch.promote_types(depth.dtype, context.dtype))

    @staticmethod
    @once_differentiable
    def backward(ctx: Context, d_volume: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        depth, context, cells = ctx.saved_tensors
        d_depth, d_context = torch.empty_like(depth), torch.empty_like(context)
        if depth.numel():
            blocks = triton.cdiv(depth.shape[3] * depth.shape[4], LIFTED["PIXELS"])
            kernels.splat_backward_kernel[(blocks, ctx.views)](
                depth, context, cells, d_volume.contiguous(), d_depth, d_context,
                *ctx.sizes, **ctx.blocks,
            )  # fmt: skip
        return d_depth, d_context, None, None


def triton_splat(
    depth: Float[Tensor, "batch cam depth height width"],
    context: Float[Tensor, "batch cam channel height width"],
    cells: Int[Tensor, "batch cam depth height width"],
    shape: tuple[int, int, int],
) -> Float[Tensor, "batch channel x y z"]:
    """As `lift.splat`, without a feature for each point.

    Points are added in whatever order the GPU runs them: two runs differ by the rounding of float32
    and by nothing else. Gradients are sums in a fixed order.
    """
    voxels = shape[0] * shape[1] * shape[2]
    rows = context.permute(0, 1, 3, 4, 2).contiguous()
    volume: Tensor = _Splat.apply(depth.contiguous(), rows, cells.contiguous(), voxels)  # type: ignore[assignment]
    return volume.view(depth.shape[0], *shape, -1).permute(0, 4, 1, 2, 3)
