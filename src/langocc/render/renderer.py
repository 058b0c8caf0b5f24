# SPDX-License-Identifier: Apache-2.0
"""Renders rays of a volume with the implementation that the configuration names."""

import importlib.util
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from langocc.render import sparse
from langocc.render.config import RenderConfig
from langocc.render.readable import (
    composite_colour,
    composite_features,
    place_samples,
    render_geometry,
)
from langocc.render.rendered import RenderedRays
from langocc.render.volume import Volume, VoxelHead, refuse_unless


def render_rays(
    volume: Volume,
    origins: Float[Tensor, "batch ray 3"],
    directions: Float[Tensor, "batch ray 3"],
    uniforms: Float[Tensor, "batch ray inner"],
    config: RenderConfig,
) -> RenderedRays:
    """What rays see of a volume, `config.chunk_rays` rays of each scene at a time.

    Args:
        volume: Density, features and their head.
        origins: Metres, finite.
        directions: Unit vectors.
        uniforms: Jitter of the inner proposal edges, in [0, 1).
        config: Sampling and implementation.

    Raises:
        ValueError: density that is not finite.
    """
    count = max(origins.shape[1], 1)
    render = _renderer(volume, config)
    step = config.chunk_rays or count
    chunks = [slice(first, first + step) for first in range(0, count, step)]
    return RenderedRays.concatenate(
        [render(origins[:, rays], directions[:, rays], uniforms[:, rays]) for rays in chunks]
    )


def features_at(
    volume: Volume,
    points_m: Float[Tensor, "batch point 3"],
    *,
    align_corners: bool = True,
) -> Float[Tensor, "batch point out"]:
    """Unit features of a language field at points, as rays composite them; 0 outside.

    Differentiable in features and head.

    Args:
        volume: Features and their head.
        points_m: In the frame of the box, metres.
        align_corners: As in `lookup.voxel_coordinates`.

    Raises:
        ValueError: the volume has no language head, or density that is not finite.
    """
    if volume.head is None or volume.variant != "language":
        raise ValueError(f"volume: expected a language head, got variant {volume.variant!r}")
    if _runs_triton(volume):
        from langocc.render.fused import points_fused  # Triton is optional

        return points_fused(volume, volume.head, points_m, align_corners=align_corners)
    return sparse.features_at(volume, volume.head, points_m, align_corners=align_corners)


def _renderer(volume: Volume, config: RenderConfig) -> Callable[..., RenderedRays]:
    """The chosen implementation, for rays (origins, directions, uniforms) of one volume."""
    if _uses_triton(volume, config):
        from langocc.render.fused import render_fused  # Triton is optional

        return partial(render_fused, volume, config=config)
    if config.implementation == "readable" and volume.head is not None:
        return partial(_render_in_torch, volume, _whole(volume, volume.head), config)
    return partial(_render_in_torch, volume, None, config)


def _whole(volume: Volume, head: VoxelHead) -> Float[Tensor, "batch x y z channel"]:
    """The head's meaning of every voxel, slab by slab; the volume that only `readable` builds."""
    wide = torch.promote_types(volume.density.dtype, torch.float32)

    def meaning(slab: Tensor) -> Tensor:
        raw = head(slab).to(wide)
        return raw.sigmoid() if volume.variant == "rgb" else functional.normalize(raw, dim=-1)

    return torch.cat([meaning(slab) for slab in volume.features.split(8, dim=1)], dim=1)


def _render_in_torch(
    volume: Volume,
    whole: Float[Tensor, "batch x y z channel"] | None,
    config: RenderConfig,
    origins: Float[Tensor, "batch ray 3"],
    directions: Float[Tensor, "batch ray 3"],
    uniforms: Float[Tensor, "batch ray inner"],
) -> RenderedRays:
    refuse_unless(bool(volume.density.isfinite().all()))
    density = volume.density.to(torch.promote_types(volume.density.dtype, torch.float32))
    samples = place_samples(density, origins, directions, volume.box, config, uniforms)
    seen = render_geometry(density, samples, volume.box, config)
    head, box = volume.head, volume.box
    if head is None:
        return seen
    if volume.variant == "rgb":
        coefficients = sparse.sparse_coefficients(volume, head, samples) if whole is None else whole
        coefficients = coefficients.to(density)
        colour = composite_colour(coefficients, seen.weights, samples, directions, box)
        return replace(seen, colour=colour)
    if whole is None:
        return replace(seen, features=sparse.sparse_features(volume, head, seen.weights, samples))
    return replace(seen, features=composite_features(whole, seen.weights, samples, box))


def _uses_triton(volume: Volume, config: RenderConfig) -> bool:
    """Colours are not composited linearly, so they are left to torch."""
    if config.implementation == "triton":
        if volume.variant == "rgb":
            raise ValueError("implementation: expected sparse or readable for rgb, got triton")
        return True
    return config.implementation == "fused" and _runs_triton(volume)


def _runs_triton(volume: Volume) -> bool:
    return (
        volume.variant == "language"
        and volume.density.is_cuda
        and volume.density.dtype.itemsize <= 4
        and importlib.util.find_spec("triton") is not None
    )
