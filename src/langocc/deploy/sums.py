# SPDX-License-Identifier: Apache-2.0
"""ReLU of a product and a shortcut: how a residual block ends."""

import importlib.util

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import linear

from langocc.model.activation import shifted_relu
from langocc.model.fused import fused_shifted_relu


def sum_relu(
    x: Float[Tensor, "row feature"], layer: nn.Linear, shortcut: Float[Tensor, "row out"]
) -> Float[Tensor, "row out"]:
    """ReLU(layer(x) + shortcut); on a GPU in one pass over memory or, if `x` is wide, in two."""
    if x.is_cuda and importlib.util.find_spec("triton") is not None:
        from langocc.deploy import triton_sums  # Triton is optional

        if triton_sums.can_take(x, layer.weight, shortcut):
            return triton_sums.triton_sum_relu(x, layer.weight, layer.bias, shortcut)
        return fused_shifted_relu(linear(x, layer.weight), layer.bias, shortcut)
    return shifted_relu(linear(x, layer.weight), layer.bias, shortcut)
