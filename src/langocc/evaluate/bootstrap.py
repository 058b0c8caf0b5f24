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
    score: Callable[[np.ndarray], float],
    samples: int = 1000,
    seed: int = 0,
) -> Interval | None:
    """Percentile interval of a score of summed counts.

    Args:
        per_scene: Counts of each scene, of one shape; a score is a function of their sum.
        score: From summed counts to a number; NaN draws are left out.
        samples: Draws of as many scenes as there are, with replacement.
        seed: Fixes the draws.

    Returns:
        The interval, or None with fewer than two scenes or where every draw is NaN.
    """
    count = len(per_scene)
    if count < MIN_SCENES:
        return None
    stacked = np.stack(per_scene)
    generator = np.random.default_rng(seed)
    weights = generator.multinomial(count, np.full(count, 1 / count), size=samples)
    sums = (weights @ stacked.reshape(count, -1)).reshape(samples, *stacked.shape[1:])
    scores = np.array([score(total) for total in sums])
    scores = scores[~np.isnan(scores)]
    if not len(scores):
        return None
    low, high = np.percentile(scores, [2.5, 97.5])
    return Interval(float(low), float(high), count)
