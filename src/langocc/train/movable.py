# SPDX-License-Identifier: Apache-2.0
"""Which rays show something that may have moved, judged by the teacher's own features.

Source: method.md section 8b.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from langocc.errors import ConfigError
from langocc.geometry.rays import RayBatch
from langocc.render.losses import movable_ray_weights
from langocc.render.objective import LossConfig
from langocc.scenes.occ3d import OCC3D_CLASSES
from langocc.teachers.embeddings import load_embeddings
from langocc.teachers.names import speaks_for
from langocc.train.config import TrainConfig


@dataclass(frozen=True)
class MovablePrompts:
    """Text embeddings of all classes, and which of them name things that move."""

    vectors: Float[Tensor, "prompt channel"]
    is_movable: Bool[Tensor, " prompt"]


def movable_prompts(
    config: TrainConfig, facts: Mapping[str, Any], device: torch.device
) -> MovablePrompts | None:
    """The prompts that rays are judged by; None where the loss does not ask for them.

    Args:
        config: The run's settings.
        facts: Of the run; `teacher` names the teacher of the rays' features.
        device: Where rays are weighed.

    Raises:
        ConfigError: there is no vocabulary, or one of another teacher.
        DataError: its file cannot be used.
    """
    if not config.loss.needs_movable:
        return None
    if config.vocabulary is None or not config.sample.features:
        raise ConfigError(
            "loss.movable, loss.movable-extra: expected --vocabulary (a file of `langocc vocab "
            f"--out`) and rays with features, found {config.vocabulary} and sample.features "
            f"{config.sample.features}"
        )
    embedded = load_embeddings(config.vocabulary)
    teacher = facts.get("teacher", embedded.teacher)
    if not speaks_for(embedded.teacher, teacher):
        raise ConfigError(
            f"{config.vocabulary}: expected embeddings of the store's teacher {teacher!r}, found "
            f"{embedded.teacher!r}"
        )
    classes = {OCC3D_CLASSES.index(name) for name in config.loss.movable_classes}
    is_movable = torch.tensor([id_ in classes for id_ in embedded.vocabulary.class_ids])
    return MovablePrompts(embedded.vectors.to(device), is_movable.to(device))


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
