# SPDX-License-Identifier: Apache-2.0
"""Camera-aware depth net: where along its ray each pixel's features belong.

Source: method.md section 2.3; BEVDepth (Li et al. 2022), BEVStereo (Li et al. 2022).
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from langocc.model.activation import Chain, activated
from langocc.model.batch_norm import ImageNorm
from langocc.model.config import DepthConfig
from langocc.model.dilated_pyramid import DilatedPyramid
from langocc.model.projection import CAMERA_NUMBERS


@dataclass(frozen=True)
class LiftInput:
    """What is lifted.

    Attributes:
        depth: Distribution over depth bins; sums to 1.
        context: Features of each pixel.
    """

    depth: Float[Tensor, "view depth height width"]
    context: Float[Tensor, "view context height width"]


class DepthNet(nn.Module):
    """Depth distribution and context from image features, camera numbers and stereo."""

    def __init__(
        self, channels: int, config: DepthConfig, *, stereo: bool, norm_by_batch: bool = True
    ) -> None:
        """`channels` of the neck's output, used throughout; see `Quirks.camera_norm_by_batch`."""
        super().__init__()
        bins = config.bins
        # In the published order of parameters: published optimizer states count by it.
        self.reduce = Chain(
            nn.Conv2d(channels, channels, 3, padding=1), ImageNorm(channels), nn.ReLU()
        )
        self.context = nn.Conv2d(channels, config.context_channels, 1)
        norm = nn.BatchNorm1d if norm_by_batch else CameraNorm
        self.camera_norm = norm(CAMERA_NUMBERS)
        self.depth_gate = CameraGate(channels)
        self.context_gate = CameraGate(channels)
        self.stereo = (
            nn.Sequential(
                nn.Conv2d(bins, bins, 3, stride=2, padding=1),
                ImageNorm(bins),
                nn.Conv2d(bins, bins, 3, stride=2, padding=1),
                ImageNorm(bins),
            )
            if stereo
            else None
        )
        self.blocks = nn.Sequential(
            BasicBlock(channels + (bins if stereo else 0), channels),
            BasicBlock(channels, channels),
            BasicBlock(channels, channels),
        )
        self.pyramid = DilatedPyramid(channels, config.pyramid_channels, config.dropout)
        self.logits = nn.Conv2d(channels, bins, 1)

    def forward(
        self,
        features: Float[Tensor, "view channel height width"],
        camera: Float[Tensor, "view number"],
        cost_volume: Float[Tensor, "view depth height4 width4"] | None,
    ) -> LiftInput:
        """Depth and context of each pixel.

        Args:
            features: Output of the neck, stride 16.
            camera: Numbers of each view's camera, from `projection.camera_numbers`.
            cost_volume: What stereo suggests, stride 4; None exactly if built without stereo.
        """
        stereo = None if self.stereo is None else self.stereo(cost_volume)
        return self.locate(self.reduce(features), camera, stereo)

    def locate(
        self,
        reduced: Float[Tensor, "view channel height width"],
        camera: Float[Tensor, "view number"],
        stereo: Float[Tensor, "view depth height width"] | None,
    ) -> LiftInput:
        """The same from what does not depend on the key frame: outputs of `reduce` and `stereo`."""
        numbers = self.camera_norm(camera)
        context = self.context(self.context_gate(reduced, numbers))
        x = self.depth_gate(reduced, numbers)
        if stereo is not None:
            x = torch.cat([x, stereo], dim=1)
        logits = self.logits(self.pyramid(self.blocks(x)))
        return LiftInput(logits.softmax(dim=1), context)


class CameraNorm(nn.BatchNorm1d):
    """Batch norm that normalises by its running statistics in training, too.

    They start as plain averages over all views seen and then fade slowly, and the variance is that
    about the running mean: it holds what differs between batches, not only within.
    """

    def forward(self, input: Float[Tensor, "view number"]) -> Float[Tensor, "view number"]:
        """`input`, normalised."""
        mean, variance, count = self.running_mean, self.running_var, self.num_batches_tracked
        assert mean is not None
        assert variance is not None
        assert count is not None
        if self.training:
            with torch.no_grad():
                count += 1
                rate = (1 / count).clamp(min=0.01).to(mean)
                mean.lerp_(input.float().mean(0), rate)
                variance.lerp_((input.float() - mean).square().mean(0), rate)
        return nn.functional.batch_norm(
            input, mean, variance, self.weight, self.bias, training=False, eps=self.eps
        )


class CameraGate(nn.Module):
    """Scales channels by what the camera's numbers say (squeeze and excitation)."""

    def __init__(self, channels: int) -> None:
        """An MLP on the camera's numbers and two 1x1 layers make the gate."""
        super().__init__()
        self.mlp = nn.Sequential(
            nn.Linear(CAMERA_NUMBERS, channels), nn.ReLU(), nn.Linear(channels, channels)
        )
        self.gate = nn.Sequential(
            nn.Conv2d(channels, channels, 1), nn.ReLU(), nn.Conv2d(channels, channels, 1)
        )

    def forward(
        self,
        x: Float[Tensor, "view channel height width"],
        camera: Float[Tensor, "view number"],
    ) -> Float[Tensor, "view channel height width"]:
        """`x`, gated."""
        return x * self.gate(self.mlp(camera)[:, :, None, None]).sigmoid()


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut (a biased 1x1 without norm where channels change)."""

    def __init__(self, in_channels: int, channels: int) -> None:
        """Stride 1."""
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, channels, 3, padding=1, bias=False)
        self.bn1 = ImageNorm(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = ImageNorm(channels)
        same = in_channels == channels
        self.shortcut = nn.Identity() if same else nn.Conv2d(in_channels, channels, 1)

    def forward(
        self, x: Float[Tensor, "view _ height width"]
    ) -> Float[Tensor, "view channel height width"]:
        """Features after the block."""
        residual = activated(self.bn1, self.conv1(x))
        return activated(self.bn2, self.conv2(residual), self.shortcut(x))
