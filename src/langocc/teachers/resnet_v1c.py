# SPDX-License-Identifier: Apache-2.0
"""MaskCLIP+'s network: a ResNet V1c at stride 8 and a DeepLabV2-style head.

Module names are those of published checkpoints, so that they load strictly.

Source: method.md section 6.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

BLOCKS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3)}
"""Bottlenecks per stage by depth."""

_STRIDES = (1, 2, 1, 1)
_DILATIONS = ((1, 1), (1, 1), (1, 2), (2, 4))
"""Dilation of the first block of a stage and of the others (contracted: the first keeps the one
of the stage before)."""
_HEAD_DILATIONS = (6, 12, 18, 24)


class ResNetV1c(nn.Module):
    """ResNet with a stem of three convolutions; the last two stages dilated instead of strided."""

    def __init__(self, depth: int) -> None:
        """A network of a depth in `BLOCKS`.

        Raises:
            ValueError: another depth.
        """
        super().__init__()
        if depth not in BLOCKS:
            raise ValueError(f"depth: expected one of {sorted(BLOCKS)}, found {depth}")
        self.stem = _stem()
        self.pool = nn.MaxPool2d(3, stride=2, padding=1)
        self.stages = []
        channels_in = 64
        for stage, blocks in enumerate(BLOCKS[depth]):
            width = 64 * 2**stage
            first, rest = _DILATIONS[stage]
            modules = [Bottleneck(channels_in, width, _STRIDES[stage], first)]
            modules += [Bottleneck(4 * width, width, 1, rest) for _ in range(blocks - 1)]
            channels_in = 4 * width
            self.add_module(f"layer{stage + 1}", nn.Sequential(*modules))
            self.stages.append(f"layer{stage + 1}")

    def forward(self, images: Float[Tensor, "image 3 height width"]) -> Tensor:
        """Features of the last stage, 2048 channels at an eighth of the size (rounded up)."""
        hidden = self.pool(self.stem(images))
        for stage in self.stages:
            hidden = self.get_submodule(stage)(hidden)
        return hidden


class Bottleneck(nn.Module):
    """1 x 1, 3 x 3 (strided, dilated), 1 x 1, plus the input."""

    def __init__(self, channels_in: int, width: int, stride: int, dilation: int) -> None:
        """Four times `width` channels come out."""
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(
            width, width, 3, stride, padding=dilation, dilation=dilation, bias=False
        )
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, 4 * width, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(4 * width)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = None
        if stride != 1 or channels_in != 4 * width:
            self.downsample = nn.Sequential(
                nn.Conv2d(channels_in, 4 * width, 1, stride, bias=False), nn.BatchNorm2d(4 * width)
            )

    def forward(self, x: Tensor) -> Tensor:
        """The block."""
        hidden = self.relu(self.bn1(self.conv1(x)))
        hidden = self.relu(self.bn2(self.conv2(hidden)))
        hidden = self.bn3(self.conv3(hidden))
        return self.relu(hidden + (x if self.downsample is None else self.downsample(x)))


class SummedAspp(nn.Module):
    """Four dilated 3 x 3 branches, each conv + BN + ReLU, summed; so the output is >= 0."""

    def __init__(self, channels_in: int = 2048, channels: int = 512) -> None:
        """Dilations 6, 12, 18, 24."""
        super().__init__()
        self.aspp_modules = nn.ModuleList(nn.Sequential() for _ in _HEAD_DILATIONS)
        for branch, dilation in zip(self.aspp_modules, _HEAD_DILATIONS, strict=True):
            branch.add_module(
                "conv",
                nn.Conv2d(
                    channels_in, channels, 3, padding=dilation, dilation=dilation, bias=False
                ),
            )
            branch.add_module("bn", nn.BatchNorm2d(channels))
            branch.add_module("relu", nn.ReLU(inplace=True))

    def forward(self, x: Tensor) -> Tensor:
        """Text-aligned features, not normalised."""
        return torch.stack([branch(x) for branch in self.aspp_modules]).sum(0)


def _stem() -> nn.Sequential:
    modules: list[nn.Module] = []
    for channels_in, channels, stride in ((3, 32, 2), (32, 32, 1), (32, 64, 1)):
        modules += [
            nn.Conv2d(channels_in, channels, 3, stride, padding=1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(inplace=True),
        ]
    return nn.Sequential(*modules)
