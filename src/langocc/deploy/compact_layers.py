# SPDX-License-Identifier: Apache-2.0
"""What stands in a folded network where a norm, a 1x1 convolution or ReLU stood."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from langocc.deploy.sums import sum_relu
from langocc.model.activation import ActivatingNorm
from langocc.model.fused import fused_shifted_relu
from langocc.model.linear_relu import linear_relu

Map = Float[Tensor, "batch _ *size"]


class Offset(ActivatingNorm):
    """Adds a number to each channel: what is left of a norm behind a folded convolution."""

    offset: Tensor

    def __init__(self, offset: Float[Tensor, " channel"]) -> None:
        """The numbers."""
        super().__init__()
        self.register_buffer("offset", offset.detach().clone())

    def forward(self, x: Map) -> Map:
        """`x` with its offsets, in its own precision."""
        return x + self.offset.to(x.dtype).view(-1, *[1] * (x.dim() - 2))

    def activated(self, x: Map, shortcut: Tensor | None) -> Map:
        """ReLU of `x` with its offsets and the shortcut; may overwrite `x`."""
        return fused_shifted_relu(x, self.offset, shortcut)


class ShiftedReLU(Offset):
    """An offset of each channel, then ReLU."""

    def forward(self, x: Map) -> Map:
        """ReLU of `x` with its offsets; may overwrite `x`."""
        return self.activated(x, None)


class Untouched(ActivatingNorm):
    """A norm and ReLU that another layer has taken over."""

    def forward(self, x: Map) -> Map:
        """`x`."""
        return x

    def activated(self, x: Map, shortcut: Tensor | None) -> Map:
        """`x`; nobody takes over a shortcut."""
        assert shortcut is None
        return x


class Pixelwise(nn.Linear):
    """A 1x1 convolution as a matrix product, which adds its bias and applies ReLU on the way."""

    def __init__(self, layer: nn.Conv2d | nn.Linear, *, has_relu: bool) -> None:
        """The same weights; the layer has a bias and, if a convolution, the stride 1."""
        weight, bias = layer.weight.detach().flatten(1), layer.bias
        assert bias is not None
        super().__init__(weight.shape[1], weight.shape[0], device=weight.device, dtype=weight.dtype)
        self.weight = nn.Parameter(weight, requires_grad=False)
        self.bias = nn.Parameter(bias.detach(), requires_grad=False)
        self.has_relu = has_relu

    def forward(self, input: Map) -> Map:
        """What the convolution makes of `input`, which is best stored channels last."""
        pixels = input.movedim(1, -1)
        rows = pixels.reshape(-1, self.in_features)
        rows = linear_relu(self, rows) if self.has_relu else super().forward(rows)
        return rows.view(*pixels.shape[:-1], -1).movedim(-1, 1)


class PixelwiseSum(nn.Module):
    """A 1x1 convolution with all that comes after it: offset, shortcut, ReLU."""

    def __init__(self, conv: nn.Conv2d) -> None:
        """The same weights; the convolution has a bias."""
        super().__init__()
        self.product = Pixelwise(conv, has_relu=False)

    def forward(self, x: Map, shortcut: Tensor) -> Tensor:
        """ReLU of what the convolution makes of `x`, and of the shortcut."""
        pixels, beside = x.movedim(1, -1), shortcut.movedim(1, -1)
        rows = sum_relu(pixels.flatten(0, -2), self.product, beside.flatten(0, -2))
        return rows.view(beside.shape).movedim(-1, 1)


class CompactBottleneck(nn.Module):
    """`backbone.Bottleneck` in three passes."""

    def __init__(self, inner: nn.Module, last: PixelwiseSum, shortcut: nn.Module) -> None:
        """Its first two convolutions with their ReLU, its third, its shortcut."""
        super().__init__()
        self.inner, self.last, self.shortcut = inner, last, shortcut

    def forward(self, x: Map) -> Tensor:
        """Features after the block."""
        return self.last(self.inner(x), self.shortcut(x))


class Narrowing(nn.Module):
    """Casts once what several layers would each cast."""

    def __init__(self, dtype: torch.dtype) -> None:
        """To this type."""
        super().__init__()
        self.dtype = dtype

    def forward(self, x: Map) -> Map:
        """`x` in the type."""
        return x.to(self.dtype)
