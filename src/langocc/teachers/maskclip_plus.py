# SPDX-License-Identifier: Apache-2.0
"""MaskCLIP+: the distilled teacher of the published run, from a published checkpoint.

Source: method.md section 6.
"""

import re
from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torch.nn import functional

from langocc.errors import DataError
from langocc.teachers.checkpoint import digest_of, require_same_entries
from langocc.teachers.clip_text import ClipText
from langocc.teachers.kept import kept
from langocc.teachers.resnet_v1c import BLOCKS, ResNetV1c, SummedAspp
from langocc.teachers.sampling import sample_upsampled

IMAGE_MEAN = (123.675, 116.28, 103.53)
"""Mean of RGB bytes (ImageNet) that MaskCLIP+ subtracts."""
IMAGE_STD = (58.395, 57.12, 57.375)
"""Standard deviation of RGB bytes (ImageNet)."""
NETWORK_SIZE = (1024, 1820)
"""Height and width that images are scaled to fit in, their shape kept."""

_HEAD = "decode_head.decode_module."
_UNUSED = re.compile(
    r"^(decode_head\.(clip\.|proj\.|text_embeddings|_iter_counter|"
    r"conv_seg\.|loss)|auxiliary_head\.)|num_batches_tracked$"
)
"""What a checkpoint holds besides the network: the ViT it was distilled from, counters, losses."""


class MaskClipPlusNetwork(nn.Module):
    """Backbone and head, under the names of published checkpoints."""

    def __init__(self, depth: int) -> None:
        """A network of depth 50 or 101."""
        super().__init__()
        self.backbone = ResNetV1c(depth)
        self.decode_head = _Head()

    def forward(self, images: Float[Tensor, "image 3 height width"]) -> Tensor:
        """Features at an eighth of the size, >= 0, not normalised."""
        return self.decode_head.decode_module(self.backbone(images))


class _Head(nn.Module):
    """Carries the head's name in checkpoints."""

    def __init__(self) -> None:
        super().__init__()
        self.decode_module = SummedAspp()


class MaskClipPlus:
    """MaskCLIP+ as a `Teacher`; texts go through the CLIP it was distilled from.

    Attributes:
        id: Stable name of weights and preprocessing.
        channels: 512.
        depth: Of the ResNet, read off the checkpoint.
    """

    channels = 512

    def __init__(self, network: MaskClipPlusNetwork, depth: int, id: str, texts: ClipText) -> None:
        """Wraps a network; `texts` encodes queries with CLIP ViT-B/16."""
        self.network = network.eval().requires_grad_(False)
        self.depth = depth
        self.id = id
        self.texts = texts

    @torch.no_grad()
    def dense(
        self, images: UInt8[Tensor, "image 3 height width"]
    ) -> Float[Tensor, "image channel map_height map_width"]:
        """Features of true-RGB images, resized to fit 1820 x 1024, in one pass."""
        weight = next(self.network.parameters())
        pixels = images.to(weight.device, non_blocking=True).float()
        pixels = functional.interpolate(
            pixels, size=resized(images.shape[-2], images.shape[-1]), mode="bilinear"
        )
        mean, std = (
            kept(values, pixels.device, pixels.dtype)[:, None, None]
            for values in (IMAGE_MEAN, IMAGE_STD)
        )
        return self.network(((pixels - mean) / std).to(weight.dtype))

    def sample(
        self,
        dense: Float[Tensor, "channel map_height map_width"],
        row_col: Float[Tensor, "pixel 2"],
        image_size: tuple[int, int],
    ) -> Float[Tensor, "pixel channel"]:
        """Features of pixels by the published rule (norms at most 1), at touched cells only."""
        return sample_upsampled(dense, row_col, image_size, resized(*image_size))

    def text(
        self, prompts: Sequence[str], *, templates: bool = True
    ) -> Float[Tensor, "prompt channel"]:
        """Unit vectors of prompts."""
        return self.texts.embed(prompts, templates=templates)

    def to(self, device: torch.device | str) -> "MaskClipPlus":
        """Moves both models in place and returns itself."""
        self.network.to(device)
        nn.Module.to(self.texts.model, device)
        return self


def load_maskclip_plus(state: Mapping[str, Tensor], source: str, texts: ClipText) -> MaskClipPlus:
    """MaskCLIP+ from a published checkpoint; its depth is read off its keys.

    Raises:
        DataError: not such a checkpoint, or a name or shape that does not fit.
    """
    network, depth = network_from_state(state, source)
    digest = digest_of(network.state_dict())
    return MaskClipPlus(network, depth, f"maskclip-plus-r{depth}-{digest}", texts)


def is_maskclip_plus(state: Mapping[str, Tensor]) -> bool:
    """Whether weights are MaskCLIP+'s, by their names."""
    return any(key.startswith(_HEAD) for key in state)


def network_from_state(state: Mapping[str, Tensor], source: str) -> tuple[MaskClipPlusNetwork, int]:
    """The network whose depth the keys tell, loaded strictly.

    Args:
        state: Names as published (`backbone.*`, `decode_head.decode_module.*`, and what is unused).
        source: Where it came from, for messages.

    Raises:
        DataError: the stages fit no known depth, or names or shapes differ; lists the first ten.
    """
    blocks = tuple(_blocks(state, stage) for stage in (1, 2, 3, 4))
    depth = next((d for d, expected in BLOCKS.items() if expected == blocks), None)
    if depth is None:
        raise DataError(f"{source}: stages of {blocks} blocks; known are {BLOCKS}")
    network = MaskClipPlusNetwork(depth)
    own = network.state_dict()
    given, used = (
        {key: value for key, value in entries.items() if not _UNUSED.search(key)}
        for entries in (state, own)
    )
    require_same_entries(given, used, source)
    network.load_state_dict(own | given)  # step counters are left out
    return network, depth


def resized(height: int, width: int) -> tuple[int, int]:
    """Height and width of an image scaled to fit `NETWORK_SIZE`, its shape kept."""
    scale = min(NETWORK_SIZE[0] / height, NETWORK_SIZE[1] / width)
    return int(height * scale + 0.5), int(width * scale + 0.5)


def _blocks(state: Mapping[str, Tensor], stage: int) -> int:
    pattern = re.compile(rf"backbone\.layer{stage}\.(\d+)\.")
    return len({match[1] for key in state if (match := pattern.match(key))})
