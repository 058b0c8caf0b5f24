# SPDX-License-Identifier: Apache-2.0
"""From densities along a ray to weights, and from weights to what the ray sees."""

import torch
from jaxtyping import Float
from torch import Tensor


def transmittance(
    density: Float[Tensor, "*shape sample"], lengths_m: Float[Tensor, "*shape sample"]
) -> Float[Tensor, "*shape sample"]:
    """Share of the light that reaches the start of each interval: exp(-sum of earlier sigma d)."""
    optical_depth = density * lengths_m
    return torch.exp(-(optical_depth.cumsum(-1) - optical_depth))


def ray_weights(
    density: Float[Tensor, "*shape sample"], lengths_m: Float[Tensor, "*shape sample"]
) -> Float[Tensor, "*shape sample"]:
    """Share of a ray that each interval stops: w = T (1 - exp(-sigma d)).

    Args:
        density: Extinction, 1/m.
        lengths_m: Interval lengths, metres.

    Source: method.md section 4, step 3.
    """
    alpha = 1 - torch.exp(-density * lengths_m)
    return alpha * transmittance(density, lengths_m)


def composite(
    weights: Float[Tensor, "*shape sample"], values: Float[Tensor, "*shape sample channel"]
) -> Float[Tensor, "*shape channel"]:
    """Weighted sum of values along each ray."""
    return (weights[..., None] * values).sum(dim=-2)


def expected_depth(
    weights: Float[Tensor, "*shape sample"],
    centres_m: Float[Tensor, "*shape sample"],
    far_m: float,
) -> Float[Tensor, "*shape"]:
    """Mean distance at which a ray stops, metres; `far_m` where nothing stops it."""
    total = weights.sum(-1)
    mean = (weights * centres_m).sum(-1) / total.clamp(min=1e-10)
    return torch.where(total > 0, mean, far_m)


def depth_at_maximum(
    density: Float[Tensor, "*shape sample"],
    centres_m: Float[Tensor, "*shape sample"],
    far_m: float,
) -> Float[Tensor, "*shape"]:
    """Distance of the densest sample, metres; `far_m` where all are empty. Not differentiable."""
    most, where = density.detach().max(dim=-1)
    depth = centres_m.detach().gather(-1, where[..., None])[..., 0]
    return torch.where(most > 0, depth, far_m)
