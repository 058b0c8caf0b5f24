# SPDX-License-Identifier: Apache-2.0
"""Triton kernels of the fused renderer that work along rays; `triton_rays` calls them.

Each ray is one program. A ray's samples that lie between the same eight voxels form a run; run i of
a ray has its eight voxels and shares in slots 8 i .. 8 i + 7 of the ray's fixed-size part of the
tables `voxel` and `share`. Together they are a sparse matrix of rays x voxels. A voxel that both
runs of a pair name is left to the first one's slot.
"""
# ruff: noqa: ANN001, ANN201, ANN202, N803 - Triton types arguments; constants are upper case there.

from typing import no_type_check

import triton
import triton.language as tl


@triton.jit
@no_type_check  # keeps runtime type checkers away from what only Triton can read
def _coordinate(position, lower, scale, cells):
    """Position in voxel indices; far outside all positions are alike, and fit an integer."""
    return tl.minimum(tl.maximum((position - lower) * scale, -2.0), cells * 1.0)


@triton.jit
@no_type_check
def _corner(ix, iy, iz, fx, fy, fz, X, Y, Z, CORNER: tl.constexpr):
    """Index within the scene, insideness and trilinear weight of one of the eight voxels."""
    jx = ix + (CORNER // 4) % 2
    jy = iy + (CORNER // 2) % 2
    jz = iz + CORNER % 2
    inside = (jx >= 0) & (jx < X) & (jy >= 0) & (jy < Y) & (jz >= 0) & (jz < Z)
    wx = fx if (CORNER // 4) % 2 == 1 else 1.0 - fx
    wy = fy if (CORNER // 2) % 2 == 1 else 1.0 - fy
    wz = fz if CORNER % 2 == 1 else 1.0 - fz
    return (jx * Y + jy) * Z + jz, inside, wx * wy * wz


@triton.jit
@no_type_check
def _density_at(density, ix, iy, iz, fx, fy, fz, X, Y, Z, mask):
    """Trilinear density; 0 outside."""
    total = fx * 0.0
    for corner in tl.static_range(8):
        index, inside, weight = _corner(ix, iy, iz, fx, fy, fz, X, Y, Z, corner)
        total += weight * tl.load(density + index, mask=mask & inside, other=0.0)
    return total


@triton.jit
@no_type_check
def _corners(ix, iy, iz, fx, fy, fz, X, Y, Z):
    """The eight voxels of each sample side by side: index in the scene, insideness, weight."""
    corner = tl.arange(0, 8)[None, :]
    right, left, up = corner // 4, corner // 2 % 2, corner % 2
    jx, jy, jz = ix[:, None] + right, iy[:, None] + left, iz[:, None] + up
    inside = (jx >= 0) & (jx < X) & (jy >= 0) & (jy < Y) & (jz >= 0) & (jz < Z)
    weight = tl.where(right == 1, fx[:, None], 1.0 - fx[:, None])
    weight *= tl.where(left == 1, fy[:, None], 1.0 - fy[:, None])
    weight *= tl.where(up == 1, fz[:, None], 1.0 - fz[:, None])
    return (jx * Y + jy) * Z + jz, inside, weight


@triton.jit
@no_type_check
def _lengths(centres, ray, k, mask, near, far, SAMPLES: tl.constexpr):
    """Centre and length of each sample's interval: edges lie midway between neighbours."""
    here = tl.load(centres + ray * SAMPLES + k, mask=mask, other=0.0)
    before = tl.load(centres + ray * SAMPLES + k - 1, mask=mask & (k > 0), other=0.0)
    after = tl.load(centres + ray * SAMPLES + k + 1, mask=mask & (k < SAMPLES - 1), other=0.0)
    half_before = tl.where(k > 0, (here - before) / 2, (after - here) / 2)
    half_after = tl.where(k < SAMPLES - 1, (after - here) / 2, (here - before) / 2)
    start = tl.maximum(here - half_before, near)
    end = tl.minimum(here + half_after, far)
    return here, tl.where(mask, end - start, 0.0)


@triton.jit
@no_type_check
def _runs(cells, ray, k, mask, SAMPLES: tl.constexpr):
    """Cell of each sample (-1: away from the grid), whether a run starts there, and its number."""
    cell = tl.load(cells + ray * SAMPLES + k, mask=mask, other=-1)
    before = tl.load(cells + ray * SAMPLES + k - 1, mask=mask & (k > 0), other=-1)
    start = (cell >= 0) & (cell != before)
    return cell, start, tl.cumsum(start.to(tl.int32), 0) - 1


@triton.jit
@no_type_check
def _later(one, other):
    return tl.maximum(one, other)


@triton.jit
@no_type_check
def _voxel_of_cell(cell, Y, Z):
    """First of the eight voxels around a cell."""
    return cell // ((Y + 1) * (Z + 1)) - 1, (cell // (Z + 1)) % (Y + 1) - 1, cell % (Z + 1) - 1


@triton.jit
@no_type_check
def _slots(cells, ray, k, start, run, mask, ix, iy, iz, Y, Z, SAMPLES: tl.constexpr):
    """Slot of each voxel around each sample: of a pair of runs, that of the first that names it.

    Runs are a pair unless a sample between them is away from the grid.
    """
    corner = tl.arange(0, 8)[None, :]
    first = tl.associative_scan(tl.where(start, k, 0), 0, _later)
    before = tl.load(cells + ray * SAMPLES + first - 1, mask=mask & (run % 2 == 1), other=-1)
    bx, by, bz = _voxel_of_cell(before, Y, Z)
    dx = (ix - bx)[:, None] + corner // 4
    dy = (iy - by)[:, None] + corner // 2 % 2
    dz = (iz - bz)[:, None] + corner % 2
    shared = (dx >= 0) & (dx < 2) & (dy >= 0) & (dy < 2) & (dz >= 0) & (dz < 2)
    shared &= (before >= 0)[:, None]
    return tl.where(
        shared, (run[:, None] - 1) * 8 + dx * 4 + dy * 2 + dz, run[:, None] * 8 + corner
    )


@triton.jit
@no_type_check
def _in_cell(origins, directions, ray, centre, cell, lx, ly, lz, sx, sy, sz, X, Y, Z):
    """First voxel of the eight around each sample, and the sample's place between them."""
    ix, iy, iz = _voxel_of_cell(cell, Y, Z)
    x = tl.load(origins + ray * 3) + centre * tl.load(directions + ray * 3)
    y = tl.load(origins + ray * 3 + 1) + centre * tl.load(directions + ray * 3 + 1)
    z = tl.load(origins + ray * 3 + 2) + centre * tl.load(directions + ray * 3 + 2)
    fx = _coordinate(x, lx, sx, X) - ix
    fy = _coordinate(y, ly, sy, Y) - iy
    fz = _coordinate(z, lz, sz, Z) - iz
    return ix, iy, iz, fx, fy, fz


@triton.jit
@no_type_check
def place_kernel(
    density, origins, directions, uniforms, centres, cells,
    rays, near, far, lx, ly, lz, sx, sy, sz, X, Y, Z,
    PROPOSALS: tl.constexpr, SAMPLES: tl.constexpr,
    PROPOSAL_BLOCK: tl.constexpr, SAMPLE_BLOCK: tl.constexpr,
):  # fmt: skip
    """Centres of a ray's samples, metres, and the cell each of them lies in."""
    ray = tl.program_id(0).to(tl.int64)
    density += (ray // rays) * X * Y * Z
    ox, dx = tl.load(origins + ray * 3), tl.load(directions + ray * 3)
    oy, dy = tl.load(origins + ray * 3 + 1), tl.load(directions + ray * 3 + 1)
    oz, dz = tl.load(origins + ray * 3 + 2), tl.load(directions + ray * 3 + 2)

    j = tl.arange(0, PROPOSAL_BLOCK)
    valid = j < PROPOSALS
    inner = uniforms + ray * (PROPOSALS - 1) + j
    move_start = tl.load(inner - 1, mask=valid & (j > 0), other=0.5) - 0.5
    move_end = tl.load(inner, mask=j < PROPOSALS - 1, other=0.5) - 0.5
    start = near + (j + move_start) / PROPOSALS * (far - near)
    end = near + (j + 1 + move_end) / PROPOSALS * (far - near)
    length = tl.where(valid, end - start, 0.0)
    middle = (start + end) / 2
    tx = _coordinate(ox + middle * dx, lx, sx, X)
    ty = _coordinate(oy + middle * dy, ly, sy, Y)
    tz = _coordinate(oz + middle * dz, lz, sz, Z)
    bx, by, bz = tl.floor(tx), tl.floor(ty), tl.floor(tz)
    sigma = _density_at(
        density, bx.to(tl.int32), by.to(tl.int32), bz.to(tl.int32),
        tx - bx, ty - by, tz - bz, X, Y, Z, valid,
    )  # fmt: skip
    depth = sigma * length
    passed = tl.cumsum(depth, 0)
    low = 1.0 - tl.exp(-(passed - depth))
    high = tl.where(j == PROPOSALS - 1, 1.0, 1.0 - tl.exp(-passed))

    # The inverse of a piecewise-linear CDF, without a search: every interval contributes the part
    # of its length that lies below the quantile.
    k = tl.arange(0, SAMPLE_BLOCK)
    quantile = (k[:, None] + 0.5) / SAMPLES
    low, high = low[None, :], high[None, :]
    part = (quantile - low) / tl.maximum(high - low, 1e-10)
    part = tl.where(quantile >= high, 1.0, tl.where(quantile <= low, 0.0, part))
    centre = near + tl.sum(part * length[None, :], axis=1)

    bx = tl.floor(_coordinate(ox + centre * dx, lx, sx, X)).to(tl.int32)
    by = tl.floor(_coordinate(oy + centre * dy, ly, sy, Y)).to(tl.int32)
    bz = tl.floor(_coordinate(oz + centre * dz, lz, sz, Z)).to(tl.int32)
    near_grid = (bx >= -1) & (bx < X) & (by >= -1) & (by < Y) & (bz >= -1) & (bz < Z)
    cell = ((bx + 1) * (Y + 1) + by + 1) * (Z + 1) + bz + 1
    tl.store(centres + ray * SAMPLES + k, centre, mask=k < SAMPLES)
    tl.store(cells + ray * SAMPLES + k, tl.where(near_grid, cell, -1), mask=k < SAMPLES)


@triton.jit
@no_type_check
def weigh_kernel(
    density, origins, directions, centres, cells,
    sigma, weights, share, voxel, runs, visits,
    rays, near, far, lx, ly, lz, sx, sy, sz, X, Y, Z,
    SAMPLES: tl.constexpr, SAMPLE_BLOCK: tl.constexpr,
):  # fmt: skip
    """Densities and weights of a ray's samples, and its row of the sparse matrix.

    `share` and `visits`, how many slots name a voxel, must come filled with zeros.
    """
    ray = tl.program_id(0).to(tl.int64)
    scene = (ray // rays) * X * Y * Z
    k = tl.arange(0, SAMPLE_BLOCK)
    valid = k < SAMPLES
    centre, length = _lengths(centres, ray, k, valid, near, far, SAMPLES)
    cell, start, run = _runs(cells, ray, k, valid, SAMPLES)
    ix, iy, iz, fx, fy, fz = _in_cell(
        origins, directions, ray, centre, cell, lx, ly, lz, sx, sy, sz, X, Y, Z
    )
    on_grid = cell >= 0
    density_here = _density_at(density + scene, ix, iy, iz, fx, fy, fz, X, Y, Z, on_grid)
    depth = density_here * length
    weight = tl.exp(-(tl.cumsum(depth, 0) - depth)) * (1.0 - tl.exp(-depth))
    tl.store(sigma + ray * SAMPLES + k, density_here, mask=valid)
    tl.store(weights + ray * SAMPLES + k, weight, mask=valid)
    tl.store(runs + ray, tl.sum(start.to(tl.int32), 0))
    index, inside, part = _corners(ix, iy, iz, fx, fy, fz, X, Y, Z)
    own = run[:, None] * 8 + tl.arange(0, 8)[None, :]
    slot = _slots(cells, ray, k, start, run, on_grid, ix, iy, iz, Y, Z, SAMPLES)
    named = inside & (slot == own)
    starts = start[:, None] & (own >= 0)
    table = ray * SAMPLES * 8
    tl.atomic_add(share + table + slot, weight[:, None] * part, mask=on_grid[:, None] & inside)
    tl.store(voxel + table + own, tl.where(named, scene + index, -1), mask=starts)
    tl.atomic_add(visits + scene + index, 1, mask=starts & named)


@triton.jit
@no_type_check
def weigh_backward_kernel(
    sigma, origins, directions, centres, cells, d_weights, d_share, d_density,
    rays, near, far, lx, ly, lz, sx, sy, sz, X, Y, Z,
    SAMPLES: tl.constexpr, SAMPLE_BLOCK: tl.constexpr,
):  # fmt: skip
    """Adds a ray's gradient to `d_density`; the order of sums varies from run to run."""
    ray = tl.program_id(0).to(tl.int64)
    scene = (ray // rays) * X * Y * Z
    k = tl.arange(0, SAMPLE_BLOCK)
    valid = k < SAMPLES
    centre, length = _lengths(centres, ray, k, valid, near, far, SAMPLES)
    cell, start, run = _runs(cells, ray, k, valid, SAMPLES)
    ix, iy, iz, fx, fy, fz = _in_cell(
        origins, directions, ray, centre, cell, lx, ly, lz, sx, sy, sz, X, Y, Z
    )
    on_grid = cell >= 0
    index, inside, part = _corners(ix, iy, iz, fx, fy, fz, X, Y, Z)
    inside &= on_grid[:, None]
    slot = _slots(cells, ray, k, start, run, on_grid, ix, iy, iz, Y, Z, SAMPLES)
    slot += ray * SAMPLES * 8
    d_weight = tl.load(d_weights + ray * SAMPLES + k, mask=valid, other=0.0)
    d_weight += tl.sum(part * tl.load(d_share + slot, mask=inside, other=0.0), axis=1)
    depth = tl.load(sigma + ray * SAMPLES + k, mask=valid, other=0.0) * length
    passed = tl.cumsum(depth, 0)
    weighted = d_weight * tl.exp(-(passed - depth)) * (1.0 - tl.exp(-depth))
    behind = tl.sum(weighted, 0) - tl.cumsum(weighted, 0)
    d_sigma = (d_weight * tl.exp(-passed) - behind) * length
    tl.atomic_add(d_density + scene + index, d_sigma[:, None] * part, mask=inside)
