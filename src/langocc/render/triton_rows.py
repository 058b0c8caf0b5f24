# SPDX-License-Identifier: Apache-2.0
"""The product of the sparse matrix rays x voxels with hidden rows, and its transpose."""

from dataclasses import dataclass
from typing import Any

import torch
import triton
from jaxtyping import Float, Int
from torch import Tensor
from torch.autograd.function import once_differentiable

from langocc.render import kernels
from langocc.render.triton_rays import SparseRays

Context = Any  # autograd contexts carry whatever `forward` puts on them

BLOCK = 16
"""Visits that a program works on at once."""


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
    """Touched voxels, ascending, and the sparse matrix over them. Waits for the device."""
    touched = rays.touched.nonzero()[:, 0]
    row_of_voxel = rays.touched.cumsum(0, dtype=torch.int32) - 1
    row = torch.empty_like(rays.voxel)
    visits = torch.zeros(touched.shape[0], dtype=torch.int32, device=row.device)
    count, slots = row.shape
    if count:
        kernels.number_kernel[(count,)](
            rays.voxel, rays.runs, row_of_voxel, row, visits,
            SLOTS=slots, SLOT_BLOCK=triton.next_power_of_2(slots),
        )  # fmt: skip
    return touched, NumberedRays(row, rays.runs, visits, 8 * int(rays.runs.sum()))


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
                CHANNELS=channels, SLOTS=slots, BLOCK=BLOCK,
                CHANNEL_BLOCK=triton.next_power_of_2(channels),
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
                CHANNELS=channels, SLOTS=slots, BLOCK=BLOCK,
                CHANNEL_BLOCK=triton.next_power_of_2(channels),
            )  # fmt: skip
        d_rows, d_inverse = _rows_gradient(rows, share, numbered, d_seen, d_seen_inverse)
        return d_rows, d_inverse, d_share, None


def _rows_gradient(
    rows: Float[Tensor, "row channel"],
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
        SLOTS=slots, SLOT_BLOCK=triton.next_power_of_2(slots),
    )  # fmt: skip
    kernels.rows_backward_kernel[(count,)](
        ray_of, share_of, begin, numbered.visits, d_seen, d_seen_inverse, d_rows, d_inverse,
        CHANNELS=channels, BLOCK=BLOCK, CHANNEL_BLOCK=triton.next_power_of_2(channels),
    )  # fmt: skip
    return d_rows, d_inverse


def composite(
    rows: Float[Tensor, "row channel"],
    inverse: Float[Tensor, " row"],
    share: Float[Tensor, "ray slot"],
    numbered: NumberedRays,
) -> tuple[Float[Tensor, "ray channel"], Float[Tensor, " ray"]]:
    """Sums of share * row and of share * inverse over the visits of each ray.

    Sums run in float32. Equal to `visits.composite_rows`.
    """
    return _Composite.apply(rows.contiguous(), inverse.contiguous(), share, numbered)  # type: ignore[return-value]
