# SPDX-License-Identifier: Apache-2.0
"""What stands on posts along the road: lamps, lights, signs, power lines. Models face +x."""

import numpy as np

from langocc.scenes.city.materials.palette import shade
from langocc.scenes.city.objects.common import DARK, STEEL, fixture, paint
from langocc.scenes.city.objects.plates import ngon, plate
from langocc.scenes.city.solids import (
    bar,
    box,
    cylinder,
)
from langocc.scenes.city.stage import Model


def street_lamp(g: np.random.Generator) -> Model:
    """A tall lamp whose arm reaches over the road (+x)."""
    colour = str(g.choice(["grey", "dark grey", "dark green"]))
    coat = paint(shade(colour, g), "metal")
    parts = [
        cylinder((0.11, 0.06), 7.5, coat),
        bar((0, 0, 7.4), (2.0, 0, 7.9), 0.045, coat),
        box((0.8, 0.26, 0.12), coat, (2.1, 0, 7.84)),
        box((0.6, 0.2, 0.03), paint((0.9, 0.9, 0.85)), (2.1, 0, 7.82)),
    ]
    return fixture("street lamp", colour, "metal", parts)


def old_lamp(g: np.random.Generator) -> Model:
    """A lantern on an ornate post."""
    coat = paint(shade("black", g), "metal")
    parts = [
        cylinder((0.18, 0.10), 0.8, coat),
        cylinder(0.06, 3.4, coat),
        cylinder((0.12, 0.22), 0.5, paint((0.85, 0.82, 0.7)), (0, 0, 3.4), 6),
        cylinder((0.27, 0.03), 0.25, coat, (0, 0, 3.9), 6),
    ]
    return fixture("lantern", "black", "iron", parts)


def traffic_light(g: np.random.Generator) -> Model:
    """Signal heads on a post and over the road (-y side), facing +x."""
    coat, box_paint = paint(shade("dark grey", g), "metal"), paint("black")
    parts = [cylinder((0.1, 0.07), 5.6, coat), bar((0, 0, 5.5), (0, -4.0, 5.7), 0.06, coat)]
    lit = int(g.integers(2))
    for y, z in ((0.0, 2.6), (-3.9, 4.9)):
        parts.append(box((0.28, 0.36, 1.05), box_paint, (0.12, y, z)))
        for index, colour in enumerate(((0.02, 0.5, 0.08), (0.5, 0.35, 0.02), (0.8, 0.03, 0.02))):
            on = index == (0 if lit else 2)
            lamp = paint(np.array(colour) * (1.0 if on else 0.15))
            parts.append(plate(ngon(8, 0.12), (0.27, y, z + 0.2 + 0.33 * index), lamp))
    return fixture("traffic light", "black", "metal", parts)


def stop_sign(g: np.random.Generator) -> Model:
    """A red octagon."""
    parts = [
        cylinder(0.035, 2.5, STEEL),
        plate(ngon(8, 0.42, np.pi / 8), (0.05, 0, 2.5), paint("white")),
    ]
    parts.append(plate(ngon(8, 0.38, np.pi / 8), (0.06, 0, 2.5), paint((0.6, 0.02, 0.02))))
    parts.append(box((0.02, 0.5, 0.16), paint("white"), (0.07, 0, 2.42)))
    return fixture("stop sign", "red", "metal", parts)


def road_sign(g: np.random.Generator) -> Model:
    """A round, triangular or blue square sign."""
    kind = str(g.choice(["speed limit sign", "warning sign", "parking sign", "street sign"]))
    parts, colour = [cylinder(0.035, 2.6, STEEL)], "white"
    if kind == "speed limit sign":
        rings = ((0.36, "red"), (0.28, "white"))
        parts += [
            plate(ngon(14, r), (0.05 + 0.01 * i, 0, 2.5), paint(c))
            for i, (r, c) in enumerate(rings)
        ]
        parts.append(box((0.02, 0.26, 0.2), DARK, (0.07, 0, 2.4)))
    elif kind == "warning sign":
        colour, up = "yellow", np.pi / 2
        parts += [
            plate(ngon(3, r, up), (0.05 + 0.01 * i, 0, 2.4), paint(c))
            for i, (r, c) in enumerate(((0.5, "red"), (0.36, "yellow")))
        ]
    elif kind == "parking sign":
        colour = "blue"
        parts += [
            box((0.04, 0.55, 0.55), paint("blue"), (0.04, 0, 2.2)),
            box((0.05, 0.16, 0.4), paint("white"), (0.05, -0.05, 2.27)),
        ]
    else:
        colour = str(g.choice(["green", "blue"]))
        parts += [
            box((0.04, 1.5, 0.32), paint(colour), (0.04, 0.6, 2.4)),
            box((0.05, 1.1, 0.12), paint("white"), (0.04, 0.6, 2.5)),
        ]
    return fixture(kind, colour, "metal", parts)


def power_pole(g: np.random.Generator) -> Model:
    """A wooden utility pole with a crossarm and a transformer."""
    wood = paint(shade("dark brown", g), "bark")
    parts = [cylinder((0.16, 0.11), 9, wood), box((0.12, 2.2, 0.14), wood, (0, 0, 8.2))]
    parts += [cylinder(0.05, 0.2, paint("white"), (0, y, 8.34)) for y in (-1, -0.4, 0.4, 1)]
    parts.append(cylinder(0.24, 0.8, paint("grey", "metal"), (0.35, 0, 6.8), 10))
    return fixture("utility pole", "brown", "wood", parts)
