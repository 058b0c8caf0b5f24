# SPDX-License-Identifier: Apache-2.0
"""Targets of a frame's rays: teacher feature, colour, and whether the teacher sees sky."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from langocc.errors import ConfigError
from langocc.features.pixels import HIT, SKY, SKY_ONLY, PixelRays
from langocc.features.reading import ReadFrame
from langocc.teachers.teacher import Teacher
from langocc.teachers.text import Vocabulary


@dataclass(frozen=True)
class SkyRule:
    """A pixel is sky if, of all prompts, one of sky is nearest to its feature.

    Attributes:
        prompts: Embeddings of all prompts, unit vectors.
        is_sky: Which of them mean sky.
        record: How the teacher was asked, for the store's record.
    """

    prompts: Float[Tensor, "prompt channel"]
    is_sky: Bool[Tensor, " prompt"]
    record: str

    def sees_sky(self, features: Float[Tensor, "ray channel"]) -> Bool[Tensor, " ray"]:
        """Per feature, on its device."""
        nearest = (features @ self.prompts.to(features).T).argmax(dim=-1)
        return self.is_sky.to(features.device)[nearest]

    def to(self, device: torch.device) -> "SkyRule":
        """The same on a device, so that asking does not copy it there each time."""
        return replace(self, prompts=self.prompts.to(device), is_sky=self.is_sky.to(device))


def sky_rule(teacher: Teacher, vocabulary: Vocabulary) -> SkyRule:
    """The rule of a vocabulary that has a prompt with the word "sky".

    Raises:
        ConfigError: it has none.
    """
    is_sky = ["sky" in prompt.lower().split() for prompt in vocabulary.prompts]
    if not any(is_sky) or all(is_sky):
        raise ConfigError(
            f"vocabulary {vocabulary.name}: expected prompts with the word 'sky' and others, to "
            f"tell sky from the rest; found {sum(is_sky)} of {len(is_sky)} with it"
        )
    return SkyRule(
        prompts=teacher.text(vocabulary.prompts).cpu().float(),
        is_sky=torch.tensor(is_sky),
        record=f"nearest prompt of vocabulary {vocabulary.name}",
    )


@dataclass(frozen=True)
class FrameTargets:
    """Rays of a frame that stay, in order, and what they should show.

    Attributes:
        rays: Their flags know the sky now.
        features: Teacher features on the teacher's device; no columns without a teacher.
        rgb: Colours.
    """

    rays: PixelRays
    features: Float[Tensor, "ray channel"]
    rgb: UInt8[np.ndarray, "ray 3"]


@dataclass(frozen=True)
class Look:
    """What the teacher sees of a frame; on a GPU it may still be at work on it.

    Attributes:
        features: Of each ray, on the teacher's device; no columns without a teacher.
        sees_sky: Whether it is nearest to sky; None: nobody asked.
    """

    features: Float[Tensor, "ray channel"]
    sees_sky: Bool[Tensor, " ray"] | None


@torch.no_grad()
def look(
    frame: ReadFrame, teacher: Teacher | None, sky: SkyRule | None, device: torch.device
) -> Look:
    """Looks at a frame that has been read. Nothing here waits for a GPU.

    Args:
        frame: Its rays and images.
        teacher: None: colours only.
        sky: None: nothing is sky. Its tensors lie on the device.
        device: Where the teacher is.
    """
    if teacher is None:
        return Look(torch.zeros(len(frame.rays), 0), None)
    counts = np.bincount(frame.rays.cameras, minlength=sum(len(i.cameras) for i in frame.images))
    order = np.argsort(frame.rays.cameras, kind="stable")
    places = _sent(order, device).split(counts.tolist())
    row_cols = _sent(frame.rays.pixels[order], device).split(counts.tolist())
    features = torch.zeros(len(frame.rays), teacher.channels, device=device)
    for images in frame.images:
        pixels = images.pixels.to(device, non_blocking=True).permute(0, 3, 1, 2)
        size = (pixels.shape[-2], pixels.shape[-1])
        for camera, dense in zip(images.cameras, teacher.dense(pixels), strict=True):
            read = teacher.sample(dense, row_cols[camera], size).float()
            features.index_copy_(0, places[camera], read)
    return Look(features, None if sky is None else sky.sees_sky(features))


def settled(rays: PixelRays, rgb: UInt8[np.ndarray, "ray 3"], look: Look) -> FrameTargets:
    """Marks the sky, and drops rays that were chosen as sky only and are not."""
    sees_sky = False if look.sees_sky is None else look.sees_sky.cpu().numpy()
    is_sky = sees_sky & ((rays.flags & HIT) == 0)  # a surface that was measured is not sky
    kept = is_sky | ((rays.flags & SKY_ONLY) == 0)
    rays = replace(rays, flags=np.where(is_sky, np.uint8(SKY), rays.flags).astype(np.uint8))
    if kept.all():
        return FrameTargets(rays, look.features, rgb)
    index = torch.from_numpy(np.flatnonzero(kept)).to(look.features.device)
    return FrameTargets(rays.take(kept), look.features[index], rgb[kept])


def _sent(values: np.ndarray, device: torch.device) -> Tensor:
    """Values on a device; the copy to a GPU waits for nothing."""
    tensor = torch.from_numpy(values)
    if device.type == "cuda":
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)
