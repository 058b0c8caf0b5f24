# SPDX-License-Identifier: Apache-2.0
"""The product of the sparse matrix rays x voxels with hidden rows, and its transpose."""

from dataclasses import dataclass
from typing import Any

import torch
import triton
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from langocc.render import row_kernels
from langocc.render.triton_rays import SparseRays
from langocc.render.volume import refuse_unless

Context = Any  # autograd contexts carry whatever `forward` puts on them

COMPOSITE = {"BLOCK": 2, "num_warps": 1}
SHARES = {"BLOCK": 8, "num_warps": 1}
ROWS = {"BLOCK": 2, "num_warps": 1}
NORMS = {"BLOCK": 8, "num_warps": 4}
TRANSPOSE = {"num_warps": 4}
SUMS = {"BLOCK": 16, "STEPS": 32, "num_warps": 4}
"""Rows that a program of each kernel works on at once, and its warps: the fastest on an H200. A
tile is held by one warp, so that its sums need no shared memory (docs/performance.md). `STEPS`
tiles are summed by one program."""


@dataclass(frozen=True)
class Rows:
    """Touched voxels numbered as rows, and where the visits of each lie when filed by voxel.

    Attributes:
        touched: Voxel of each row, ascending.
        row_of_voxel: Row of each touched voxel.
        begin: First visit of each voxel.
        total: Visits of all voxels together.
    """

    touched: Int[Tensor, " row"]
    row_of_voxel: Int[Tensor, " voxel"]
    begin: Int[Tensor, " voxel"]
    total: int


@torch.no_grad()
def number_rows(rays: SparseRays, is_finite: Bool[Tensor, ""]) -> Rows:
    """Rows of the voxels that rays name.

    Waits for the device, once: with it comes whether the density `is_finite`.

    Raises:
        ValueError: it is not.
    """
    visits = rays.visits
    is_touched, end = visits > 0, visits.cumsum(0, dtype=torch.int32)
    row_of_voxel = is_touched.cumsum(0, dtype=torch.int32) - 1
    # Every voxel writes its index to its row; those that have none write behind all rows.
    place = torch.where(is_touched, row_of_voxel, len(visits)).long()
    index = torch.arange(len(visits), device=visits.device)
    touched = index.new_empty(len(visits) + 1).scatter_(0, place, index)
    begin = end - visits
    last, total, finite = torch.stack([row_of_voxel[-1], end[-1], is_finite.int()]).tolist()
    refuse_unless(bool(finite))
    return Rows(touched[: last + 1], row_of_voxel, begin, total)


class _Composite(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Context,
        rows: Tensor,
        share: Tensor,
        gram: Tensor,
        cross: Tensor,
        square: Tensor,
        sparse: SparseRays,
        numbered: Rows,
    ) -> tuple[Tensor, Tensor]:
        (rays, slots), (count, channels) = share.shape, rows.shape
        inverse = share.new_empty(count)
        seen, seen_inverse = rows.new_empty(rays, channels), share.new_empty(rays)
        blocks = {"CHANNELS": channels, "CHANNEL_BLOCK": triton.next_power_of_2(channels)}
        product = rows @ gram
        if count:
            row_kernels.norms_kernel[(triton.cdiv(count, NORMS["BLOCK"]),)](
                rows, product, cross, square, inverse, count, **blocks, **NORMS
            )
        if rays:
            row_kernels.composite_kernel[(rays,)](
                rows, inverse, numbered.row_of_voxel, sparse.voxel, share, sparse.runs,
                seen, seen_inverse,
                SLOTS=slots, **blocks, **COMPOSITE,
            )  # fmt: skip
        ctx.sparse, ctx.numbered, ctx.blocks = sparse, numbered, blocks
        # No saved tensor, since the backward pass overwrites it; a second one makes it anew.
        ctx.product = product
        ctx.save_for_backward(rows, share, inverse, gram, cross)
        return seen, seen_inverse

    @staticmethod
    @once_differentiable
    def backward(  # type: ignore[override]
        ctx: Context, d_seen: Tensor, d_seen_inverse: Tensor
    ) -> tuple[Tensor | None, ...]:
        rows, share, inverse, gram, cross = ctx.saved_tensors
        d_seen, d_seen_inverse = d_seen.contiguous(), d_seen_inverse.contiguous()
        sparse, numbered, blocks = ctx.sparse, ctx.numbered, ctx.blocks
        rays, slots = share.shape
        d_share = torch.empty_like(share)  # nobody reads the slots that no run uses
        if rays:
            row_kernels.share_backward_kernel[(rays,)](
                rows, inverse, numbered.row_of_voxel, sparse.voxel, sparse.runs,
                d_seen, d_seen_inverse, d_share,
                SLOTS=slots, **blocks, **SHARES,
            )  # fmt: skip
        d_rows, d_norm = torch.empty_like(rows), torch.empty_like(inverse)
        scaled = rows @ gram if ctx.product is None else ctx.product
        ctx.product = None
        if rows.shape[0]:
            row_kernels.rows_backward_kernel[(rows.shape[0],)](
                *_visits_by_voxel(share, sparse, numbered), numbered.touched, numbered.begin,
                sparse.visits, rows, scaled, cross, inverse, d_seen, d_seen_inverse,
                d_rows, scaled, d_norm, **blocks, **ROWS,
            )  # fmt: skip
        return d_rows, d_share, scaled.T @ rows, 2 * _column_sums(scaled), d_norm.sum(), None, None


def _column_sums(table: Float[Tensor, "row channel"]) -> Float[Tensor, " channel"]:
    """`table.sum(0)` in float32; the product with a vector takes twice as long (cuBLAS)."""
    count, channels = table.shape
    programs = triton.cdiv(count, SUMS["BLOCK"] * SUMS["STEPS"])
    partial = torch.empty(programs, channels, dtype=torch.float32, device=table.device)
    if programs:
        row_kernels.column_sums_kernel[(programs,)](
            table, partial, count,
            CHANNELS=channels, CHANNEL_BLOCK=triton.next_power_of_2(channels), **SUMS,
        )  # fmt: skip
    return partial.sum(0)


def _visits_by_voxel(
    share: Float[Tensor, "ray slot"], sparse: SparseRays, numbered: Rows
) -> tuple[Int[Tensor, " visit"], Float[Tensor, " visit"]]:
    """The transposed matrix: ray and share of each visit, those of a voxel together."""
    rays, slots = share.shape
    ray_of = torch.empty(numbered.total, dtype=torch.int32, device=share.device)
    share_of = share.new_empty(numbered.total)
    row_kernels.transpose_kernel[(rays,)](
        sparse.voxel, share, sparse.runs, numbered.begin.clone(), ray_of, share_of,
        SLOTS=slots, SLOT_BLOCK=triton.next_power_of_2(slots), **TRANSPOSE,
    )  # fmt: skip
    return ray_of, share_of


def composite(
    rows: Float[Tensor, "row hidden"],
    last: nn.Linear,
    sparse: SparseRays,
    numbered: Rows,
) -> tuple[Float[Tensor, "ray hidden"], Float[Tensor, " ray"]]:
    """Sums of share * row / norm and of share / norm over the visits of each ray.

    The norm is that of the row's output, |W h + b|, found without forming it. Sums run in float32.
    Equal to `visits.composite_rows` of `rows.unit_rows`.
    """
    weight = last.weight.float()
    gram = (weight.T @ weight).to(rows.dtype)
    bias = weight.new_zeros(weight.shape[0]) if last.bias is None else last.bias.float()
    return _Composite.apply(  # type: ignore[return-value]
        rows.contiguous(), sparse.share, gram, bias @ weight, bias.square().sum(), sparse, numbered
    )
