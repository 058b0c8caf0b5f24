# SPDX-License-Identifier: Apache-2.0
"""Rays with their targets, in the key ego frame."""

from dataclasses import dataclass, fields, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor


@dataclass(frozen=True)
class RayBatch:
    """Rays of a batch, in the (augmented) key ego frame.

    Attributes:
        origins: Camera centres, metres.
        directions: Unit vectors.
        features: Teacher feature of the ray's pixel (not renormalised; zeros for sky rays).
        rgb: Colour of the pixel in [0, 1]; only for the rgb variant.
        is_sky: The ray leaves the world: nothing within range. None: no such rays in the batch.
        is_hit: A surface lies within range for certain. None: of every ray that is not sky. A ray
            that is neither may end beyond the range; its opacity must not be supervised.
        weights: Loss weight of each ray; None means 1.
        is_other_time: Seen at another time than the key frame. None: not known.
        range_m: Measured distance of the surface along the ray, metres; 0: not measured.

    Source: method.md section 3.
    """

    origins: Float[Tensor, "batch ray 3"]
    directions: Float[Tensor, "batch ray 3"]
    features: Float[Tensor, "batch ray channel"] | None = None
    rgb: Float[Tensor, "batch ray 3"] | None = None
    is_sky: Bool[Tensor, "batch ray"] | None = None
    is_hit: Bool[Tensor, "batch ray"] | None = None
    weights: Float[Tensor, "batch ray"] | None = None
    is_other_time: Bool[Tensor, "batch ray"] | None = None
    range_m: Float[Tensor, "batch ray"] | None = None

    def to(self, device: torch.device | str) -> "RayBatch":
        """The same rays on another device."""
        moved = {f.name: getattr(self, f.name) for f in fields(self)}
        return replace(self, **{k: v.to(device) for k, v in moved.items() if v is not None})
