# SPDX-License-Identifier: Apache-2.0
"""Triton kernels on hidden rows of touched voxels; `triton_rows` and `moved_rows` call them.

The sparse matrix of rays x voxels is that of `ray_kernels`.
"""
# ruff: noqa: ANN001, ANN201, N803 - Triton types arguments; constants are upper case there.

from typing import no_type_check

import triton
import triton.language as tl


@triton.jit
@no_type_check
def composite_kernel(
    rows, inverse, row_of_voxel, voxel, share, runs, seen, seen_inverse,
    CHANNELS: tl.constexpr, SLOTS: tl.constexpr, BLOCK: tl.constexpr, CHANNEL_BLOCK: tl.constexpr,
):  # fmt: skip
    """Sums of share * inverse * row and of share * inverse over a ray's visits."""
    ray = tl.program_id(0).to(tl.int64)
    channel = tl.arange(0, CHANNEL_BLOCK)
    within = tl.arange(0, BLOCK)
    slots = tl.load(runs + ray) * 8
    total = tl.zeros((BLOCK, CHANNEL_BLOCK), tl.float32)
    total_inverse = tl.zeros((BLOCK,), tl.float32)
    for first in range(0, slots, BLOCK):
        slot = first + within
        found = tl.load(voxel + ray * SLOTS + slot, mask=slot < slots, other=-1)
        mask = found >= 0
        index = tl.load(row_of_voxel + found, mask=mask, other=0)
        part = tl.load(share + ray * SLOTS + slot, mask=mask, other=0.0)
        part *= tl.load(inverse + index, mask=mask, other=0.0)
        at = index.to(tl.int64)[:, None] * CHANNELS + channel[None, :]
        tile = tl.load(rows + at, mask=mask[:, None] & (channel < CHANNELS)[None, :], other=0.0)
        total += part[:, None] * tile.to(tl.float32)
        total_inverse += part
    out = tl.sum(total, axis=0).to(seen.dtype.element_ty)
    tl.store(seen + ray * CHANNELS + channel, out, mask=channel < CHANNELS)
    tl.store(seen_inverse + ray, tl.sum(total_inverse, axis=0))


@triton.jit
@no_type_check
def share_backward_kernel(
    rows, inverse, row_of_voxel, voxel, runs, d_seen, d_seen_inverse, d_share,
    CHANNELS: tl.constexpr, SLOTS: tl.constexpr, BLOCK: tl.constexpr, CHANNEL_BLOCK: tl.constexpr,
):  # fmt: skip
    """Gradient of the shares: the ray's gradient on every row that it visits."""
    ray = tl.program_id(0).to(tl.int64)
    channel = tl.arange(0, CHANNEL_BLOCK)
    within = tl.arange(0, BLOCK)
    slots = tl.load(runs + ray) * 8
    gradient = tl.load(d_seen + ray * CHANNELS + channel, mask=channel < CHANNELS, other=0.0)
    gradient = gradient.to(tl.float32)
    gradient_inverse = tl.load(d_seen_inverse + ray)
    for first in range(0, slots, BLOCK):
        slot = first + within
        found = tl.load(voxel + ray * SLOTS + slot, mask=slot < slots, other=-1)
        mask = found >= 0
        index = tl.load(row_of_voxel + found, mask=mask, other=0)
        at = index.to(tl.int64)[:, None] * CHANNELS + channel[None, :]
        tile = tl.load(rows + at, mask=mask[:, None] & (channel < CHANNELS)[None, :], other=0.0)
        gain = tl.sum(tile.to(tl.float32) * gradient[None, :], axis=1) + gradient_inverse
        gain *= tl.load(inverse + index, mask=mask, other=0.0)
        tl.store(d_share + ray * SLOTS + slot, gain, mask=slot < slots)


@triton.jit
@no_type_check
def transpose_kernel(
    voxel, share, runs, cursor, ray_of, share_of,
    SLOTS: tl.constexpr, SLOT_BLOCK: tl.constexpr,
):  # fmt: skip
    """Files a ray's visits under the voxels they name: the second pass of a counting sort."""
    ray = tl.program_id(0).to(tl.int64)
    slot = tl.arange(0, SLOT_BLOCK)
    in_use = slot < tl.load(runs + ray) * 8
    index = tl.load(voxel + ray * SLOTS + slot, mask=in_use, other=-1)
    mask = index >= 0
    part = tl.load(share + ray * SLOTS + slot, mask=mask, other=0.0)
    place = tl.atomic_add(cursor + index, 1, mask=mask)
    tl.store(ray_of + place, ray.to(tl.int32), mask=mask)
    tl.store(share_of + place, part, mask=mask)


@triton.jit
@no_type_check
def rows_backward_kernel(
    ray_of, share_of, touched, begin, visits, rows, product, cross, inverse, d_seen, d_seen_inverse,
    d_rows, scaled, d_norm,
    CHANNELS: tl.constexpr, BLOCK: tl.constexpr, CHANNEL_BLOCK: tl.constexpr,
):  # fmt: skip
    """Gradients of one row from the rays that visit it, its norm included.

    Of the squared norm: `d_norm`; the row times that: `scaled`, which may be `product`. A norm that
    was clamped has no gradient.
    """
    row = tl.program_id(0).to(tl.int64)
    channel = tl.arange(0, CHANNEL_BLOCK)
    within = tl.arange(0, BLOCK)
    voxel = tl.load(touched + row)
    first = tl.load(begin + voxel)
    count = tl.load(visits + voxel)
    total = tl.zeros((BLOCK, CHANNEL_BLOCK), tl.float32)
    total_inverse = tl.zeros((BLOCK,), tl.float32)
    for step in range(0, count, BLOCK):
        visit = first + step + within
        mask = step + within < count
        ray = tl.load(ray_of + visit, mask=mask, other=0)
        part = tl.load(share_of + visit, mask=mask, other=0.0)
        at = ray.to(tl.int64)[:, None] * CHANNELS + channel[None, :]
        tile = tl.load(d_seen + at, mask=mask[:, None] & (channel < CHANNELS)[None, :], other=0.0)
        total += part[:, None] * tile.to(tl.float32)
        total_inverse += part * tl.load(d_seen_inverse + ray, mask=mask, other=0.0)
    at = row * CHANNELS + channel
    mask = channel < CHANNELS
    summed = tl.sum(total, axis=0)
    here = tl.load(rows + at, mask=mask, other=0.0).to(tl.float32)
    there = tl.load(product + at, mask=mask, other=0.0).to(tl.float32)
    there += tl.load(cross + channel, mask=mask, other=0.0)
    one_over = tl.load(inverse + row)
    d_inverse = tl.sum(summed * here, axis=0) + tl.sum(total_inverse, axis=0)
    slope = -0.5 * one_over * one_over * one_over * d_inverse
    slope = tl.where(one_over < 9.9e11, slope, 0.0)
    out = summed * one_over + 2 * slope * there
    tl.store(d_rows + at, out.to(d_rows.dtype.element_ty), mask=mask)
    tl.store(scaled + at, (slope * here).to(scaled.dtype.element_ty), mask=mask)
    tl.store(d_norm + row, slope)


@triton.jit
@no_type_check
def norms_kernel(
    rows, product, cross, square, inverse, count,
    CHANNELS: tl.constexpr, BLOCK: tl.constexpr, CHANNEL_BLOCK: tl.constexpr,
):  # fmt: skip
    """One over |W h + b| of rows h, from product = h W^T W, cross = W^T b, square = b^T b."""
    row = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    channel = tl.arange(0, CHANNEL_BLOCK)
    at = row[:, None] * CHANNELS + channel[None, :]
    mask = (row < count)[:, None] & (channel < CHANNELS)[None, :]
    here = tl.load(rows + at, mask=mask, other=0.0).to(tl.float32)
    there = tl.load(product + at, mask=mask, other=0.0).to(tl.float32)
    there += 2 * tl.load(cross + channel, mask=channel < CHANNELS, other=0.0)[None, :]
    norm = tl.sum(here * there, axis=1) + tl.load(square)
    tl.store(inverse + row, 1 / tl.sqrt(tl.maximum(norm, 1e-24)), mask=row < count)


@triton.jit
@no_type_check
def column_sums_kernel(
    table, partial, count,
    CHANNELS: tl.constexpr, BLOCK: tl.constexpr, STEPS: tl.constexpr, CHANNEL_BLOCK: tl.constexpr,
):  # fmt: skip
    """Sums over `STEPS` blocks of rows."""
    program = tl.program_id(0).to(tl.int64)
    channel = tl.arange(0, CHANNEL_BLOCK)
    total = tl.zeros((BLOCK, CHANNEL_BLOCK), tl.float32)
    for step in range(STEPS):
        row = (program * STEPS + step) * BLOCK + tl.arange(0, BLOCK)
        mask = (row < count)[:, None] & (channel < CHANNELS)[None, :]
        at = row[:, None] * CHANNELS + channel[None, :]
        total += tl.load(table + at, mask=mask, other=0.0).to(tl.float32)
    out = partial + program * CHANNELS + channel
    tl.store(out, tl.sum(total, axis=0), mask=channel < CHANNELS)


@triton.jit
@no_type_check
def zero_rows_kernel(
    table, keeps, count,
    CHANNELS: tl.constexpr, BLOCK: tl.constexpr, CHANNEL_BLOCK: tl.constexpr,
):  # fmt: skip
    """Zeros in all rows of a table but those to keep."""
    row = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    channel = tl.arange(0, CHANNEL_BLOCK)
    is_kept = tl.load(keeps + row, mask=row < count, other=1)
    mask = (is_kept == 0)[:, None] & (channel < CHANNELS)[None, :]
    at = row[:, None] * CHANNELS + channel[None, :]
    tl.store(table + at, tl.zeros((BLOCK, CHANNEL_BLOCK), table.dtype.element_ty), mask=mask)


@triton.jit
@no_type_check
def move_rows_kernel(
    packed, index, table, count,
    CHANNELS: tl.constexpr, TAKES: tl.constexpr, BLOCK: tl.constexpr, CHANNEL_BLOCK: tl.constexpr,
):  # fmt: skip
    """Takes `packed` from rows `index` of a table, or puts it there."""
    row = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    channel = tl.arange(0, CHANNEL_BLOCK)
    there = tl.load(index + row, mask=row < count, other=0)
    mask = (row < count)[:, None] & (channel < CHANNELS)[None, :]
    in_table = table + there[:, None] * CHANNELS + channel[None, :]
    in_packed = packed + row[:, None] * CHANNELS + channel[None, :]
    if TAKES:
        tl.store(in_packed, tl.load(in_table, mask=mask), mask=mask)
    else:
        tl.store(in_table, tl.load(in_packed, mask=mask), mask=mask)
