# SPDX-License-Identifier: Apache-2.0
"""A network for fast inference: every BatchNorm taken into the convolution before it."""

import copy

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval


def folded(network: nn.Module, dtype: torch.dtype = torch.float32) -> nn.Module:
    """A copy in evaluation mode, channels last, that gives what the network gives.

    Folding is done in the network's own precision, before rounding to `dtype`. A norm must follow
    its convolution among the children of one module, as it does in ResNets and in their heads.

    Raises:
        ValueError: a norm follows something else, so it would be left over.
    """
    result = copy.deepcopy(network).eval()
    for module in list(result.modules()):
        before: tuple[str, nn.Conv2d] | None = None
        for name, child in list(module.named_children()):
            if isinstance(child, nn.BatchNorm2d):
                if before is None:
                    raise ValueError(f"{name}: expected a convolution before this norm")
                setattr(module, before[0], fuse_conv_bn_eval(before[1], child))
                setattr(module, name, nn.Identity())
            before = (name, child) if isinstance(child, nn.Conv2d) else None
    return result.to(dtype=dtype, memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
