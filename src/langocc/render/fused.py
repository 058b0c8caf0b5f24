# SPDX-License-Identifier: Apache-2.0
"""The numbers of `readable` on a GPU, without a feature volume and without sample tensors.

Four kernels forward: place samples, weigh them into a sparse matrix of rays x voxels, number the
voxels that rays touch, composite hidden rows. Float32 throughout, but for the hidden rows, which
have the precision of the head (bfloat16 under autocast).
"""

from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from langocc.render.config import RenderConfig
from langocc.render.pointwise import apply_frugally
from langocc.render.rendered import RenderedRays
from langocc.render.rows import features_of_rays
from langocc.render.triton_rays import RaySpace, place, weigh
from langocc.render.triton_rows import composite, number_rows
from langocc.render.volume import Volume, refuse_unless


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
    numbered = number_rows(sparse, is_finite)
    head = volume.head
    (rows,) = apply_frugally(
        lambda part: (head.hidden(part),),
        volume.features.flatten(0, 3),
        head.parameters(),
        numbered.touched,
        skips_zeros=False,  # what rays touch has a gradient
    )
    with torch.autocast(rows.device.type, enabled=False):
        composited = composite(rows, head.last, sparse, numbered)
    features = features_of_rays(*composited, head.last)
    return replace(seen, features=features.unflatten(0, (batch, rays)))
