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
def match_kernel(
    grid, watched, place, right, below,
    points, H, W,
    IS_WATCHED: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Where each point of a view falls: its upper left pixel, and how far right and below of it.

    Pixels are counted in an image with a border of one zero pixel all round. Points that cannot see
    the image go to the corner of the border. Minus one minus the pixel marks an invalid match:
    one where the bilinear value of `watched`, an image with that border, is zero, or, with nothing
    to watch, one outside the image.
    """
    view = tl.program_id(1).to(tl.int64)
    point = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    valid = point < points
    at = view * points + point
    across = tl.load(grid + 2 * at, mask=valid, other=-2.0)
    down = tl.load(grid + 2 * at + 1, mask=valid, other=-2.0)
    x = (across + 1.0) / 2.0 * (W - 1)
    y = (down + 1.0) / 2.0 * (H - 1)
    inside = (x > -1.0) & (x < W) & (y > -1.0) & (y < H)
    x = tl.where(inside, x, -1.0)
    y = tl.where(inside, y, -1.0)
    left, top = tl.floor(x), tl.floor(y)
    wx, wy = x - left, y - top
    pixel = (top.to(tl.int32) + 1) * (W + 2) + left.to(tl.int32) + 1
    if IS_WATCHED:
        near = watched + view * (H + 2) * (W + 2) + pixel
        seen = (1.0 - wx) * (1.0 - wy) * tl.load(near, mask=valid, other=0.0)
        seen += wx * (1.0 - wy) * tl.load(near + 1, mask=valid, other=0.0)
        seen += (1.0 - wx) * wy * tl.load(near + W + 2, mask=valid, other=0.0)
        seen += wx * wy * tl.load(near + W + 3, mask=valid, other=0.0)
        is_invalid = seen == 0.0
    else:
        is_invalid = (tl.abs(across) > 1.0) | (tl.abs(down) > 1.0)
    tl.store(place + at, tl.where(is_invalid, -1 - pixel, pixel), mask=valid)
    tl.store(right + at, wx, mask=valid)
    tl.store(below + at, wy, mask=valid)


@triton.jit
@no_type_check
def _features(table, pixel, CHANNELS: tl.constexpr, CHANNEL_BLOCK: tl.constexpr):
    """All channels of a few pixels, in float32."""
    channel = tl.arange(0, CHANNEL_BLOCK)
    at = pixel[:, None] * CHANNELS + channel[None, :]
    return tl.load(table + at, mask=(channel < CHANNELS)[None, :], other=0.0).to(tl.float32)


@triton.jit
@no_type_check
def cost_volume_kernel(
    current, reference, place, right, below, score,
    D, H, W, invalid_cost,
    CHANNELS: tl.constexpr, CHANNEL_BLOCK: tl.constexpr, PIXELS: tl.constexpr,
):  # fmt: skip
    """Minus the cost of every depth of a few pixels; `match_kernel` says where they fall.

    A pixel's scores lie together, as the convolutions behind take them.

    Walks along depth. Far away, neighbouring depths fall between the same four pixels of the
    reference: what those hold is read once, and a depth costs two products a channel.
    """
    view = tl.program_id(1).to(tl.int64)
    pixel = tl.program_id(0) * PIXELS + tl.arange(0, PIXELS)
    valid = pixel < H * W
    mine = _features(
        current + view * H * W * CHANNELS, tl.where(valid, pixel, 0), CHANNELS, CHANNEL_BLOCK
    )
    reference += view * (H + 2) * (W + 2) * CHANNELS
    before = tl.full((PIXELS,), -1, tl.int32)
    apart, across, down, both = mine, mine, mine, mine
    at, out = view * D * H * W + pixel, (view * H * W + pixel) * D
    end = (view + 1) * D * H * W
    found = tl.load(place + at, mask=valid, other=0)
    wx = tl.load(right + at, mask=valid, other=0.0)
    wy = tl.load(below + at, mask=valid, other=0.0)
    for _ in range(D):
        # The next depth's position is on its way while this depth is worked on.
        ahead = valid & (at + H * W < end)
        next_found = tl.load(place + at + H * W, mask=ahead, other=0)
        next_wx = tl.load(right + at + H * W, mask=ahead, other=0.0)
        next_wy = tl.load(below + at + H * W, mask=ahead, other=0.0)
        corner = tl.where(found < 0, -1 - found, found)
        if tl.max((corner != before).to(tl.int32), axis=0) > 0:
            here = _features(reference, corner, CHANNELS, CHANNEL_BLOCK)
            beside = _features(reference, corner + 1, CHANNELS, CHANNEL_BLOCK)
            under = _features(reference, corner + W + 2, CHANNELS, CHANNEL_BLOCK)
            opposite = _features(reference, corner + W + 3, CHANNELS, CHANNEL_BLOCK)
            apart, across, down = here - mine, beside - here, under - here
            both = opposite - under - across
            before = corner
        difference = apart + wx[:, None] * across + wy[:, None] * down
        difference += (wx * wy)[:, None] * both
        cost = tl.sum(tl.abs(difference), axis=1)
        tl.store(score + out, -(cost + tl.where(found < 0, invalid_cost, 0.0)), mask=valid)
        at, out = at + H * W, out + 1
        found, wx, wy = next_found, next_wx, next_wy


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
def _unprojected(frustum, of_view, point, points):
    """Points of one camera's frustum in the target frame, as `projection._unprojected`."""
    valid = point < points
    u = tl.load(frustum + point, mask=valid, other=0.0) - tl.load(of_view + 4)
    v = tl.load(frustum + points + point, mask=valid, other=0.0) - tl.load(of_view + 5)
    depth = tl.load(frustum + 2 * points + point, mask=valid, other=1.0)
    ray_x = _times2(of_view, u, v) * depth
    ray_y = _times2(of_view + 2, u, v) * depth
    x = _times3(of_view + 6, ray_x, ray_y, depth) + tl.load(of_view + 15)
    y = _times3(of_view + 9, ray_x, ray_y, depth) + tl.load(of_view + 16)
    z = _times3(of_view + 12, ray_x, ray_y, depth) + tl.load(of_view + 17)
    return x, y, z


@triton.jit
@no_type_check
def _cell(position_m, lower, edge_m, TRUNCATED: tl.constexpr):
    """A point's cell along an axis, as a float: it may be any number."""
    position = tl.div_rn(position_m - lower, edge_m)
    cell = tl.floor(position)
    if TRUNCATED:
        cell = tl.where(position < 0.0, tl.ceil(position), cell)
    return cell


@triton.jit
@no_type_check
def lifted_cells_kernel(
    frustum, numbers, cells, points, lower_x, lower_y, lower_z, edge_x, edge_y, edge_z,
    X: tl.constexpr, Y: tl.constexpr, Z: tl.constexpr,
    TRUNCATED: tl.constexpr, NUMBERS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Voxel of each point of one camera's frustum; `projection.lift_numbers` says where it is."""
    view = tl.program_id(1).to(tl.int64)
    point = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    of_view = numbers + view * NUMBERS
    x, y, z = _unprojected(frustum, of_view, point, points)
    along_x = _cell(_times3(of_view + 18, x, y, z), lower_x, edge_x, TRUNCATED)
    along_y = _cell(_times3(of_view + 21, x, y, z), lower_y, edge_y, TRUNCATED)
    along_z = _cell(_times3(of_view + 24, x, y, z), lower_z, edge_z, TRUNCATED)
    is_inside = (along_x >= 0) & (along_x < X) & (along_y >= 0) & (along_y < Y)
    is_inside = is_inside & (along_z >= 0) & (along_z < Z)
    row = tl.where(is_inside, along_x, 0.0).to(tl.int64) * Y
    row += tl.where(is_inside, along_y, 0.0).to(tl.int64)
    cell = row * Z + tl.where(is_inside, along_z, 0.0).to(tl.int64)
    tl.store(cells + view * points + point, tl.where(is_inside, cell, -1), mask=point < points)


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
    of_view = numbers + view * NUMBERS
    x, y, z = _unprojected(frustum, of_view, point, points)
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
