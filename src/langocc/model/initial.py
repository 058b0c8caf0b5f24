# SPDX-License-Identifier: Apache-2.0
"""How convolutions start when no checkpoint is loaded.

Source: method.md section 2, 'Initialisation'.
"""

from collections.abc import Callable, Iterable
from typing import Literal

from torch import Tensor, nn

from langocc.model.depth_net import DepthNet


def initialise_depth_net(depth_net: DepthNet) -> None:
    """Kaiming-normal: fan in for the dilated pyramid, fan out for what else has a norm behind it.

    Convolutions without norm (gates, context, logits, one shortcut) keep torch's default.
    """
    initialise_normed(depth_net.modules())
    biased = [depth_net.reduce, *([depth_net.stereo] if depth_net.stereo is not None else [])]
    for sequence in biased:
        fill(sequence, kaiming("fan_out"))
    fill(depth_net.pyramid.modules(), kaiming("fan_in"))


def initialise_normed(modules: Iterable[nn.Module]) -> None:
    """Kaiming-normal, fan out, for convolutions without bias: those with a norm behind them."""
    fill((m for m in modules if getattr(m, "bias", 0) is None), kaiming("fan_out"))


def fill(modules: Iterable[nn.Module], set_weight: Callable[[Tensor], object]) -> None:
    """Sets the weights of all convolutions among `modules`; their biases become zero."""
    for module in modules:
        if isinstance(module, nn.Conv2d | nn.Conv3d):
            set_weight(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def kaiming(mode: Literal["fan_in", "fan_out"]) -> Callable[[Tensor], object]:
    """Kaiming-normal for convolutions before a ReLU."""
    return lambda weight: nn.init.kaiming_normal_(weight, mode=mode, nonlinearity="relu")
