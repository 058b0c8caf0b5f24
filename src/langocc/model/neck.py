# SPDX-License-Identifier: Apache-2.0
"""Feature pyramid neck: strides 16 and 32 merged into one map at stride 16.

Source: method.md section 2.2; Lin et al. 2017.
"""

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import interpolate

from langocc.model.backbone import ImageFeatures


class Neck(nn.Module):
    """1x1 laterals, top-down nearest upsampling, one 3x3; neither norm nor activation."""

    def __init__(self, stride16_channels: int, stride32_channels: int, out_channels: int) -> None:
        """Both laterals put out `out_channels`."""
        super().__init__()
        self.lateral16 = nn.Conv2d(stride16_channels, out_channels, 1)
        self.lateral32 = nn.Conv2d(stride32_channels, out_channels, 1)
        self.smooth = nn.Conv2d(out_channels, out_channels, 3, padding=1)

    def forward(self, features: ImageFeatures) -> Float[Tensor, "view channel height16 width16"]:
        """The merged map at stride 16."""
        fine = self.lateral16(features.stride16)
        coarse = self.lateral32(features.stride32)
        return self.smooth(fine + interpolate(coarse, size=fine.shape[-2:], mode="nearest"))
