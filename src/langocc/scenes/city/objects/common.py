# SPDX-License-Identifier: Apache-2.0
"""Paints and finishing that models share."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from langocc.scenes.city.materials.palette import COLOURS
from langocc.scenes.city.materials.textures import TEXTURE
from langocc.scenes.city.solids import Paint, Vector, join
from langocc.scenes.city.stage import Model
from langocc.scenes.city.world import Mesh, Thing


def paint(colour: str | Vector, texture: str = "plain") -> Paint:
    """A paint by colour word (or linear RGB) and texture name."""
    albedo = COLOURS[colour] if isinstance(colour, str) else np.asarray(colour, np.float32)
    return Paint(albedo, TEXTURE[texture])


RUBBER = paint((0.02, 0.02, 0.022))
HUB = paint((0.35, 0.36, 0.38), "metal")
GLASS = paint((0.022, 0.028, 0.034), "glass")
DARK = paint((0.03, 0.03, 0.033))
STEEL = paint((0.3, 0.31, 0.32), "metal")
HEADLAMP = paint((0.85, 0.85, 0.8), "glass")
TAIL_LAMP = paint((0.5, 0.02, 0.02), "glass")
AMBER = paint((0.8, 0.35, 0.03), "glass")
BEACON = paint((0.05, 0.15, 0.85), "glass")


def boxed(category: str, noun: str, colour: str, material: str, parts: Sequence[Mesh]) -> Model:
    """A model with a box: its mesh centred in x and y and set on the ground, its size measured."""
    mesh = join(parts)
    low, high = mesh.vertices.min(axis=0), mesh.vertices.max(axis=0)
    shift = np.array([(low[0] + high[0]) / 2, (low[1] + high[1]) / 2, low[2]])
    length, width, height = (float(v) for v in high - low)
    return Model(
        Thing(category, noun, colour, material, (length, width, height)),
        replace(mesh, vertices=mesh.vertices - shift),
    )


def fixture(
    noun: str, colour: str, material: str, parts: Sequence[Mesh], category: str = "static.manmade"
) -> Model:
    """A model without a box."""
    return Model(Thing(category, noun, colour, material), join(parts))
