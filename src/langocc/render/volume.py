# SPDX-License-Identifier: Apache-2.0
"""What is rendered: volumes on a box, and the head that gives them meaning."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor, nn

from langocc.render.lookup import Box


@runtime_checkable
class VoxelHead(Protocol):
    """A pointwise decoder of voxel features whose last layer is linear.

    `__call__(features) == last(hidden(features))`: no activation after the last layer. Keeping the
    two parts apart lets a field composite and query hidden features (method.md section 9).
    """

    last: nn.Linear

    def hidden(self, features: Float[Tensor, "*shape feature"]) -> Float[Tensor, "*shape hidden"]:
        """Hidden features: everything before the last layer."""
        ...

    def parameters(self) -> Iterator[nn.Parameter]:
        """All weights, those of `last` included."""
        ...

    def __call__(self, features: Float[Tensor, "*shape feature"]) -> Float[Tensor, "*shape out"]:
        """Raw output; neither normalised nor squashed."""
        ...


@dataclass(frozen=True)
class Volume:
    """Density and features of a batch of scenes.

    Attributes:
        density: Extinction per voxel, 1/m.
        features: Input of `head`, per voxel.
        head: Language head (an embedding) or rgb head (27 harmonic coefficients before their
            sigmoid); None renders geometry alone.
        variant: What `head` speaks.
        box: What the volumes fill.
    """

    density: Float[Tensor, "batch x y z"]
    features: Float[Tensor, "batch x y z feature"]
    head: VoxelHead | None
    variant: Literal["language", "rgb"]
    box: Box

    @property
    def cells(self) -> tuple[int, int, int]:
        """Voxels along x, y, z."""
        _, x, y, z = self.density.shape
        return x, y, z
