# SPDX-License-Identifier: Apache-2.0
"""Flat pieces that face +x: posters, sign plates, regular polygons."""

import numpy as np

from langocc.scenes.city.objects.common import paint
from langocc.scenes.city.solids import (
    Number,
    Paint,
    lid,
    quads,
    transformed,
)
from langocc.scenes.city.world import Mesh

WIDE_POSTERS, TALL_POSTERS = ("poster one", "poster two"), ("poster three", "poster four")


def poster(
    g: np.random.Generator, wide: Number, tall: Number, at: tuple[Number, Number, Number]
) -> Mesh:
    """A picture that faces +x and -x, its lower middle at a point."""
    x, y, z = at
    art = paint("white", str(g.choice(WIDE_POSTERS if wide > tall else TALL_POSTERS)))
    outline = np.array([[-wide / 2, 0], [wide / 2, 0], [wide / 2, tall], [-wide / 2, tall]])
    uv = np.add(outline, [wide / 2, 0])
    corners = np.concatenate([np.full((4, 1), x), np.add(outline, [y, z])], axis=1)
    return quads(corners[None], 0.998 * uv[None], art)


def plate(outline: np.ndarray, at: tuple[Number, Number, Number], coat: Paint) -> Mesh:
    """A flat plate [corner, (y, z)] that faces +x."""
    turn = np.eye(4)
    turn[:3, :3] = [[0, 0, 1], [1, 0, 0], [0, 1, 0]]
    turn[:3, 3] = at
    return transformed(lid(outline, 0.0, coat), turn)


def ngon(sides: int, radius: Number, phase: Number = 0.0) -> np.ndarray:
    """Outline of a regular polygon."""
    angle = np.arange(sides) * 2 * np.pi / sides + phase
    return np.stack([np.cos(angle), np.sin(angle)], axis=1) * radius
