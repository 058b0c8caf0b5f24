# SPDX-License-Identifier: Apache-2.0
"""How much a number would move with other scenes: the bootstrap over scenes.

Frames of a scene resemble each other, so scenes, not frames, are drawn again.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

MIN_SCENES = 2
"""With fewer scenes there is nothing to draw from."""


@dataclass(frozen=True)
class Interval:
    """Where 95 % of the redrawn scores lie, in the score's own unit."""

    low: float
    high: float
    scenes: int


def bootstrap(
    per_scene: Sequence[np.ndarray],
    scores: Callable[[np.ndarray], Sequence[float]],
    samples: int = 1000,
    seed: int = 0,
) -> list[Interval | None]:
    """Percentile intervals of scores of summed counts.

    Args:
        per_scene: Counts of each scene, of one shape; scores are functions of their sum.
        scores: From summed counts to numbers, always as many; NaN draws are left out.
        samples: Draws of as many scenes as there are, with replacement.
        seed: Fixes the draws.

    Returns:
        An interval for each score; None with fewer than two scenes or where every draw is NaN.
    """
    count = len(per_scene)
    if count < MIN_SCENES:
        return [None] * (len(scores(per_scene[0])) if per_scene else 0)
    stacked = np.stack(per_scene)
    generator = np.random.default_rng(seed)
    weights = generator.multinomial(count, np.full(count, 1 / count), size=samples)
    sums = (weights @ stacked.reshape(count, -1)).reshape(samples, *stacked.shape[1:])
    drawn = np.array([scores(total) for total in sums], dtype=np.float64)
    return [_interval(column[~np.isnan(column)], count) for column in drawn.T]


def _interval(draws: np.ndarray, scenes: int) -> Interval | None:
    if not len(draws):
        return None
    low, high = np.percentile(draws, [2.5, 97.5])
    return Interval(float(low), float(high), scenes)
