# SPDX-License-Identifier: Apache-2.0
"""Parts of buildings: walls with windows, foundations, roofs, doors, shop floors.

Fronts look along +x. Walls are whole numbers of window bays wide and of floors high, so that
windows are never cut.
"""

from dataclasses import replace

import numpy as np

from langocc.scenes.city.materials.palette import shade
from langocc.scenes.city.materials.textures import BAY_M, FLOOR_M, TEXTURE
from langocc.scenes.city.objects.common import DARK, paint
from langocc.scenes.city.solids import Number, Paint, box, prism, quads, triangles
from langocc.scenes.city.world import Mesh

_WALLS = {
    "brick": ("red", "dark red", "brown", "terracotta", "ochre"),
    "plaster": ("white", "cream", "beige", "yellow", "pink", "light blue", "orange", "light green",
                "grey", "terracotta"),
    "stone": ("beige", "sand", "grey", "cream"),
    "panel": ("grey", "white", "silver", "dark grey"),
    "siding": ("white", "light blue", "blue", "green", "yellow", "red", "grey", "cream"),
}  # fmt: skip


def rectangle(depth_m: Number, width_m: Number, x: Number = 0.0, y: Number = 0.0) -> np.ndarray:
    """Outline of a footprint: x is its depth, y its width."""
    return np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * [depth_m / 2, width_m / 2] + [x, y]


def bays(length_m: Number, least: int = 2) -> float:
    """The nearest whole number of window bays, metres."""
    return max(least, round(length_m / BAY_M)) * BAY_M


def wall_paint(
    generator: np.random.Generator, material: str, suffix: str, colour: str = ""
) -> tuple[str, Paint]:
    """A wall colour and its paint with windows, started at a random bay."""
    colour = colour or str(generator.choice(_WALLS[material]))
    offset = generator.integers(0, 4, 2) * [BAY_M, FLOOR_M]
    texture = TEXTURE[f"{material} {suffix}".strip()]
    albedo = shade(colour, generator)
    albedo = 0.72 * albedo + 0.28 * albedo.mean()  # weathered
    return colour, Paint(albedo, texture, 0, (float(offset[0]), float(offset[1])))


def foundation(depth_m: Number, width_m: Number) -> Mesh:
    """Reaches below the ground, for slopes."""
    return prism(rectangle(depth_m, width_m), -2.5, 0.0, paint("grey", "concrete"))


def flat_roof(
    depth_m: Number, width_m: Number, height_m: Number, generator: np.random.Generator
) -> list[Mesh]:
    """A parapet, a gravel roof, machinery."""
    edge, gravel = paint("grey", "concrete"), paint("dark grey", "gravel")
    parts = []
    for x, y, dx, dy in (
        (depth_m / 2, 0, 0.35, width_m + 0.3),
        (-depth_m / 2, 0, 0.35, width_m + 0.3),
        (0, width_m / 2, depth_m + 0.3, 0.35),
        (0, -width_m / 2, depth_m + 0.3, 0.35),
    ):
        parts.append(box((dx, dy, 0.7), edge, (x, y, height_m - 0.1)))
    for _ in range(int(generator.integers(1, 4))):
        size = generator.uniform([1.5, 1.5, 1.0], [0.35 * depth_m, 0.35 * width_m, 2.8])
        at = generator.uniform(-0.28, 0.28, 2) * [depth_m, width_m]
        parts.append(box(size, paint("silver", "corrugated"), (*at, height_m)))
    parts.append(box((depth_m - 0.2, width_m - 0.2, 0.02), gravel, (0, 0, height_m)))
    return parts


def gable(
    depth_m: Number, width_m: Number, height_m: Number, rise_m: Number, roof: Paint, wall: Paint
) -> list[Mesh]:
    """A pitched roof with its ridge along y, overhanging, and the two gable walls."""
    over = 0.45
    x, y = depth_m / 2 + over, width_m / 2 + over
    drop = height_m - over * rise_m / (depth_m / 2)
    top = height_m + rise_m
    slope = float(np.hypot(x, top - drop))
    planes = np.array(
        [
            [[x, -y, drop], [x, y, drop], [0, y, top], [0, -y, top]],
            [[-x, y, drop], [-x, -y, drop], [0, -y, top], [0, y, top]],
        ]
    )
    uv = np.array([[[0, 0], [2 * y, 0], [2 * y, slope], [0, slope]]] * 2)
    under = planes - [0, 0, 0.14]
    half, flat = depth_m / 2, replace(wall, texture=TEXTURE["plaster"])
    ends = [
        [
            [-half, s * width_m / 2, height_m],
            [half, s * width_m / 2, height_m],
            [0, s * width_m / 2, top],
        ]
        for s in (-1, 1)
    ]
    ends = np.array(ends)
    return [
        quads(planes, uv, roof),
        quads(under, uv, DARK),
        triangles(ends, ends[..., [0, 2]], flat),
    ]


def door_at(
    generator: np.random.Generator, depth_m: Number, y: Number, wide: Number = 1.1
) -> list[Mesh]:
    """A front door with its frame and step."""
    coat = paint(
        shade(str(generator.choice(["brown", "dark green", "red", "blue", "white"])), generator)
    )
    return [
        box((0.12, wide + 0.3, 2.4), paint("white"), (depth_m / 2, y, 0)),
        box((0.16, wide, 2.2), coat, (depth_m / 2, y, 0)),
        box((1.0, wide + 0.6, 0.16), paint("grey", "concrete"), (depth_m / 2 + 0.5, y, 0)),
    ]


def shop_floor(
    generator: np.random.Generator, depth_m: Number, width_m: Number, tall: Number = 4.0
) -> list[Mesh]:
    """A glazed ground floor with a sign and perhaps awnings."""
    front = paint(
        shade(str(generator.choice(["dark grey", "beige", "dark green", "white"])), generator),
        "shop front",
    )
    parts = [prism(rectangle(depth_m, width_m), 0.0, tall, front)]
    colour = str(generator.choice(["red", "blue", "green", "yellow", "orange", "white", "purple"]))
    sign = paint(shade(colour, generator))
    parts.append(box((0.2, 0.6 * width_m, 0.6), sign, (depth_m / 2 + 0.05, 0, tall - 0.95)))
    if generator.random() < 0.6:
        stripe = paint(
            shade(str(generator.choice(["red", "green", "blue", "orange"])), generator),
            "warning stripes",
        )
        x, y = depth_m / 2, 0.42 * width_m
        awning = np.array([[[x, -y, 2.95], [x, y, 2.95], [x + 1.3, y, 2.45], [x + 1.3, -y, 2.45]]])
        parts.append(
            quads(awning, np.array([[[0, 0], [2 * y, 0], [2 * y, 0.01], [0, 0.01]]]), stripe)
        )
    return parts
