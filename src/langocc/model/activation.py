# SPDX-License-Identifier: Apache-2.0
"""What stands behind a convolution: a norm or an offset, a shortcut, ReLU."""

from abc import ABC, abstractmethod

from jaxtyping import Float
from torch import Tensor, nn


class ActivatingNorm(nn.Module, ABC):
    """A norm that adds a shortcut and applies ReLU in the same pass over memory."""

    @abstractmethod
    def activated(
        self, x: Float[Tensor, "batch channel *size"], shortcut: Tensor | None
    ) -> Float[Tensor, "batch channel *size"]:
        """ReLU of the normed `x` plus the shortcut, if any; may overwrite `x`."""


def activated(
    norm: nn.Module,
    x: Float[Tensor, "batch channel *size"],
    shortcut: Float[Tensor, "batch channel *size"] | None = None,
) -> Float[Tensor, "batch channel *size"]:
    """ReLU(norm(x) + shortcut), in one pass where the norm can; `x` may be overwritten."""
    if isinstance(norm, ActivatingNorm):
        return norm.activated(x, shortcut)
    return added_relu(norm(x), shortcut)


def added_relu(
    x: Float[Tensor, "batch channel *size"], shortcut: Float[Tensor, "batch channel *size"] | None
) -> Float[Tensor, "batch channel *size"]:
    """ReLU(x + shortcut); `x` may be overwritten."""
    return (x if shortcut is None else x + shortcut).relu_()


class Chain(nn.Sequential):
    """`nn.Sequential` in which a layer and the ReLU behind it are one operation, where they can."""

    def forward(self, input: Float[Tensor, "batch _ *_"]) -> Float[Tensor, "batch _ *_"]:
        """What the layers make of `input`, one after the other."""
        layers = list(self)
        for layer, after in zip(layers, [*layers[1:], None], strict=True):
            if isinstance(after, nn.ReLU):
                input = activated(layer, input)
            elif not isinstance(layer, nn.ReLU):
                input = layer(input)
        return input


def shifted_relu(
    x: Float[Tensor, "batch channel *size"],
    offset: Float[Tensor, " channel"],
    shortcut: Float[Tensor, "batch channel *size"] | None = None,
) -> Float[Tensor, "batch channel *size"]:
    """ReLU(x + offset of the channel + shortcut), in the precision of `x`: the definition."""
    x = x + offset.to(x.dtype).view(-1, *[1] * (x.dim() - 2))
    return (x if shortcut is None else x + shortcut).relu()
