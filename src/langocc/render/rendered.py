# SPDX-License-Identifier: Apache-2.0
"""What rendering returns."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from langocc.render.compositing import depth_at_maximum, expected_depth
from langocc.render.sampling import edges_around


@dataclass(frozen=True)
class RenderedRays:
    """What each ray sees.

    What only pictures and evaluation ask for, depths and edges, is computed when it is asked for.

    Attributes:
        opacity: Share of the ray that the field stops, in [0, 1]; exactly 0 where it misses.
        weights: Share of the ray that each sample stops.
        centres_m: Where the field was read, metres along the ray; no gradient.
        density: What was read there, 1/m.
        near_m: Where rays begin, metres.
        far_m: Where they end, metres.
        features: Unit vector in the teacher's space, 0 where the ray misses; language fields.
        colour: Colour in [0, 1], 0 where the ray misses; rgb fields.
    """

    opacity: Float[Tensor, "batch ray"]
    weights: Float[Tensor, "batch ray sample"]
    centres_m: Float[Tensor, "batch ray sample"]
    density: Float[Tensor, "batch ray sample"]
    near_m: float
    far_m: float
    features: Float[Tensor, "batch ray channel"] | None = None
    colour: Float[Tensor, "batch ray 3"] | None = None

    @property
    def depth_m(self) -> Float[Tensor, "batch ray"]:
        """Mean distance at which a ray stops, metres along it; the far end if it misses."""
        return expected_depth(self.weights, self.centres_m, self.far_m)

    @property
    def peak_depth_m(self) -> Float[Tensor, "batch ray"]:
        """Distance of a ray's densest sample, metres; not differentiable."""
        return depth_at_maximum(self.density, self.centres_m, self.far_m)

    @property
    def edges_m(self) -> Float[Tensor, "batch ray edge"]:
        """Edges of the samples' intervals, metres; no gradient."""
        return edges_around(self.centres_m, self.near_m, self.far_m)

    @staticmethod
    def concatenate(chunks: Sequence["RenderedRays"]) -> "RenderedRays":
        """Chunks of the rays of the same scenes, in order, as one."""
        if len(chunks) == 1:
            return chunks[0]
        joined: dict[str, Any] = {}
        for field in fields(RenderedRays):
            parts = [getattr(chunk, field.name) for chunk in chunks]
            is_table = isinstance(parts[0], Tensor)
            joined[field.name] = torch.cat(parts, dim=1) if is_table else parts[0]
        return RenderedRays(**joined)
