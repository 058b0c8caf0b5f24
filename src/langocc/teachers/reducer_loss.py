# SPDX-License-Identifier: Apache-2.0
"""What a reducer takes from words and from the answers that features give to them."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn import functional

from langocc.teachers.reducer import Reducer

TOP = 0.01
"""Share of the features, the best ones for a word, that count as its answer."""


@dataclass(frozen=True)
class ReducerLoss:
    """Means over words or features, in the small space against the teacher's own.

    Attributes:
        cosine: Between words and their reconstructions.
        changed: Share of features whose nearest word belongs to another class.
        answer_kept: Share of a word's best features (one in a hundred) that are still its best.
    """

    cosine: float
    changed: float
    answer_kept: float


@torch.no_grad()
def rivals_changed(
    reducer: Reducer,
    words: Float[Tensor, "word channel"],
    class_ids: Int64[Tensor, " word"],
) -> float:
    """Share of words whose nearest rival, a word of another class, is of a different class reduced.

    What can be said of the ranking of classes without any features. 0 where all are one class.
    """
    is_own = class_ids[:, None] == class_ids
    small = reducer.reduce(words)
    nearest = [
        class_ids[(vectors @ vectors.T).masked_fill(is_own, -torch.inf).argmax(1)]
        for vectors in (words, small)
    ]
    return float((nearest[0] != nearest[1]).float().mean())


@torch.no_grad()
def reducer_loss(
    reducer: Reducer,
    words: Float[Tensor, "word channel"],
    class_ids: Int64[Tensor, " word"],
    features: Float[Tensor, "feature channel"],
) -> ReducerLoss:
    """Asks features for words, before and after the reducer.

    Args:
        reducer: What is judged.
        words: Unit vectors.
        class_ids: Class of each word; all different, if each stands for itself.
        features: Of pixels, at least one.
    """
    small = reducer.reduce(words)
    cosine = functional.cosine_similarity(reducer.reconstruct(small), words, dim=-1).mean()
    before = functional.normalize(features, dim=-1) @ words.T
    after = reducer.reduce(features) @ small.T
    is_other = class_ids[before.argmax(1)] != class_ids[after.argmax(1)]
    count = max(1, round(TOP * len(features)))
    is_best = torch.zeros_like(before, dtype=torch.bool).scatter_(
        0, before.topk(count, dim=0).indices, True
    )
    kept = is_best.gather(0, after.topk(count, dim=0).indices).float().mean()
    return ReducerLoss(float(cosine), float(is_other.float().mean()), float(kept))
