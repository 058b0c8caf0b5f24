# SPDX-License-Identifier: Apache-2.0
"""Every number that shapes the network, as values. Defaults are the published `full` network."""

from dataclasses import dataclass, field
from typing import Literal

from langocc.geometry.grid import VoxelGrid
from langocc.model.quirks import PUBLISHED, Quirks

RGB_COEFFICIENTS = 27
"""Three colours of nine spherical harmonics (bands 0 to 2)."""


@dataclass(frozen=True)
class BackboneConfig:
    """ResNet with bottleneck blocks (method.md section 2.1)."""

    width: int = 64
    """Channels of the stem; stage i puts out 4 * width * 2**i channels."""
    blocks: tuple[int, int, int, int] = (3, 4, 6, 3)
    """Residual blocks of the four stages; (3, 4, 6, 3) is ResNet-50."""
    recompute: bool = False
    """Recompute the residual blocks of the key frame in the backward pass: less memory, and the
    batch norm of those blocks sees the key frame twice a step, as in the published training."""


@dataclass(frozen=True)
class DepthConfig:
    """Camera-aware depth net with stereo (method.md section 2.3)."""

    lower_m: float = 1.0
    """Edge of the first depth bin, metres along the optical axis."""
    upper_m: float = 45.0
    """End of the depth bins, metres; not itself a bin edge."""
    step_m: float = 0.5
    """Distance of two bin edges, metres."""
    context_channels: int = 32
    """Channels of the features that are lifted."""
    pyramid_channels: int = 96
    """Channels of each branch of the dilated pyramid (ASPP)."""
    dropout: float = 0.5
    """Share of activations dropped after the dilated pyramid, in training."""
    invalid_cost: float = 5.0
    """Added to the matching cost where the reference frame has nothing to compare with."""

    def __post_init__(self) -> None:
        """Refuses depth ranges without bins."""
        if not (0 < self.lower_m < self.upper_m and self.step_m > 0 and self.bins >= 2):
            raise ValueError(
                "depth: expected 0 < lower_m < upper_m with at least two steps of step_m, got "
                f"lower_m={self.lower_m}, upper_m={self.upper_m}, step_m={self.step_m}"
            )

    @property
    def bins(self) -> int:
        """Number of depth bins. Rounded, because 0.3 / 0.1 is less than 3."""
        return round((self.upper_m - self.lower_m) / self.step_m)


@dataclass(frozen=True)
class EncoderConfig:
    """3D residual network with a three-level pyramid (method.md section 2.6)."""

    channels: tuple[int, int, int] = (32, 64, 128)
    """Channels of the three stages; stages 2 and 3 halve the resolution."""
    blocks: tuple[int, int, int] = (1, 2, 4)
    """Residual blocks of the three stages."""
    out_channels: int = 32
    """Channels of the merged pyramid."""


@dataclass(frozen=True)
class HeadConfig:
    """Final convolution and pointwise heads (method.md sections 2.7 and 2.8)."""

    feature_channels: int = 256
    """Channels of the voxel features, the output of the final convolution."""
    hidden_channels: int = 256
    """Width of the three hidden layers of each head."""
    embedding_channels: int = 512
    """Channels of the language head: the teacher's 512, or 128 when the targets are reduced."""
    reduced_from: int | None = None
    """Channels of the teacher's space when targets are reduced; the network then carries the frozen
    reducer, as published checkpoints do. None: not reduced."""
    density_scale: float = 1.0
    """Density is density_scale * sigmoid(.), in 1/m (method.md sections 1 and 10)."""
    density_bias: float = 0.0
    """Bias of the density head's last layer before training. Published: 0, a fog of half the
    highest density, in which rays see only what is next to the camera; -4 starts in clear air."""
    occupied_density: float = 0.1
    """Density from which a voxel counts as occupied, 1/m (published: 0.1)."""


@dataclass(frozen=True)
class ModelConfig:
    """The whole network.

    Raises:
        ValueError: stereo without a history frame to compare with, a negative number of history
            frames, or an image smaller than one cell of the coarsest feature map.
    """

    variant: Literal["language", "rgb"] = "language"
    """What voxels say besides density: an embedding, or a colour per direction."""
    input_size: tuple[int, int] = (256, 704)
    """Height and width of the network's input, pixels."""
    history_frames: int = 2
    """Earlier key frames given beside the key frame. With stereo the oldest one serves only as
    reference of the depth of the one before; all others are lifted too."""
    stereo: bool = True
    """Compare each lifted frame with the one before it for depth."""
    grid: VoxelGrid = field(default_factory=VoxelGrid)
    """The voxels, in the key ego frame."""
    backbone: BackboneConfig = field(default_factory=BackboneConfig)
    """Image backbone."""
    neck_channels: int = 256
    """Channels of the image features after the neck, and inside the depth net."""
    depth: DepthConfig = field(default_factory=DepthConfig)
    """Depth net."""
    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    """3D encoder."""
    head: HeadConfig = field(default_factory=HeadConfig)
    """Final convolution and heads."""
    quirks: Quirks = PUBLISHED
    """Oddities of the published code."""
    cost_volume: Literal["readable", "fused"] = "fused"
    """Implementation of the stereo cost volume. `fused` gives the same numbers, faster: Triton on a
    GPU that has it, else torch."""
    splat: Literal["readable", "fused"] = "fused"
    """Implementation of the sum into voxels; `fused` as above."""

    def __post_init__(self) -> None:
        """Refuses sizes that no network can have."""
        if self.history_frames < 0:
            raise ValueError(f"history_frames: expected 0 or more, got {self.history_frames}")
        if self.stereo and self.history_frames == 0:
            raise ValueError(
                "stereo: expected at least one of history_frames to compare with, got 0; "
                "set stereo to False or history_frames to 1"
            )
        if min(self.input_size) < 32:
            raise ValueError(f"input_size: expected 32 x 32 pixels or more, got {self.input_size}")

    @property
    def input_frames(self) -> int:
        """Frames of one sample, the key frame included."""
        return 1 + self.history_frames

    @property
    def lifted_frames(self) -> int:
        """Frames that become voxels: all but a frame that is only a stereo reference."""
        return self.input_frames - int(self.stereo)

    @property
    def out_channels(self) -> int:
        """Channels of the head beside density."""
        return RGB_COEFFICIENTS if self.variant == "rgb" else self.head.embedding_channels
