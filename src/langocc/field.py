# SPDX-License-Identifier: Apache-2.0
"""The voxel field: what the network says about the space around the vehicle."""

from dataclasses import dataclass
from typing import Literal, Protocol

from jaxtyping import Float
from torch import Tensor, nn

from langocc.geometry.grid import VoxelGrid


class VoxelHead(Protocol):
    """A pointwise decoder of voxel features whose last layer is linear.

    `__call__(features) == last(hidden(features))`: no activation after the last layer. Keeping the
    two parts apart lets a field composite and query hidden features (method.md section 9).
    """

    last: nn.Linear

    def hidden(self, features: Float[Tensor, "*shape feature"]) -> Float[Tensor, "*shape hidden"]:
        """Hidden features: everything before the last layer."""
        ...

    def __call__(self, features: Float[Tensor, "*shape feature"]) -> Float[Tensor, "*shape out"]:
        """Raw output; neither normalised nor squashed."""
        ...


@dataclass(frozen=True)
class VoxelField:
    """Density and features of a batch of scenes on one grid, in the (augmented) key ego frame.

    Attributes:
        grid: The box and its cells.
        density: Extinction per voxel, 1/m, in (0, 1): the density head after its sigmoid.
        features: Output of the final convolution, input of `head`.
        head: Language head (raw output: an embedding) or rgb head (raw output: 27 coefficients
            before the sigmoid). None: a field that knows density alone.
        variant: What `head` speaks.
    """

    grid: VoxelGrid
    density: Float[Tensor, "batch x y z"]
    features: Float[Tensor, "batch x y z feature"]
    head: VoxelHead | None = None
    variant: Literal["language", "rgb"] = "language"
