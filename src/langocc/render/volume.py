# SPDX-License-Identifier: Apache-2.0
"""What is rendered: volumes on a box, and the head that gives them meaning."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Literal

from jaxtyping import Float
from torch import Tensor, nn

from langocc.render.lookup import Box


class VoxelHead(nn.Module, ABC):
    """A pointwise decoder of voxel features whose last layer is linear.

    No activation after the last layer. Keeping the two parts apart lets a field composite and query
    hidden features (method.md section 9).

    Attributes:
        last: The last layer; set by the subclass.
    """

    last: nn.Linear

    @abstractmethod
    def hidden(self, features: Float[Tensor, "*shape feature"]) -> Float[Tensor, "*shape hidden"]:
        """Hidden features: everything before the last layer."""

    def forward(self, features: Float[Tensor, "*shape feature"]) -> Float[Tensor, "*shape out"]:
        """Raw output; neither normalised nor squashed."""
        return self.last(self.hidden(features))


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


def refuse_unless(is_finite: bool) -> None:
    """Raises if a density was found not to be finite.

    Raises:
        ValueError: it is not.
    """
    if not is_finite:
        raise ValueError("density: expected finite numbers, got NaN or infinity")
