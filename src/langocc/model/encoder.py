# SPDX-License-Identifier: Apache-2.0
"""3D residual blocks and the encoder that gives each voxel its surroundings.

Volumes are [batch, channel, x, y, z], stored channels last: a voxel's features lie together.

Source: method.md sections 2.5 to 2.7.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import interpolate, linear

from langocc.model.activation import activated
from langocc.model.batch_norm import VolumeNorm
from langocc.model.config import EncoderConfig


class ResidualBlock3d(nn.Module):
    """Two 3x3x3 convolutions and a shortcut; the first block of a stage projects its shortcut."""

    def __init__(self, in_channels: int, channels: int, stride: int, *, projects: bool) -> None:
        """`projects`: the shortcut is a 3x3x3 convolution with norm instead of the identity."""
        super().__init__()
        self.conv1 = nn.Conv3d(in_channels, channels, 3, stride, padding=1, bias=False)
        self.norm1 = VolumeNorm(channels)
        self.conv2 = nn.Conv3d(channels, channels, 3, padding=1, bias=False)
        self.norm2 = VolumeNorm(channels)
        self.shortcut: nn.Module = nn.Identity()
        if projects:
            self.shortcut = nn.Sequential(
                nn.Conv3d(in_channels, channels, 3, stride, padding=1, bias=False),
                VolumeNorm(channels),
            )

    def forward(self, x: Float[Tensor, "batch _ _ _ _"]) -> Float[Tensor, "batch _ _ _ _"]:
        """Features after the block."""
        residual = activated(self.norm1, self.conv1(x))
        return activated(self.norm2, self.conv2(residual), self.shortcut(x))


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
        self.norm = VolumeNorm(out_channels)

    def forward(
        self, levels: list[Float[Tensor, "batch _ _ _ _"]]
    ) -> Float[Tensor, "batch channel x y z"]:
        """The merged volume at the finest resolution."""
        kernels = self.merge.weight.flatten(1).split(self.level_channels, dim=1)
        merged = _project(levels[0], kernels[0])
        for level, kernel in zip(levels[1:], kernels[1:], strict=True):
            merged = merged + upsampled(_project(level, kernel), merged.shape[2:])
        return activated(self.norm, merged)


def _project(
    volume: Float[Tensor, "batch _ x y z"], kernel: Float[Tensor, "channel _"]
) -> Float[Tensor, "batch channel x y z"]:
    """A 1x1x1 convolution, as the matrix product it is: that keeps channels last."""
    return linear(volume.movedim(1, -1), kernel).movedim(-1, 1)


def upsampled(
    volume: Float[Tensor, "batch channel _ _ _"], size: Sequence[int]
) -> Float[Tensor, "batch channel x y z"]:
    """As trilinear `interpolate` with aligned corners, an axis at a time, each a matrix product.

    torch's kernel reorders a volume that is stored channels last, and back.
    """
    rows = volume.movedim(1, -1).contiguous()
    for axis in (3, 2, 1):  # the fastest in memory first: it is done while the volume is small
        weights = _interpolation(rows.shape[axis], size[axis - 1], rows)
        slices = rows.flatten(axis + 1).flatten(0, axis - 1)
        along = torch.bmm(weights.expand(slices.shape[0], -1, -1), slices)
        rows = along.view(*rows.shape[:axis], -1, *rows.shape[axis + 1 :])
    return rows.movedim(-1, 1)


def _interpolation(count: int, size: int, like: Tensor) -> Float[Tensor, "size count"]:
    """What each of `size` places takes from each of `count`: linear interpolation of unit steps."""
    dtype = torch.promote_types(like.dtype, torch.float32)
    steps = torch.eye(count, dtype=dtype, device=like.device)[None]
    weights = interpolate(steps, size=size, mode="linear", align_corners=True)
    return weights[0].T.to(like.dtype)
