# SPDX-License-Identifier: Apache-2.0
"""3D residual blocks and the encoder that gives each voxel its surroundings.

Volumes are [batch, channel, x, y, z], stored channels last: a voxel's features lie together.

Source: method.md sections 2.5 to 2.7.
"""

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import interpolate, linear

from langocc.model.config import EncoderConfig


class ResidualBlock3d(nn.Module):
    """Two 3x3x3 convolutions and a shortcut; the first block of a stage projects its shortcut."""

    def __init__(self, in_channels: int, channels: int, stride: int, *, projects: bool) -> None:
        """`projects`: the shortcut is a 3x3x3 convolution with norm instead of the identity."""
        super().__init__()
        self.conv1 = nn.Conv3d(in_channels, channels, 3, stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm3d(channels)
        self.conv2 = nn.Conv3d(channels, channels, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm3d(channels)
        self.shortcut: nn.Module = nn.Identity()
        if projects:
            self.shortcut = nn.Sequential(
                nn.Conv3d(in_channels, channels, 3, stride, padding=1, bias=False),
                nn.BatchNorm3d(channels),
            )

    def forward(self, x: Float[Tensor, "batch _ _ _ _"]) -> Float[Tensor, "batch _ _ _ _"]:
        """Features after the block."""
        residual = self.norm1(self.conv1(x)).relu_()
        residual = self.norm2(self.conv2(residual))
        return (residual + self.shortcut(x)).relu_()


class Encoder3d(nn.Module):
    """Three stages at full, half and quarter resolution."""

    def __init__(self, in_channels: int, config: EncoderConfig) -> None:
        """Stages of `config.blocks` blocks and `config.channels` channels."""
        super().__init__()
        self.stages = nn.ModuleList()
        for level, (channels, blocks) in enumerate(
            zip(config.channels, config.blocks, strict=True)
        ):
            first = ResidualBlock3d(in_channels, channels, 1 if level == 0 else 2, projects=True)
            rest = (
                ResidualBlock3d(channels, channels, 1, projects=False) for _ in range(blocks - 1)
            )
            self.stages.append(nn.Sequential(first, *rest))
            in_channels = channels

    def forward(
        self, volume: Float[Tensor, "batch channel x y z"]
    ) -> list[Float[Tensor, "batch _ _ _ _"]]:
        """Volumes of the three stages, finest first."""
        levels = []
        for stage in self.stages:
            volume = stage(volume)
            levels.append(volume)
        return levels


class Pyramid3d(nn.Module):
    """All levels upsampled to the finest, concatenated, merged by a 1x1x1 convolution.

    A 1x1x1 convolution and linear upsampling commute, so each level is projected by its own slice
    of the kernel first and the concatenated volume is never made (method.md section 9).
    """

    def __init__(self, level_channels: tuple[int, ...], out_channels: int) -> None:
        """One kernel over the concatenated channels of all levels."""
        super().__init__()
        self.level_channels = level_channels
        self.merge = nn.Conv3d(sum(level_channels), out_channels, 1, bias=False)
        self.norm = nn.BatchNorm3d(out_channels)

    def forward(
        self, levels: list[Float[Tensor, "batch _ _ _ _"]]
    ) -> Float[Tensor, "batch channel x y z"]:
        """The merged volume at the finest resolution."""
        kernels = self.merge.weight.flatten(1).split(self.level_channels, dim=1)
        merged = _project(levels[0], kernels[0])
        for level, kernel in zip(levels[1:], kernels[1:], strict=True):
            merged = merged + interpolate(
                _project(level, kernel),
                size=merged.shape[2:],
                mode="trilinear",
                align_corners=True,
            )
        return self.norm(merged).relu_()


def _project(
    volume: Float[Tensor, "batch _ x y z"], kernel: Float[Tensor, "channel _"]
) -> Float[Tensor, "batch channel x y z"]:
    """A 1x1x1 convolution, as the matrix product it is: that keeps channels last."""
    return linear(volume.movedim(1, -1), kernel).movedim(-1, 1)
