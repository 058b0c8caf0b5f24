# SPDX-License-Identifier: Apache-2.0
"""A trained network made ready for inference on a GPU: norms folded away, weights in bfloat16."""

from copy import deepcopy

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from langocc.model.langocc import LangOcc

PAIRS = {"conv1": ("bn1", "norm1"), "conv2": ("bn2", "norm2"), "conv3": ("bn3",)}
"""Attributes that hold a convolution, and those of the norm behind it."""


def folded(model: LangOcc) -> LangOcc:
    """A copy in evaluation mode whose convolutions contain the norms behind them.

    The same function; other rounding. The pyramid's norm lies behind a matrix product: its scale
    goes into that, and its offset stays.
    """
    model = deepcopy(model).eval().requires_grad_(False)
    for module in list(model.modules()):
        if isinstance(module, nn.Sequential):
            for index in range(len(module) - 1):
                _fold(module, str(index), str(index + 1))
        for conv, norms in PAIRS.items():
            for norm in norms:
                _fold(module, conv, norm)
    norm, weight = model.pyramid.norm, model.pyramid.merge.weight
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = norm.weight / (norm.running_var + norm.eps).sqrt()
    weight.data = weight * scale[:, None, None, None, None]
    setattr(model.pyramid, "norm", Offset(norm.bias - norm.running_mean * scale))  # noqa: B010
    return model


def narrowed(model: LangOcc, dtype: torch.dtype) -> LangOcc:
    """The model with convolutions and linear layers in `dtype`, stored channels last; in place.

    The last layer of the language head stays: texts are folded into it in float32.
    """
    for module in model.modules():
        if module is model.head.last or not isinstance(module, nn.Conv2d | nn.Conv3d | nn.Linear):
            continue
        module.to(dtype)
        layouts = {4: torch.channels_last, 5: torch.channels_last_3d}
        if module.weight.dim() in layouts:
            module.weight.data = module.weight.data.contiguous(
                memory_format=layouts[module.weight.dim()]
            )
    return model


class Offset(nn.Module):
    """Adds a number to each channel of a volume."""

    offset: Tensor

    def __init__(self, offset: Float[Tensor, " channel"]) -> None:
        """The numbers."""
        super().__init__()
        self.register_buffer("offset", offset.detach().clone())

    def forward(self, x: Float[Tensor, "batch channel x y z"]) -> Float[Tensor, "batch _ x y z"]:
        """`x` with its offsets, in its own precision."""
        return x + self.offset.to(x.dtype)[:, None, None, None]


def _fold(parent: nn.Module, conv_name: str, norm_name: str) -> None:
    conv, norm = getattr(parent, conv_name, None), getattr(parent, norm_name, None)
    is_normed = isinstance(norm, nn.modules.batchnorm._BatchNorm)
    if isinstance(conv, nn.Conv2d | nn.Conv3d) and is_normed:
        setattr(parent, conv_name, fuse_conv_bn_eval(conv, norm))
        setattr(parent, norm_name, nn.Identity())
