# SPDX-License-Identifier: Apache-2.0
"""Memorable things on squares, lawns and yards, many named by no caption. Models face +x."""

from collections.abc import Callable

import numpy as np

from langocc.scenes.city.materials.palette import shade
from langocc.scenes.city.objects.common import DARK, STEEL, fixture, paint
from langocc.scenes.city.objects.people import head, torso
from langocc.scenes.city.objects.plates import poster
from langocc.scenes.city.solids import (
    bar,
    box,
    cylinder,
    moved,
    quads,
)
from langocc.scenes.city.stage import Model

Maker = Callable[[np.random.Generator], Model]


def billboard(g: np.random.Generator) -> Model:
    """A large billboard on two posts."""
    parts = [cylinder(0.16, 3.2, STEEL, (0, y, 0)) for y in (-1.8, 1.8)]
    parts += [
        box((0.3, 6.2, 3.3), paint("dark grey"), (0, 0, 3.0)),
        poster(g, 6, 3.1, (0.16, 0, 3.1)),
    ]
    parts.append(poster(g, 6, 3.1, (-0.16, 0, 3.1)))
    return fixture("billboard", "", "metal", parts)


def dumpster(g: np.random.Generator) -> Model:
    """A waste container."""
    colour = str(g.choice(["green", "blue", "dark grey"]))
    coat = paint(shade(colour, g), "corrugated")
    return fixture(
        "dumpster",
        colour,
        "metal",
        [box((1.2, 2.0, 1.15), coat, (0, 0, 0.12)), box((1.3, 2.05, 0.1), DARK, (0, 0, 1.27))],
    )


def fountain(g: np.random.Generator) -> Model:
    """A round basin with a tiered jet."""
    stone, water = paint(shade("sand", g), "stone"), paint((0.12, 0.25, 0.3), "water")
    spray = paint((0.75, 0.8, 0.85))
    parts = [cylinder(3.0, 0.6, stone, sides=18), cylinder(2.7, 0.03, water, (0, 0, 0.6), 18)]
    parts += [
        cylinder((0.35, 0.25), 1.6, stone, (0, 0, 0.5), 10),
        cylinder((0.2, 1.1), 0.35, stone, (0, 0, 1.7), 14),
    ]
    parts += [
        cylinder(0.95, 0.03, water, (0, 0, 2.05), 14),
        cylinder((0.12, 0.03), 1.2, spray, (0, 0, 2.05), 6),
    ]
    for angle in np.arange(8) * np.pi / 4:
        c, s = np.cos(angle), np.sin(angle)
        parts.append(bar((0.9 * c, 0.9 * s, 2.0), (1.6 * c, 1.6 * s, 0.65), 0.03, spray, 4))
    return fixture("fountain", "beige", "stone", parts)


def statue(g: np.random.Generator) -> Model:
    """A standing figure in bronze on a plinth."""
    colour, albedo = [
        ("turquoise", (0.12, 0.28, 0.22)),
        ("brown", (0.14, 0.09, 0.05)),
        ("white", (0.6, 0.58, 0.54)),
    ][int(g.integers(3))]
    metal, stone = paint(albedo, "metal"), paint(shade("grey", g), "stone")
    parts = [box((1.8, 1.8, 0.4), stone), box((1.3, 1.3, 1.6), stone, (0, 0, 0.4))]
    figure = [torso(metal, 1.35, 0.86), *head(metal, metal, 1.35, (0.01, 0, 2.05))]
    for side in (-1, 1):
        figure.append(bar((0, side * 0.12, 0), (0, side * 0.12, 1.25), 0.11, metal))
    figure.append(bar((0, 0.28, 1.9), (0.55, 0.4, 2.35), 0.08, metal))
    figure.append(bar((0, -0.28, 1.9), (0.1, -0.36, 1.2), 0.08, metal))
    parts += [moved(part, (0, 0, 2.0)) for part in figure]
    noun = "marble statue" if colour == "white" else "statue"
    return fixture(noun, colour, "stone" if colour == "white" else "bronze", parts)


def market_stall(g: np.random.Generator) -> Model:
    """A stall with a striped roof and crates of fruit."""
    colour = str(g.choice(["red", "green", "blue", "orange"]))
    roof = paint(shade(colour, g), "warning stripes")
    top = [[[0.9, -1.4, 2.1], [0.9, 1.4, 2.1], [-0.9, 1.4, 2.7], [-0.9, -1.4, 2.7]]]
    parts = [quads(np.array(top), np.array([[[0, 0], [2.8, 0], [2.8, 0.01], [0, 0.01]]]), roof)]
    parts += [
        box((0.06, 0.06, 2.4), STEEL, (x, y, 0)) for x in (-0.85, 0.85) for y in (-1.35, 1.35)
    ]
    parts.append(box((1.0, 2.6, 0.85), paint("brown", "planks"), (0.3, 0, 0)))
    for y in np.arange(-1.1, 1.2, 0.44):
        fruit = paint(
            shade(str(g.choice(["red", "orange", "green", "yellow", "purple"])), g), "leaves"
        )
        parts.append(box((0.8, 0.38, 0.16), fruit, (0.3, y, 0.85)))
    return fixture("market stall", colour, "cloth", parts)


def playground(g: np.random.Generator) -> Model:
    """A slide and a swing."""
    red, blue, yellow = (paint(shade(c, g), "paint") for c in ("red", "blue", "yellow"))
    parts = [box((1.4, 1.4, 0.1), blue, (0, 0, 1.6)), box((1.5, 1.5, 0.12), red, (0, 0, 3.0))]
    parts += [box((0.1, 0.1, 3.0), yellow, (x, y, 0)) for x in (-0.65, 0.65) for y in (-0.65, 0.65)]
    slide = [[[0.7, -0.35, 1.65], [0.7, 0.35, 1.65], [3.2, 0.35, 0.2], [3.2, -0.35, 0.2]]]
    parts.append(quads(np.array(slide), np.zeros((1, 4, 2)), yellow))
    parts += [bar((-2.5, y, 0), (-2.5, y * 0.8, 2.4), 0.05, red) for y in (-1.5, 1.5)]
    parts += [
        bar((-2.5, -1.2, 2.4), (-2.5, 1.2, 2.4), 0.05, red),
        box((0.2, 0.5, 0.05), blue, (-2.5, 0.4, 0.6)),
    ]
    return fixture("playground", "red", "metal", parts)


def flag_pole(g: np.random.Generator) -> Model:
    """A flag on a pole."""
    parts, colours = (
        [cylinder((0.07, 0.04), 8, paint("white"))],
        g.permutation(["red", "white", "blue", "green", "yellow"])[:3],
    )
    parts += [
        box((0.02, 1.8, 0.4), paint(str(c)), (0, 0.95, 6.6 + 0.4 * i))
        for i, c in enumerate(colours)
    ]
    return fixture("flag", str(colours[0]), "cloth", parts)


def water_tower(g: np.random.Generator) -> Model:
    """A water tower."""
    coat = paint(shade(str(g.choice(["white", "light blue", "red"])), g), "metal")
    parts = [
        bar((x * 2.4, y * 2.4, 0), (x * 1.6, y * 1.6, 11), 0.16, STEEL)
        for x in (-1, 1)
        for y in (-1, 1)
    ]
    parts += [
        cylinder((1.0, 3.0), 1.2, coat, (0, 0, 10.5), 16),
        cylinder(3.0, 3.5, coat, (0, 0, 11.7), 16),
        cylinder((3.0, 0.2), 1.5, coat, (0, 0, 15.2), 16),
    ]
    return fixture("water tower", "white", "metal", parts)


SQUARE_MAKERS: dict[str, Maker] = {
    "fountain": fountain,
    "statue": statue,
    "billboard": billboard,
    "market stall": market_stall,
    "playground": playground,
    "flag": flag_pole,
    "dumpster": dumpster,
    "water tower": water_tower,
}
"""What stands beside the street, on squares, lawns and yards."""
