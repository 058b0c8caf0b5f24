# SPDX-License-Identifier: Apache-2.0
"""Dilated pyramid (ASPP): the same map seen at several reaches at once.

Source: method.md section 2.3; Chen et al. 2017.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from langocc.model.activation import Chain
from langocc.model.batch_norm import ImageNorm

DILATIONS = (6, 12, 18)


class DilatedPyramid(nn.Module):
    """A 1x1 branch, three dilated 3x3 branches and a global average, merged by a 1x1."""

    def __init__(self, channels: int, branch_channels: int, drop: float) -> None:
        """Input and output have `channels`; each of the five branches has `branch_channels`."""
        super().__init__()
        self.dropout = nn.Dropout(drop)
        self.branches = nn.ModuleList([_normed(channels, branch_channels, 1, dilation=1)])
        for dilation in DILATIONS:
            self.branches.append(_normed(channels, branch_channels, 3, dilation))
        self.average = _normed(channels, branch_channels, 1, dilation=1)
        self.merge = _normed(5 * branch_channels, channels, 1, dilation=1)

    def forward(
        self, x: Float[Tensor, "view channel height width"]
    ) -> Float[Tensor, "view channel height width"]:
        """Features that know their wider surroundings."""
        seen = [branch(x) for branch in self.branches]
        average = self.average(x.mean(dim=(2, 3), keepdim=True))
        seen.append(average.expand(-1, -1, *x.shape[2:]))
        return self.dropout(self.merge(torch.cat(seen, dim=1)))


def _normed(in_channels: int, channels: int, size: int, dilation: int) -> nn.Sequential:
    padding = dilation * (size // 2)
    return Chain(
        nn.Conv2d(in_channels, channels, size, padding=padding, dilation=dilation, bias=False),
        ImageNorm(channels),
        nn.ReLU(),
    )
