# SPDX-License-Identifier: Apache-2.0
"""Answers to one or several queries as one colour a voxel."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32, UInt8

from langocc.view.colours import heat_colours, heat_range

COLD = (150, 156, 164)
"""Of a voxel that answers no query; grey enough to be seen on a white page under light."""

QUERY_COLOURS = (
    (215, 48, 60),
    (30, 110, 215),
    (25, 150, 80),
    (235, 140, 20),
    (145, 70, 200),
    (0, 160, 180),
)
"""One for each of several queries; a single query takes the heat scale."""


@dataclass(frozen=True)
class Painted:
    """Colours of voxels, and what the legend says.

    Attributes:
        colours: One a voxel.
        ranges: For each query, the similarities that are cold and hot.
        hot: For each query, voxels of its colour above the threshold.
        strength: Heat of each voxel in [0, 1]; 0 where it is cold.
    """

    colours: UInt8[np.ndarray, "voxel 3"]
    ranges: tuple[tuple[float, float], ...]
    hot: tuple[int, ...]
    strength: Float32[np.ndarray, " voxel"]


def paint(scores: Float[np.ndarray, "query voxel"], threshold: float) -> Painted:
    """Colours by the query that a voxel answers best, within each query's own range.

    Args:
        scores: Similarity of each voxel to each query.
        threshold: Heat in [0, 1] below which a voxel is left cold.
    """
    ranges = tuple(heat_range(row) for row in scores)
    low, high = (np.array(ends)[:, None] for ends in zip(*ranges, strict=True))
    heat = np.clip((scores - low) / (high - low), 0, 1)
    best = heat.argmax(axis=0)
    strength = heat.max(axis=0)
    if len(scores) == 1:
        colours = heat_colours(strength)
    else:
        full = np.array(QUERY_COLOURS, float)[best]
        cold = np.array(COLD, float)
        colours = np.round(cold + strength[:, None] * (full - cold)).astype(np.uint8)
    is_hot = (strength >= threshold) & (strength > 0)
    colours[~is_hot] = COLD
    hot = np.bincount(best[is_hot], minlength=len(scores))
    strength = np.where(is_hot, strength, 0.0).astype(np.float32)
    return Painted(colours, ranges, tuple(int(count) for count in hot), strength)
