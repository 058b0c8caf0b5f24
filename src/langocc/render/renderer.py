# SPDX-License-Identifier: Apache-2.0
"""Renders rays of a volume with the implementation that the configuration names."""

import importlib.util
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from langocc.render.config import RenderConfig
from langocc.render.readable import (
    composite_colour,
    composite_features,
    place_samples,
    render_geometry,
)
from langocc.render.rendered import RenderedRays
from langocc.render.sparse import sparse_coefficients, sparse_features
from langocc.render.volume import Volume


def render_rays(
    volume: Volume,
    origins: Float[Tensor, "batch ray 3"],
    directions: Float[Tensor, "batch ray 3"],
    uniforms: Float[Tensor, "batch ray inner"],
    config: RenderConfig,
) -> RenderedRays:
    """What rays see of a volume.

    Args:
        volume: Density, features and their head.
        origins: Metres, finite.
        directions: Unit vectors.
        uniforms: Jitter of the inner proposal edges, in [0, 1).
        config: Sampling and implementation.
    """
    if _uses_triton(volume, config):
        from langocc.render.fused import render_fused  # Triton is optional

        return render_fused(volume, origins, directions, uniforms, config)
    density = volume.density.to(torch.promote_types(volume.density.dtype, torch.float32))
    samples = place_samples(density, origins, directions, volume.box, config, uniforms)
    seen = render_geometry(density, samples, volume.box, config)
    head, is_readable = volume.head, config.implementation == "readable"
    if head is None:
        return seen
    if volume.variant == "rgb":
        if is_readable:
            coefficients = head(volume.features).sigmoid()
        else:
            coefficients = sparse_coefficients(volume, head, samples)
        coefficients = coefficients.to(density)
        colour = composite_colour(coefficients, seen.weights, samples, directions, volume.box)
        return replace(seen, colour=colour)
    if is_readable:
        unit = functional.normalize(head(volume.features).to(density), dim=-1)
        return replace(seen, features=composite_features(unit, seen.weights, samples, volume.box))
    return replace(seen, features=sparse_features(volume, head, seen.weights, samples))


def _uses_triton(volume: Volume, config: RenderConfig) -> bool:
    """Colours are not composited linearly, so they are left to torch."""
    if config.implementation == "triton":
        if volume.variant == "rgb":
            raise ValueError("implementation: expected sparse or readable for rgb, got triton")
        return True
    return (
        config.implementation == "fused"
        and volume.variant == "language"
        and volume.density.is_cuda
        and volume.density.dtype.itemsize <= 4
        and importlib.util.find_spec("triton") is not None
    )
