# SPDX-License-Identifier: Apache-2.0
"""Triton kernels of the stereo cost volume and of the sum into voxels; `triton_ops` calls them.

Feature tables are channels last: a pixel's or a voxel's features lie together, and are read in one
go.
"""
# ruff: noqa: ANN001, ANN201, ANN202, N803 - Triton types arguments; constants are upper case there.

from typing import no_type_check

import triton
import triton.language as tl


@triton.jit
@no_type_check  # keeps runtime type checkers away from what only Triton can read
def _corner(x, y, left, top, W, H, RIGHT: tl.constexpr, BELOW: tl.constexpr):
    """Pixel of one of the four around (x, y), -1 outside the image, and its bilinear weight."""
    column = left.to(tl.int32) + RIGHT
    row = top.to(tl.int32) + BELOW
    inside = (column >= 0) & (column < W) & (row >= 0) & (row < H)
    wx = x - left if RIGHT else left + 1.0 - x
    wy = y - top if BELOW else top + 1.0 - y
    return tl.where(inside, row * W + column, -1), wx * wy


@triton.jit
@no_type_check
def _features(table, pixel, first, CHANNELS: tl.constexpr, CHANNEL_BLOCK: tl.constexpr):
    """A block of channels of each pixel, in float32; 0 where the pixel is -1."""
    channel = first + tl.arange(0, CHANNEL_BLOCK)
    mask = (pixel >= 0)[:, None] & (channel < CHANNELS)[None, :]
    at = pixel[:, None] * CHANNELS + channel[None, :]
    return tl.load(table + at, mask=mask, other=0.0).to(tl.float32)


@triton.jit
@no_type_check
def _one_channel(table, pixel, CHANNEL: tl.constexpr, CHANNELS: tl.constexpr):
    """One channel of each pixel, in float32; 0 where the pixel is -1."""
    value = tl.load(table + pixel * CHANNELS + CHANNEL, mask=pixel >= 0, other=0.0)
    return value.to(tl.float32)


@triton.jit
@no_type_check
def cost_volume_kernel(
    current, reference, grid, score,
    D, H, W, invalid_cost,
    CHANNELS: tl.constexpr, CHANNEL_BLOCK: tl.constexpr, WATCHED: tl.constexpr,
    DEPTHS: tl.constexpr, COLUMNS: tl.constexpr, ROWS: tl.constexpr,
):  # fmt: skip
    """Minus the cost of a few neighbouring pixels at a few neighbouring depths.

    They see the same small piece of the reference image, so most reads come from the nearest
    cache. `WATCHED` is the channel whose zero makes a match invalid; below 0, being outside does.
    """
    view = tl.program_id(2).to(tl.int64)
    point = tl.arange(0, DEPTHS * COLUMNS * ROWS)
    blocks = tl.cdiv(W, COLUMNS)
    column = tl.program_id(0) % blocks * COLUMNS + point // DEPTHS % COLUMNS
    row = tl.program_id(0) // blocks * ROWS + point // (DEPTHS * COLUMNS)
    depth = tl.program_id(1) * DEPTHS + point % DEPTHS
    valid = (column < W) & (row < H) & (depth < D)
    pixel = tl.where(valid, row * W + column, -1)
    current += view * H * W * CHANNELS
    reference += view * H * W * CHANNELS
    place = view * D * H * W + (depth * H + row) * W + column

    across = tl.load(grid + 2 * place, mask=valid, other=-2.0)
    down = tl.load(grid + 2 * place + 1, mask=valid, other=-2.0)
    # Clamped just outside the image, where all positions are alike, and fit an integer.
    x = tl.minimum(tl.maximum((across + 1.0) / 2.0 * (W - 1), -2.0), W * 1.0)
    y = tl.minimum(tl.maximum((down + 1.0) / 2.0 * (H - 1), -2.0), H * 1.0)
    left, top = tl.floor(x), tl.floor(y)
    pixel0, weight0 = _corner(x, y, left, top, W, H, 0, 0)
    pixel1, weight1 = _corner(x, y, left, top, W, H, 1, 0)
    pixel2, weight2 = _corner(x, y, left, top, W, H, 0, 1)
    pixel3, weight3 = _corner(x, y, left, top, W, H, 1, 1)

    total = tl.zeros((DEPTHS * COLUMNS * ROWS, CHANNEL_BLOCK), tl.float32)
    for first in range(0, CHANNELS, CHANNEL_BLOCK):
        warped = weight0[:, None] * _features(reference, pixel0, first, CHANNELS, CHANNEL_BLOCK)
        warped += weight1[:, None] * _features(reference, pixel1, first, CHANNELS, CHANNEL_BLOCK)
        warped += weight2[:, None] * _features(reference, pixel2, first, CHANNELS, CHANNEL_BLOCK)
        warped += weight3[:, None] * _features(reference, pixel3, first, CHANNELS, CHANNEL_BLOCK)
        total += tl.abs(_features(current, pixel, first, CHANNELS, CHANNEL_BLOCK) - warped)
    cost = tl.sum(total, axis=1)

    if WATCHED >= 0:
        watched = weight0 * _one_channel(reference, pixel0, WATCHED, CHANNELS)
        watched += weight1 * _one_channel(reference, pixel1, WATCHED, CHANNELS)
        watched += weight2 * _one_channel(reference, pixel2, WATCHED, CHANNELS)
        watched += weight3 * _one_channel(reference, pixel3, WATCHED, CHANNELS)
        is_invalid = watched == 0.0
    else:
        is_invalid = (tl.abs(across) > 1.0) | (tl.abs(down) > 1.0)
    tl.store(score + place, -(cost + tl.where(is_invalid, invalid_cost, 0.0)), mask=valid)


@triton.jit
@no_type_check
def _times3(matrix, x, y, z):
    """A row of a matrix times a point."""
    total = tl.load(matrix) * x
    total += tl.load(matrix + 1) * y
    return total + tl.load(matrix + 2) * z


@triton.jit
@no_type_check
def _times2(matrix, x, y):
    """A row of a matrix times a pixel."""
    return tl.load(matrix) * x + tl.load(matrix + 1) * y


@triton.jit
@no_type_check
def stereo_grid_kernel(
    frustum, numbers, grid, points, last_column, last_row, nearest, behind,
    NUMBERS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Where points of one camera's frustum appear; `projection.stereo_numbers` says with what."""
    view = tl.program_id(1).to(tl.int64)
    point = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    valid = point < points
    u = tl.load(frustum + point, mask=valid, other=0.0)
    v = tl.load(frustum + points + point, mask=valid, other=0.0)
    depth = tl.load(frustum + 2 * points + point, mask=valid, other=1.0)
    of_view = numbers + view * NUMBERS
    u -= tl.load(of_view + 4)
    v -= tl.load(of_view + 5)
    ray_x = _times2(of_view, u, v) * depth
    ray_y = _times2(of_view + 2, u, v) * depth
    x = _times3(of_view + 6, ray_x, ray_y, depth) + tl.load(of_view + 15)
    y = _times3(of_view + 9, ray_x, ray_y, depth) + tl.load(of_view + 16)
    z = _times3(of_view + 12, ray_x, ray_y, depth) + tl.load(of_view + 17)
    image_u = tl.div_rn(_times3(of_view + 18, x, y, z), z)
    image_v = tl.div_rn(_times3(of_view + 21, x, y, z), z)
    across = _times2(of_view + 24, image_u, image_v) + tl.load(of_view + 4)
    down = _times2(of_view + 26, image_u, image_v) + tl.load(of_view + 5)
    across = tl.where(z < nearest, behind, tl.div_rn(across, last_column) * 2.0 - 1.0)
    down = tl.where(z < nearest, behind, tl.div_rn(down, last_row) * 2.0 - 1.0)
    place = 2 * (view * points + point)
    tl.store(grid + place, across, mask=valid)
    tl.store(grid + place + 1, down, mask=valid)


@triton.jit
@no_type_check
def splat_kernel(
    depth, context, cells, volume,
    cams, bins, pixels, voxels,
    CHANNELS: tl.constexpr, CHANNEL_BLOCK: tl.constexpr,
    PIXELS: tl.constexpr, DEPTHS: tl.constexpr,
):  # fmt: skip
    """Adds depth * context of a few pixels at a few depths to `volume`."""
    view = tl.program_id(2).to(tl.int64)
    pixel = tl.program_id(0) * PIXELS + tl.arange(0, PIXELS)
    bin_ = tl.program_id(1) * DEPTHS + tl.arange(0, DEPTHS)
    channel = tl.arange(0, CHANNEL_BLOCK)
    is_channel = channel < CHANNELS
    at = (view * pixels + pixel)[:, None] * CHANNELS + channel[None, :]
    features = tl.load(
        context + at, mask=(pixel < pixels)[:, None] & is_channel[None, :], other=0.0
    )
    valid = (bin_ < bins)[:, None] & (pixel < pixels)[None, :]
    point = (view * bins + bin_)[:, None] * pixels + pixel[None, :]
    weight = tl.load(depth + point, mask=valid, other=0.0).to(tl.float32)
    cell = tl.load(cells + point, mask=valid, other=-1)
    row = (view // cams) * voxels + cell
    tl.atomic_add(
        volume + row[:, :, None] * CHANNELS + channel[None, None, :],
        weight[:, :, None] * features.to(tl.float32)[None, :, :],
        mask=(cell >= 0)[:, :, None] & is_channel[None, None, :],
        sem="relaxed",
    )


@triton.jit
@no_type_check
def splat_backward_kernel(
    depth, context, cells, d_volume, d_depth, d_context,
    cams, bins, pixels, voxels,
    CHANNELS: tl.constexpr, CHANNEL_BLOCK: tl.constexpr,
    PIXELS: tl.constexpr, DEPTHS: tl.constexpr,
):  # fmt: skip
    """Gradients of a few pixels: each point reads its voxel's gradient once, for both."""
    view = tl.program_id(1).to(tl.int64)
    pixel = tl.program_id(0) * PIXELS + tl.arange(0, PIXELS)
    channel = tl.arange(0, CHANNEL_BLOCK)
    is_channel = channel < CHANNELS
    at = (view * pixels + pixel)[:, None] * CHANNELS + channel[None, :]
    on_image = (pixel < pixels)[:, None] & is_channel[None, :]
    features = tl.load(context + at, mask=on_image, other=0.0).to(tl.float32)
    total = tl.zeros((PIXELS, CHANNEL_BLOCK), tl.float32)
    for first in range(0, bins, DEPTHS):
        bin_ = first + tl.arange(0, DEPTHS)
        valid = (bin_ < bins)[:, None] & (pixel < pixels)[None, :]
        point = (view * bins + bin_)[:, None] * pixels + pixel[None, :]
        weight = tl.load(depth + point, mask=valid, other=0.0).to(tl.float32)
        cell = tl.load(cells + point, mask=valid, other=-1)
        row = (view // cams) * voxels + cell
        gradient = tl.load(
            d_volume + row[:, :, None] * CHANNELS + channel[None, None, :],
            mask=(cell >= 0)[:, :, None] & is_channel[None, None, :],
            other=0.0,
        ).to(tl.float32)
        to_depth = tl.sum(gradient * features[None, :, :], axis=2)
        tl.store(d_depth + point, to_depth.to(d_depth.dtype.element_ty), mask=valid)
        total += tl.sum(gradient * weight[:, :, None], axis=0)
    tl.store(d_context + at, total.to(d_context.dtype.element_ty), mask=on_image)
