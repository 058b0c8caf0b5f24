# SPDX-License-Identifier: Apache-2.0
"""What rendering returns."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class RenderedRays:
    """What each ray sees.

    Attributes:
        opacity: Share of the ray that the field stops, in [0, 1]; exactly 0 where it misses.
        depth_m: Mean distance at which it stops, metres along the ray; the far end if it misses.
        peak_depth_m: Distance of the densest sample, metres; not differentiable.
        weights: Share of the ray that each sample stops.
        centres_m: Where the field was read, metres along the ray; no gradient.
        edges_m: Edges of the samples' intervals, metres; no gradient.
        features: Unit vector in the teacher's space, 0 where the ray misses; language fields.
        colour: Colour in [0, 1], 0 where the ray misses; rgb fields.
    """

    opacity: Float[Tensor, "batch ray"]
    depth_m: Float[Tensor, "batch ray"]
    peak_depth_m: Float[Tensor, "batch ray"]
    weights: Float[Tensor, "batch ray sample"]
    centres_m: Float[Tensor, "batch ray sample"]
    edges_m: Float[Tensor, "batch ray edge"]
    features: Float[Tensor, "batch ray channel"] | None = None
    colour: Float[Tensor, "batch ray 3"] | None = None

    @staticmethod
    def concatenate(chunks: Sequence["RenderedRays"]) -> "RenderedRays":
        """Chunks of the rays of the same scenes, in order, as one."""
        joined = {}
        for field in fields(RenderedRays):
            parts = [getattr(chunk, field.name) for chunk in chunks]
            joined[field.name] = None if parts[0] is None else torch.cat(parts, dim=1)
        return RenderedRays(**joined)
