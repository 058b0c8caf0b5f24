# SPDX-License-Identifier: Apache-2.0
"""Which rays show something that may have moved, judged by the teacher's own features.

Source: method.md section 8b.
"""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from langocc.geometry.rays import RayBatch
from langocc.render.losses import movable_ray_weights
from langocc.render.objective import LossConfig
from langocc.scenes.occ3d import OCC3D_CLASSES
from langocc.teachers.embeddings import EmbeddedVocabulary


@dataclass(frozen=True)
class MovablePrompts:
    """Text embeddings of all classes, and which of them name things that move."""

    vectors: Float[Tensor, "prompt channel"]
    is_movable: Bool[Tensor, " prompt"]


def movable_prompts(embedded: EmbeddedVocabulary, config: LossConfig) -> MovablePrompts:
    """The prompts that rays are judged by.

    Args:
        embedded: In the space of the rays' features.
        config: Names the classes that move.
    """
    classes = {OCC3D_CLASSES.index(name) for name in config.movable_classes}
    is_movable = torch.tensor([id_ in classes for id_ in embedded.vocabulary.class_ids])
    return MovablePrompts(embedded.vectors, is_movable.to(embedded.vectors.device))


def weighed(rays: RayBatch, prompts: MovablePrompts, config: LossConfig) -> RayBatch:
    """Rays with weights by what they show. Sky rays show nothing and keep theirs.

    Raises:
        ValueError: the rays lack features or times.
    """
    if rays.features is None or rays.is_other_time is None:
        raise ValueError("rays: movable ones are judged by features and is_other_time, got None")
    weights = movable_ray_weights(
        rays.features,
        prompts.vectors,
        prompts.is_movable,
        rays.is_other_time,
        drop=config.movable == "drop",
        extra=config.movable_extra,
    )
    if rays.is_sky is not None:
        weights = torch.where(rays.is_sky, 1.0, weights)
    return replace(rays, weights=weights if rays.weights is None else weights * rays.weights)
