# SPDX-License-Identifier: Apache-2.0
"""Rendering as the paper describes it, one tensor [ray, sample, channel] at a time.

This is the definition; `fused` computes the same numbers without these tensors.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from langocc.render.compositing import (
    composite,
    ray_weights,
    transmittance,
)
from langocc.render.config import RenderConfig
from langocc.render.harmonics import harmonic_colour
from langocc.render.lookup import Box, lookup
from langocc.render.rendered import RenderedRays
from langocc.render.sampling import edges_around, importance_centres, proposal_edges

OUTSIDE_M = 1e6


@dataclass(frozen=True)
class Samples:
    """Where rays are read.

    Attributes:
        centres_m: Sample positions, metres along the ray.
        edges_m: Edges of their intervals, metres.
        points_m: The same positions in space, metres.
    """

    centres_m: Float[Tensor, "batch ray sample"]
    edges_m: Float[Tensor, "batch ray edge"]
    points_m: Float[Tensor, "batch ray sample 3"]


def usable_rays(
    origins: Float[Tensor, "batch ray 3"], directions: Float[Tensor, "batch ray 3"]
) -> tuple[Float[Tensor, "batch ray 3"], Float[Tensor, "batch ray 3"]]:
    """Rays with every unusable one (no direction, or not finite) replaced by one that misses."""
    # Zero times what is not finite is not a number, so one sum shows all that may be wrong.
    square = (directions + 0 * origins).square().sum(-1, keepdim=True)
    usable = (square > 0.25) & (square < torch.inf)
    return torch.where(usable, origins, OUTSIDE_M), torch.where(usable, directions, 0.0)


def along(
    origins: Float[Tensor, "batch ray 3"],
    directions: Float[Tensor, "batch ray 3"],
    distance_m: Float[Tensor, "batch ray sample"],
) -> Float[Tensor, "batch ray sample 3"]:
    """Points at the given distances along rays, metres."""
    return origins[..., None, :] + distance_m[..., None] * directions[..., None, :]


@torch.no_grad()
def place_samples(
    density: Float[Tensor, "batch x y z"],
    origins: Float[Tensor, "batch ray 3"],
    directions: Float[Tensor, "batch ray 3"],
    box: Box,
    config: RenderConfig,
    uniforms: Float[Tensor, "batch ray inner"],
) -> Samples:
    """Probes the density at uniform intervals and puts the samples where it stops light."""
    edges = proposal_edges(uniforms.to(origins), config)
    probes = along(origins, directions, (edges[..., 1:] + edges[..., :-1]) / 2)
    probed = lookup(density[..., None], probes, box)[..., 0]
    through = transmittance(probed, edges.diff(dim=-1))
    centres = importance_centres(edges, through, config.samples)
    edges = edges_around(centres, config.near_m, config.far_m)
    return Samples(centres, edges, along(origins, directions, centres))


def render_geometry(
    density: Float[Tensor, "batch x y z"], samples: Samples, box: Box, config: RenderConfig
) -> RenderedRays:
    """Weights, opacity and depth of rays at given samples; differentiable in the density."""
    sampled = lookup(density[..., None], samples.points_m, box)[..., 0]
    weights = ray_weights(sampled, samples.edges_m.diff(dim=-1))
    return RenderedRays(
        weights.sum(-1), weights, samples.centres_m, sampled, config.near_m, config.far_m
    )


def composite_features(
    features: Float[Tensor, "batch x y z channel"],
    weights: Float[Tensor, "batch ray sample"],
    samples: Samples,
    box: Box,
) -> Float[Tensor, "batch ray channel"]:
    """Unit feature that each ray sees.

    Args:
        features: Feature volume, unit vectors per voxel.
        weights: Of the samples.
        samples: Where the volume is read.
        box: What the volume fills.

    Source: method.md section 4, step 4.
    """
    return functional.normalize(composite(weights, lookup(features, samples.points_m, box)), dim=-1)


def composite_colour(
    coefficients: Float[Tensor, "batch x y z 27"],
    weights: Float[Tensor, "batch ray sample"],
    samples: Samples,
    directions: Float[Tensor, "batch ray 3"],
    box: Box,
) -> Float[Tensor, "batch ray 3"]:
    """Colour that each ray sees, of a volume of harmonic coefficients after their sigmoid."""
    sampled = lookup(coefficients, samples.points_m, box)
    colour = harmonic_colour(sampled, directions[..., None, :].expand(*sampled.shape[:-1], 3))
    return composite(weights, colour)
