# SPDX-License-Identifier: Apache-2.0
"""The product of the sparse matrix rays x voxels with hidden rows, and its transpose."""

from dataclasses import dataclass
from typing import Any

import torch
import triton
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from langocc.render import kernels
from langocc.render.triton_rays import SparseRays
from langocc.render.volume import VoxelHead

Context = Any  # autograd contexts carry whatever `forward` puts on them
Kernel = Any  # Triton's type depends on whether it compiles or interprets

COMPOSITE = {"BLOCK": 2, "num_warps": 1}
SHARES = {"BLOCK": 8, "num_warps": 1}
ROWS = {"BLOCK": 2, "num_warps": 1}
NORMS = {"BLOCK": 8, "num_warps": 4}
NUMBER = {"num_warps": 4}
TRANSPOSE = {"num_warps": 4}
"""Rows that a program of each kernel works on at once, and its warps: the fastest on an H200. A
tile is held by one warp, so that its sums need no shared memory (docs/performance.md)."""


@dataclass(frozen=True)
class NumberedRays:
    """The sparse matrix with rows of touched voxels instead of voxels.

    Attributes:
        row: Row of each slot in use, -1 outside the grid.
        runs: Runs of each ray; it uses its first 8 * runs slots.
        visits: How often each row is visited.
        total: No fewer than all visits together.
    """

    row: Int[Tensor, "ray slot"]
    runs: Int[Tensor, " ray"]
    visits: Int[Tensor, " row"]
    total: int


@torch.no_grad()
def number_rows(rays: SparseRays) -> tuple[Int[Tensor, " row"], NumberedRays]:
    """Touched voxels, ascending, and the sparse matrix over them. Waits once for the device."""
    row_of_voxel = rays.touched.cumsum(0, dtype=torch.int32) - 1
    rows, runs = torch.stack([rays.touched.sum(), rays.runs.sum()]).tolist()
    voxels, row = row_of_voxel.shape[0], torch.empty_like(rays.voxel)
    # Every voxel writes its index to its row; those that have none write behind the last row.
    place = torch.where(rays.touched > 0, row_of_voxel, rows).long()
    index = torch.arange(voxels, device=row.device)
    touched = index.new_empty(rows + 1).scatter_(0, place, index)[:rows]
    visits = torch.zeros(rows, dtype=torch.int32, device=row.device)
    count, slots = row.shape
    if count:
        kernels.number_kernel[(count,)](
            rays.voxel, rays.runs, row_of_voxel, row, visits,
            SLOTS=slots, SLOT_BLOCK=triton.next_power_of_2(slots), **NUMBER,
        )  # fmt: skip
    return touched, NumberedRays(row, rays.runs, visits, 8 * runs)


class _Composite(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Context, rows: Tensor, inverse: Tensor, share: Tensor, numbered: NumberedRays
    ) -> tuple[Tensor, Tensor]:
        (rays, slots), channels = share.shape, rows.shape[1]
        seen, seen_inverse = rows.new_empty(rays, channels), inverse.new_empty(rays)
        if rays:
            kernels.composite_kernel[(rays,)](
                rows, inverse, numbered.row, share, numbered.runs, seen, seen_inverse,
                CHANNELS=channels, SLOTS=slots,
                CHANNEL_BLOCK=triton.next_power_of_2(channels), **COMPOSITE,
            )  # fmt: skip
        ctx.numbered = numbered
        ctx.save_for_backward(rows, inverse, share)
        return seen, seen_inverse

    @staticmethod
    @once_differentiable
    def backward(  # type: ignore[override]
        ctx: Context, d_seen: Tensor, d_seen_inverse: Tensor
    ) -> tuple[Tensor | None, ...]:
        rows, inverse, share = ctx.saved_tensors
        d_seen, d_seen_inverse = d_seen.contiguous(), d_seen_inverse.contiguous()
        numbered, (rays, slots), channels = ctx.numbered, share.shape, rows.shape[1]
        d_share = torch.zeros_like(share)
        if rays:
            kernels.share_backward_kernel[(rays,)](
                rows, inverse, numbered.row, numbered.runs, d_seen, d_seen_inverse, d_share,
                CHANNELS=channels, SLOTS=slots,
                CHANNEL_BLOCK=triton.next_power_of_2(channels), **SHARES,
            )  # fmt: skip
        d_rows, d_inverse = _rows_gradient(rows, inverse, share, numbered, d_seen, d_seen_inverse)
        return d_rows, d_inverse, d_share, None


def _rows_gradient(
    rows: Float[Tensor, "row channel"],
    inverse: Float[Tensor, " row"],
    share: Float[Tensor, "ray slot"],
    numbered: NumberedRays,
    d_seen: Float[Tensor, "ray channel"],
    d_seen_inverse: Float[Tensor, " ray"],
) -> tuple[Float[Tensor, "row channel"], Float[Tensor, " row"]]:
    """Transposed product: visits are filed by row, then every row sums its own."""
    (count, channels), (rays, slots) = rows.shape, share.shape
    d_rows = torch.empty_like(rows)
    d_inverse = d_seen_inverse.new_empty(count)
    if not count:
        return d_rows, d_inverse
    begin = numbered.visits.cumsum(0, dtype=torch.int32) - numbered.visits
    ray_of = torch.empty(numbered.total, dtype=torch.int32, device=rows.device)
    share_of = share.new_empty(numbered.total)
    kernels.transpose_kernel[(rays,)](
        numbered.row, share, numbered.runs, begin.clone(), ray_of, share_of,
        SLOTS=slots, SLOT_BLOCK=triton.next_power_of_2(slots), **TRANSPOSE,
    )  # fmt: skip
    kernels.rows_backward_kernel[(count,)](
        ray_of, share_of, begin, numbered.visits, rows, inverse,
        d_seen, d_seen_inverse, d_rows, d_inverse,
        CHANNELS=channels, CHANNEL_BLOCK=triton.next_power_of_2(channels), **ROWS,
    )  # fmt: skip
    return d_rows, d_inverse


def composite(
    rows: Float[Tensor, "row channel"],
    inverse: Float[Tensor, " row"],
    share: Float[Tensor, "ray slot"],
    numbered: NumberedRays,
) -> tuple[Float[Tensor, "ray channel"], Float[Tensor, " ray"]]:
    """Sums of share * inverse * row and of share * inverse over the visits of each ray.

    Sums run in float32. Equal to `visits.composite_rows` of rows times `inverse`, and of `inverse`.
    """
    return _Composite.apply(rows.contiguous(), inverse.contiguous(), share, numbered)  # type: ignore[return-value]


class _InverseNorms(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Context, rows: Tensor, gram: Tensor, cross: Tensor, square: Tensor) -> Tensor:
        inverse = cross.new_empty(rows.shape[0])
        _on_rows(kernels.norms_kernel, rows, rows @ gram, cross, square, inverse)
        ctx.save_for_backward(rows, gram, cross, inverse)
        return inverse

    @staticmethod
    @once_differentiable
    def backward(ctx: Context, d_inverse: Tensor) -> tuple[Tensor, ...]:  # type: ignore[override]
        rows, gram, cross, inverse = ctx.saved_tensors
        product, d_rows = rows @ gram, torch.empty_like(rows)
        d_norm, scaled = torch.empty_like(inverse), product
        _on_rows(
            kernels.norms_backward_kernel, rows, product, cross, inverse, d_inverse.contiguous(),
            d_rows, scaled, d_norm,
        )  # fmt: skip
        d_cross = 2 * (d_norm.to(rows.dtype) @ rows).float()
        return d_rows, scaled.T @ rows, d_cross, d_norm.sum()


def _on_rows(kernel: Kernel, rows: Tensor, *tables: Tensor) -> None:
    """Runs a kernel over all rows."""
    count, channels = rows.shape
    if count:
        kernel[(triton.cdiv(count, NORMS["BLOCK"]),)](
            rows, *tables, count,
            CHANNELS=channels, CHANNEL_BLOCK=triton.next_power_of_2(channels), **NORMS,
        )  # fmt: skip


def inverse_norms(hidden: Float[Tensor, "row hidden"], last: nn.Linear) -> Float[Tensor, " row"]:
    """One over `rows.output_norms(hidden, last)`, read from memory twice instead of often."""
    weight = last.weight.float()
    gram = (weight.T @ weight).to(hidden.dtype)
    bias = weight.new_zeros(weight.shape[0]) if last.bias is None else last.bias.float()
    return _InverseNorms.apply(hidden.contiguous(), gram, bias @ weight, bias.square().sum())  # type: ignore[return-value]


def hidden_rows(
    features: Float[Tensor, "row feature"], head: VoxelHead
) -> tuple[Float[Tensor, "row hidden"], Float[Tensor, " row"]]:
    """Hidden features, and one over the norm of the output they lead to."""
    hidden = head.hidden(features)
    with torch.autocast(features.device.type, enabled=False):
        return hidden, inverse_norms(hidden, head.last)
