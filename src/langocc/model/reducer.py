# SPDX-License-Identifier: Apache-2.0
"""Reducer: the teacher's embeddings in fewer dimensions, by one matrix used both ways.

Source: method.md section 7.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import normalize


class Reducer(nn.Module):
    """reduce(t) = normalise(t U), reconstruct(b) = normalise(b U^T)."""

    def __init__(self, channels: int = 512, reduced_channels: int = 128) -> None:
        """U from N(0, 0.1), 0.1 the standard deviation."""
        super().__init__()
        self.basis = nn.Parameter(0.1 * torch.randn(channels, reduced_channels))

    def reduce(
        self, embeddings: Float[Tensor, "*shape channel"]
    ) -> Float[Tensor, "*shape reduced"]:
        """Unit vectors in the reduced space. Text queries go through the same map."""
        return normalize(embeddings @ self.basis, dim=-1)

    def reconstruct(
        self, reduced: Float[Tensor, "*shape reduced"]
    ) -> Float[Tensor, "*shape channel"]:
        """Unit vectors in the teacher's space."""
        return normalize(reduced @ self.basis.mT, dim=-1)
