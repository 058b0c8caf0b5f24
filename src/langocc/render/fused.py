# SPDX-License-Identifier: Apache-2.0
"""The numbers of `readable` on a GPU, without a feature volume and without sample tensors.

Four kernels forward: place samples, weigh them into a sparse matrix of rays x voxels, number the
voxels that rays touch, composite hidden rows. Float32 throughout, but for the hidden rows, which
have the precision of the head (bfloat16 under autocast).
"""

import math
from dataclasses import replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from langocc.render.config import RenderConfig
from langocc.render.lookup import corners, voxel_coordinates
from langocc.render.pointwise import apply_frugally
from langocc.render.rendered import RenderedRays
from langocc.render.rows import features_of_rays
from langocc.render.triton_rays import RaySpace, SparseRays, place, weigh
from langocc.render.triton_rows import composite, number_rows
from langocc.render.volume import Volume, VoxelHead, refuse_unless


def render_fused(
    volume: Volume,
    origins: Float[Tensor, "batch ray 3"],
    directions: Float[Tensor, "batch ray 3"],
    uniforms: Float[Tensor, "batch ray inner"],
    config: RenderConfig,
) -> RenderedRays:
    """What rays see of a volume: geometry, and features if its head speaks language."""
    batch, rays, _ = origins.shape
    density = volume.density.float()
    space = RaySpace(
        origins.flatten(0, 1).float().contiguous(),
        directions.flatten(0, 1).float().contiguous(),
        rays,
        volume.cells,
        volume.box,
        config,
    )
    centres, cells = place(density, space, uniforms.flatten(0, 1).float())
    weights, sigma, sparse = weigh(density, space, centres, cells)
    shape = (batch, rays, config.samples)
    weights = weights.view(shape)
    seen = RenderedRays(
        weights.sum(-1),
        weights,
        centres.view(shape),
        sigma.view(shape),
        config.near_m,
        config.far_m,
    )
    is_finite = density.isfinite().all()
    if volume.head is None or volume.variant != "language":
        refuse_unless(bool(is_finite))
        return seen
    features = _features(volume, volume.head, sparse, is_finite)
    return replace(seen, features=features.unflatten(0, (batch, rays)))


def points_fused(
    volume: Volume,
    head: VoxelHead,
    points_m: Float[Tensor, "batch point 3"],
    *,
    align_corners: bool,
) -> Float[Tensor, "batch point out"]:
    """Unit features at points, as `sparse.features_at`: each is a ray of one run."""
    shape = points_m.shape[:2]
    coordinates = voxel_coordinates(points_m.flatten(0, 1), volume.box, volume.cells, align_corners)
    voxel, share = corners(coordinates.float(), volume.cells)
    scene = torch.arange(len(voxel), device=voxel.device) // max(shape[1], 1)
    first = (scene * math.prod(volume.cells))[:, None]
    flat = torch.where(voxel >= 0, first + voxel, -1)
    count = volume.density.numel()
    # Corners outside count at one voxel too many: choosing the others would make the host wait.
    visits = torch.zeros(count + 1, dtype=torch.int32, device=voxel.device)
    place = torch.where(voxel >= 0, flat, count).flatten()
    visits.scatter_add_(0, place, torch.ones_like(place, dtype=torch.int32))
    runs = torch.ones(len(voxel), dtype=torch.int32, device=voxel.device)
    sparse = SparseRays(share, flat.int(), runs, visits[:count])
    features = _features(volume, head, sparse, volume.density.isfinite().all())
    return features.unflatten(0, shape)


def _features(
    volume: Volume, head: VoxelHead, sparse: SparseRays, is_finite: Bool[Tensor, ""]
) -> Float[Tensor, "ray out"]:
    """What rays see of the voxels that they name."""
    numbered = number_rows(sparse, is_finite)
    (rows,) = apply_frugally(
        lambda part: (head.hidden(part),),
        volume.features.flatten(0, 3),
        head.parameters(),
        numbered.touched,
        skips_zeros=False,  # what rays touch has a gradient
    )
    with torch.autocast(rows.device.type, enabled=False):
        composited = composite(rows, head.last, sparse, numbered)
    return features_of_rays(*composited, head.last)
