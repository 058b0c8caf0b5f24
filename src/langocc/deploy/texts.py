# SPDX-License-Identifier: Apache-2.0
"""Texts asked of every voxel, folded into the head's last layer."""

import importlib.util

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import linear, normalize

from langocc.deploy.recorded import Recorded


def folded_queries(
    vectors: Float[Tensor, "query out"], last: nn.Linear
) -> tuple[Float[Tensor, "query hidden"], Float[Tensor, " query"]]:
    """E (W h + b) = (E W) h + E b."""
    return vectors @ last.weight, vectors @ last.bias


@torch.no_grad()
def cosines(
    vectors: Float[Tensor, "query out"],
    hidden: Float[Tensor, "voxel hidden"],
    inverse: Float[Tensor, " voxel"],
    last: nn.Linear,
) -> Float[Tensor, "query voxel"]:
    """Cosine of each voxel's feature and each vector (any length but zero).

    Args:
        vectors: Texts.
        hidden: Input of the head's last layer.
        inverse: One over the norm of the feature that `hidden` leads to.
        last: That layer.
    """
    weight, bias = folded_queries(normalize(vectors.to(last.weight), dim=-1), last)
    if len(vectors) == 1 and hidden.is_cuda and importlib.util.find_spec("triton") is not None:
        from langocc.deploy.text_kernel import triton_cosines  # Triton is optional

        return triton_cosines(weight, bias, hidden, inverse)
    products = linear(hidden, weight.to(hidden.dtype))
    return ((products.float() + bias) * inverse[:, None]).T


class OneText:
    """Cosines of voxels and one text on a GPU: a graph that reads the voxels where they lie."""

    def __init__(
        self,
        hidden: Float[Tensor, "voxel hidden"],
        inverse: Float[Tensor, " voxel"],
        last: nn.Linear,
    ) -> None:
        """Of tensors that are written anew for each frame; otherwise as `cosines`."""
        self.hidden, self.inverse = hidden, inverse
        self._ask = Recorded(lambda text: (cosines(text, hidden, inverse, last),), hidden.device)

    def answers(
        self,
        vectors: Float[Tensor, "query out"],
        hidden: Float[Tensor, "voxel hidden"],
        inverse: Float[Tensor, " voxel"],
    ) -> bool:
        """Whether this is one text, and these are its very tensors."""
        return len(vectors) == 1 and hidden is self.hidden and inverse is self.inverse

    def __call__(self, vector: Float[Tensor, "1 out"]) -> Float[Tensor, "1 voxel"]:
        """Cosine of each voxel's feature and the vector."""
        return self._ask(vector.float())[0].clone()
