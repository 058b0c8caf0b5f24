# SPDX-License-Identifier: Apache-2.0
"""ResNet with bottleneck blocks, under the parameter names of torchvision and mmdetection.

Source: method.md section 2.1; He et al. 2015, the form with the stride in the 3x3 convolution.
"""

from dataclasses import dataclass
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from langocc.model.activation import activated
from langocc.model.batch_norm import ImageNorm
from langocc.model.config import BackboneConfig


@dataclass(frozen=True)
class ImageFeatures:
    """Feature maps of a stack of views.

    Attributes:
        stride4: Output of layer1, for stereo.
        stride16: Output of layer3.
        stride32: Output of layer4.
    """

    stride4: Float[Tensor, "view channel4 height4 width4"]
    stride16: Float[Tensor, "view channel16 height16 width16"]
    stride32: Float[Tensor, "view channel32 height32 width32"]


class Bottleneck(nn.Module):
    """1x1 down, 3x3 (stride), 1x1 up by four, each normalised; added to the shortcut."""

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        """Shortcut: the identity where shapes allow it, else a strided 1x1 convolution."""
        super().__init__()
        out_channels = 4 * channels
        self.conv1 = nn.Conv2d(in_channels, channels, 1, bias=False)
        self.bn1 = ImageNorm(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, stride, padding=1, bias=False)
        self.bn2 = ImageNorm(channels)
        self.conv3 = nn.Conv2d(channels, out_channels, 1, bias=False)
        self.bn3 = ImageNorm(out_channels)
        self.downsample: nn.Sequential | None = None
        if stride != 1 or in_channels != out_channels:
            self.downsample = nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 1, stride, bias=False),
                ImageNorm(out_channels),
            )

    def forward(self, x: Float[Tensor, "view _ _ _"]) -> Float[Tensor, "view _ _ _"]:
        """Features after the block."""
        residual = activated(self.bn1, self.conv1(x))
        residual = activated(self.bn2, self.conv2(residual))
        shortcut = x if self.downsample is None else self.downsample(x)
        return activated(self.bn3, self.conv3(residual), shortcut)


class Backbone(nn.Module):
    """Image features at strides 4, 16 and 32."""

    def __init__(self, config: BackboneConfig) -> None:
        """Four stages of `config.blocks` bottlenecks."""
        super().__init__()
        self.recompute = config.recompute
        width = config.width
        self.conv1 = nn.Conv2d(3, width, 7, stride=2, padding=3, bias=False)
        self.bn1 = ImageNorm(width)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        self.layer1 = _stage(width, width, config.blocks[0], stride=1)
        self.layer2 = _stage(4 * width, 2 * width, config.blocks[1], stride=2)
        self.layer3 = _stage(8 * width, 4 * width, config.blocks[2], stride=2)
        self.layer4 = _stage(16 * width, 8 * width, config.blocks[3], stride=2)

    def forward(self, images: Float[Tensor, "view 3 height width"]) -> ImageFeatures:
        """Feature maps of normalised images."""
        stride4 = self.stereo_features(images)
        stride16 = self._run(self.layer3, self._run(self.layer2, stride4))
        return ImageFeatures(stride4, stride16, self._run(self.layer4, stride16))

    def stereo_features(
        self, images: Float[Tensor, "view 3 height width"]
    ) -> Float[Tensor, "view channel4 height4 width4"]:
        """Output of layer1 alone: all that a stereo reference needs.

        It is stored channels last, and so is all that follows: that is faster, and stereo reads
        whole pixels. Not in training on a processor: there torch's batch norm rounds differently in
        that order, and over a few views that shows in the gradients.
        """
        if images.is_cuda or not self.training:
            images = images.contiguous(memory_format=torch.channels_last)
        x = self.maxpool(activated(self.bn1, self.conv1(images)))
        return self._run(self.layer1, x)

    def _run(self, stage: nn.Sequential, x: Tensor) -> Tensor:
        recompute = self.recompute and self.training and torch.is_grad_enabled()
        for block in stage:
            x = cast(Tensor, checkpoint(block, x, use_reentrant=False)) if recompute else block(x)
        return x


def _stage(in_channels: int, channels: int, blocks: int, stride: int) -> nn.Sequential:
    first = Bottleneck(in_channels, channels, stride)
    return nn.Sequential(first, *(Bottleneck(4 * channels, channels, 1) for _ in range(blocks - 1)))
