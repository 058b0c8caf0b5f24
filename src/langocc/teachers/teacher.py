# SPDX-License-Identifier: Apache-2.0
"""The protocol of a teacher: an image gives dense features, a text gives a vector, in one space."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, UInt8
from torch import Tensor


@runtime_checkable  # signatures that name it can then be checked in tests
class Teacher(Protocol):
    """A frozen vision-language model.

    Attributes:
        id: Stable name of weights and preprocessing; stored with every feature made by it.
        channels: Size of the shared space (512 for CLIP ViT-B/16).
    """

    id: str
    channels: int

    def dense(
        self, images: UInt8[Tensor, "image 3 height width"]
    ) -> Float[Tensor, "image channel map_height map_width"]:
        """Dense text-aligned features of true-RGB images, on the teacher's own patch grid.

        Not normalised: `sample` says how pixels read the map.
        """
        ...

    def sample(
        self,
        dense: Float[Tensor, "channel map_height map_width"],
        row_col: Float[Tensor, "pixel 2"],
        image_size: tuple[int, int],
    ) -> Float[Tensor, "pixel channel"]:
        """Features of pixels (row, col) of one image of `image_size` (height, width).

        Unit vectors, or shorter where the teacher's published rule makes them so; see
        `teachers/sampling.py`. Touches only the cells of the map that the pixels need.
        """
        ...

    def text(
        self, prompts: Sequence[str], *, templates: bool = True
    ) -> Float[Tensor, "prompt channel"]:
        """Unit vectors of prompts, each averaged over the prompt templates unless told not to."""
        ...

    def to(self, device: torch.device | str) -> "Teacher":
        """Moves the model in place and returns itself."""
        ...
