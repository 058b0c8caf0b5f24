# SPDX-License-Identifier: Apache-2.0
"""Where along its rays a field is read: uniform proposals, then importance sampling.

Positions never carry gradients.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from langocc.render.config import RenderConfig


def proposal_edges(
    uniforms: Float[Tensor, "batch ray inner"], config: RenderConfig
) -> Float[Tensor, "batch ray edge"]:
    """Edges of the proposal intervals, metres along the ray.

    Args:
        uniforms: Numbers in [0, 1) that move the `proposals - 1` inner edges; 0.5 leaves them.
        config: Range and number of intervals.

    Source: method.md section 4, step 1.
    """
    count = config.proposals
    even = torch.arange(1, count, device=uniforms.device, dtype=uniforms.dtype) / count
    inner = even + (uniforms - 0.5) / count
    first, last = torch.zeros_like(inner[..., :1]), torch.ones_like(inner[..., :1])
    share = torch.cat([first, inner, last], dim=-1)
    return config.near_m + share * (config.far_m - config.near_m)


def draw_uniforms(
    batch: int,
    rays: int,
    config: RenderConfig,
    device: torch.device,
    generator: torch.Generator | None = None,
) -> Float[Tensor, "batch ray inner"]:
    """The numbers `proposal_edges` takes: random with `jitter` on, else 0.5."""
    shape = (batch, rays, config.proposals - 1)
    if not config.jitter:
        return torch.full(shape, 0.5, device=device)
    return torch.rand(shape, device=device, generator=generator)


def inverse_cdf(
    edges: Float[Tensor, "*shape edge"],
    cdf: Float[Tensor, "*shape edge"],
    quantiles: Float[Tensor, "*shape sample"],
) -> Float[Tensor, "*shape sample"]:
    """Positions at which a piecewise-linear distribution reaches the quantiles.

    Args:
        edges: Interval edges, increasing.
        cdf: Cumulative distribution at the edges, not decreasing, from 0 to 1.
        quantiles: Numbers in [0, 1).
    """
    right = torch.searchsorted(cdf.contiguous(), quantiles.contiguous(), right=True)
    left = (right - 1).clamp(0, edges.shape[-1] - 2)
    low, high = cdf.gather(-1, left), cdf.gather(-1, left + 1)
    start, end = edges.gather(-1, left), edges.gather(-1, left + 1)
    return start + (quantiles - low) / (high - low).clamp(min=1e-10) * (end - start)


def importance_centres(
    edges: Float[Tensor, "*shape edge"],
    transmittance: Float[Tensor, "*shape interval"],
    samples: int,
) -> Float[Tensor, "*shape sample"]:
    """Sample positions with equal shares of the light that the proposals stop.

    What passes all proposals goes to the last interval, so an empty ray is sampled at its far end.

    Source: method.md section 4, step 2.
    """
    through = torch.cat([transmittance, torch.zeros_like(transmittance[..., :1])], dim=-1)
    steps = torch.arange(samples, device=edges.device, dtype=edges.dtype)
    quantiles = ((steps + 0.5) / samples).expand(*edges.shape[:-1], samples)
    return inverse_cdf(edges, 1 - through, quantiles)


def edges_around(
    centres: Float[Tensor, "*shape sample"], near_m: float, far_m: float
) -> Float[Tensor, "*shape edge"]:
    """Edges midway between neighbouring samples.

    The outer two lie half an end gap outside, within [near_m, far_m].
    """
    middle = (centres[..., 1:] + centres[..., :-1]) / 2
    first = centres[..., :1] - (centres[..., 1:2] - centres[..., :1]) / 2
    last = centres[..., -1:] + (centres[..., -1:] - centres[..., -2:-1]) / 2
    return torch.cat([first.clamp(min=near_m), middle, last.clamp(max=far_m)], dim=-1)
