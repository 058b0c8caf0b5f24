# SPDX-License-Identifier: Apache-2.0
"""Pointwise heads: what one voxel's features say.

Source: method.md section 2.8.
"""

from itertools import pairwise

from jaxtyping import Float
from torch import Tensor, nn

from langocc.model.linear_relu import linear_relu
from langocc.render.volume import VoxelHead


class PointDecoder(VoxelHead):
    """An MLP with three hidden layers and ReLU, applied to each voxel alone.

    The last layer is kept apart: rendering and text queries work on hidden features and apply it
    once per ray or per answer (method.md section 9).
    """

    def __init__(self, in_channels: int, hidden_channels: int, out_channels: int) -> None:
        """Xavier-uniform weights, zero biases."""
        super().__init__()
        widths = (in_channels, hidden_channels, hidden_channels, hidden_channels)
        self.layers = nn.ModuleList(nn.Linear(*pair) for pair in pairwise(widths))
        self.last = nn.Linear(hidden_channels, out_channels)
        for layer in (*self.layers, self.last):
            assert isinstance(layer, nn.Linear)
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)

    def hidden(self, features: Float[Tensor, "*shape feature"]) -> Float[Tensor, "*shape hidden"]:
        """Hidden features: everything before the last layer."""
        for layer in self.layers:
            assert isinstance(layer, nn.Linear)
            features = linear_relu(layer, features)
        return features
