# SPDX-License-Identifier: Apache-2.0
"""Targets of a frame's rays: teacher feature, colour, and whether the teacher sees sky."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from langocc.errors import ConfigError
from langocc.features.pixels import HIT, SKY, SKY_ONLY, PixelRays
from langocc.teachers.teacher import Teacher
from langocc.teachers.text import Vocabulary

Images = Sequence[UInt8[np.ndarray, "height width 3"]]
"""One RGB image per camera of a frame, at its original size."""


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


@torch.no_grad()
def frame_targets(
    rays: PixelRays, images: Images, teacher: Teacher | None, sky: SkyRule | None
) -> FrameTargets:
    """Looks at a frame.

    Args:
        rays: As chosen.
        images: One per camera.
        teacher: None: colours only.
        sky: None: nothing is sky, and rays that were chosen as sky only are dropped.
    """
    rgb = np.zeros((len(rays), 3), dtype=np.uint8)
    features = torch.zeros(len(rays), 0 if teacher is None else teacher.channels)
    for cameras in _of_equal_size(images):
        stack = torch.from_numpy(np.stack([images[c] for c in cameras])).permute(0, 3, 1, 2)
        maps = None if teacher is None else teacher.dense(stack)
        for index, camera in enumerate(cameras):
            ours = np.flatnonzero(rays.cameras == camera)
            row_col = torch.from_numpy(rays.pixels[ours])
            rgb[ours] = colours_at(images[camera], row_col)
            if teacher is not None and maps is not None:
                size = (stack.shape[-2], stack.shape[-1])
                read = teacher.sample(maps[index], row_col.to(maps.device), size)
                features = features.to(read.device)
                features[torch.from_numpy(ours).to(read.device)] = read.float()
    return _with_sky(rays, features, rgb, sky)


def colours_at(
    image: UInt8[np.ndarray, "height width 3"], row_col: Float[Tensor, "ray 2"]
) -> UInt8[np.ndarray, "ray 3"]:
    """Colours at pixels, bilinear by the rule of all maps; edges repeat.

    Source: method.md section 2, rgb head. *Deviation*: rounded to whole steps of 1/255.
    """
    height, width, _ = image.shape
    at = row_col.numpy() - 0.5  # (row, col) / size * 2 - 1 with align_corners=False
    at = np.clip(at, 0.0, (height - 1, width - 1))
    low = np.minimum(at.astype(np.int64), (max(height - 2, 0), max(width - 2, 0)))
    high = np.minimum(low + 1, (height - 1, width - 1))
    down, right = (at - low).T[..., None]
    (top, left), (bottom, far) = low.T, high.T
    upper = image[top, left] * (1 - right) + image[top, far] * right
    lower = image[bottom, left] * (1 - right) + image[bottom, far] * right
    return np.rint(upper * (1 - down) + lower * down).astype(np.uint8)


def _with_sky(
    rays: PixelRays,
    features: Float[Tensor, "ray channel"],
    rgb: UInt8[np.ndarray, "ray 3"],
    sky: SkyRule | None,
) -> FrameTargets:
    sees_sky = np.zeros(len(rays), dtype=bool)
    if sky is not None:
        sees_sky = sky.sees_sky(features).cpu().numpy()
    is_sky = sees_sky & ((rays.flags & HIT) == 0)  # a surface that was measured is not sky
    kept = is_sky | ((rays.flags & SKY_ONLY) == 0)
    flags = np.where(is_sky, np.uint8(SKY), rays.flags).astype(np.uint8)
    rays = replace(rays, flags=flags)
    if kept.all():
        return FrameTargets(rays, features, rgb)
    index = torch.from_numpy(np.flatnonzero(kept)).to(features.device)
    return FrameTargets(rays.take(kept), features[index], rgb[kept])


def _of_equal_size(images: Images) -> list[list[int]]:
    groups: dict[tuple[int, ...], list[int]] = {}
    for index, image in enumerate(images):
        groups.setdefault(image.shape, []).append(index)
    return list(groups.values())
