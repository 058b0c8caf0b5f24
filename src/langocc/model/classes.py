# SPDX-License-Identifier: Apache-2.0
"""From prompts to Occ3D classes: which prompt a feature is nearest to, and what it stands for.

Source: method.md sections 8 and 8b.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from langocc.field import FREE, VoxelField

FREE_ID = 17
"""Occ3D id of free space."""


@dataclass(frozen=True)
class Candidates:
    """What a feature is compared with.

    Attributes:
        vectors: One per candidate; longer vectors weigh more.
        class_ids: Occ3D id of each.
    """

    vectors: Float[Tensor, "candidate channel"]
    class_ids: Int[Tensor, " candidate"]


def candidates(
    prompts: Float[Tensor, "prompt channel"],
    class_of_prompt: Int[Tensor, " prompt"],
    weights: Float[Tensor, " prompt"] | None = None,
    *,
    averaged: bool = False,
) -> Candidates:
    """Vectors whose dot product with a feature is the score of a class.

    Args:
        prompts: Unit vectors of the prompts, reduced if the features are.
        class_of_prompt: Occ3D id of each.
        weights: Multiply each prompt's similarity; None: all 1.
        averaged: Score a class by the mean similarity of its prompts instead of by the best one.

    Raises:
        ValueError: no prompts, or another number of classes or weights than of prompts.
    """
    if weights is None:
        weights = prompts.new_ones(len(prompts))
    if not 0 < len(prompts) == len(class_of_prompt) == len(weights):
        raise ValueError(
            "prompts: expected at least one, each with a class and a weight, got "
            f"{len(prompts)} prompts, {len(class_of_prompt)} classes, {len(weights)} weights"
        )
    weighted = prompts * weights[:, None]
    if not averaged:
        return Candidates(weighted, class_of_prompt)
    ids, place, count = class_of_prompt.unique(return_inverse=True, return_counts=True)
    sums = prompts.new_zeros(len(ids), prompts.shape[1]).index_add(0, place, weighted)
    return Candidates(sums / count[:, None], ids)


def nearest_class(
    features: Float[Tensor, "*shape channel"], among: Candidates
) -> Int[Tensor, "*shape"]:
    """Occ3D id of the best candidate of each feature; a feature's length does not matter."""
    return among.class_ids[(features @ among.vectors.mT).argmax(dim=-1)]


def occupancy(
    field: VoxelField, among: Candidates, threshold: float = 0.1
) -> Int[Tensor, "batch x y z"]:
    """Occ3D id of each voxel, `FREE_ID` where the density is below `threshold` (1/m)."""
    best = field.classes(among.vectors, threshold)
    return torch.where(best == FREE, FREE_ID, among.class_ids[best])
