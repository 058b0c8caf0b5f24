# SPDX-License-Identifier: Apache-2.0
"""What stands on sidewalks and around gardens: benches, boxes, booths, fences. Models face +x."""

from collections.abc import Callable

import numpy as np

from langocc.scenes.city.materials.palette import shade
from langocc.scenes.city.objects.common import DARK, GLASS, STEEL, fixture, paint
from langocc.scenes.city.objects.plates import TALL_POSTERS, ngon, plate, poster
from langocc.scenes.city.objects.posts import road_sign
from langocc.scenes.city.solids import (
    Number,
    Paint,
    bar,
    box,
    cylinder,
    lid,
    moved,
    quads,
    transformed,
)
from langocc.scenes.city.stage import Model
from langocc.scenes.city.world import Mesh

Maker = Callable[[np.random.Generator], Model]


def bench(g: np.random.Generator) -> Model:
    """A bench."""
    wood = paint(shade(str(g.choice(["brown", "ochre", "green"])), g), "planks")
    parts = [
        box((0.45, 1.7, 0.06), wood, (0, 0, 0.43)),
        box((0.06, 1.7, 0.4), wood, (-0.24, 0, 0.5)),
    ]
    parts += [box((0.45, 0.07, 0.45), DARK, (0, y, 0)) for y in (-0.7, 0.7)]
    return fixture("bench", "brown", "wood", parts)


def hydrant(g: np.random.Generator) -> Model:
    """A fire hydrant."""
    colour = str(g.choice(["red", "yellow"]))
    coat = paint(shade(colour, g), "paint")
    parts = [
        cylinder(0.17, 0.1, coat),
        cylinder(0.12, 0.6, coat),
        cylinder((0.15, 0.05), 0.2, coat, (0, 0, 0.6)),
    ]
    parts.append(bar((0, -0.22, 0.45), (0, 0.22, 0.45), 0.06, coat))
    return fixture("fire hydrant", colour, "iron", parts)


def mailbox(g: np.random.Generator) -> Model:
    """A mailbox on legs."""
    colour = str(g.choice(["blue", "red", "yellow"]))
    coat = paint(shade(colour, g), "paint")
    parts = [
        box((0.5, 0.55, 0.85), coat, (0, 0, 0.25)),
        box((0.05, 0.4, 0.12), DARK, (0.25, 0, 0.85)),
    ]
    half = ngon(12, 0.25)[:7]
    parts.append(moved(transformed(lid(half, 0, coat), _tilt(-0.275)), (0, 0, 1.1)))
    parts.append(box((0.5, 0.55, 0.16), coat, (0, 0, 1.1)))
    parts += [box((0.06, 0.06, 0.3), DARK, (x, y, 0)) for x in (-0.2, 0.2) for y in (-0.22, 0.22)]
    return fixture("mailbox", colour, "metal", parts)


def _tilt(y: Number) -> np.ndarray:
    turn = np.eye(4)
    turn[:3, :3] = [[1, 0, 0], [0, 0, -1], [0, 1, 0]]
    turn[:3, 3] = (0, y, 0)
    return turn


def phone_booth(g: np.random.Generator) -> Model:
    """A phone booth."""
    colour = str(g.choice(["red", "red", "yellow", "blue"]))
    coat = paint(shade(colour, g), "paint")
    parts = [
        box((0.82, 0.82, 2.1), GLASS, (0, 0, 0.1)),
        box((0.95, 0.95, 0.35), coat, (0, 0, 2.1)),
        box((0.95, 0.95, 0.12), coat),
    ]
    parts += [
        box((0.1, 0.1, 2.1), coat, (x, y, 0.05)) for x in (-0.42, 0.42) for y in (-0.42, 0.42)
    ]
    parts += [box((0.86, 0.86, 0.05), coat, (0, 0, z)) for z in (0.6, 1.1, 1.6)]
    return fixture("phone booth", colour, "metal", parts)


def bus_stop(g: np.random.Generator) -> Model:
    """A glass shelter with a bench and a poster."""
    colour = str(g.choice(["grey", "green", "blue"]))
    coat = paint(shade(colour, g), "metal")
    parts = [
        box((1.5, 4.0, 0.12), coat, (0, 0, 2.4)),
        box((0.05, 3.8, 1.9), GLASS, (-0.68, 0, 0.3)),
    ]
    parts += [box((0.08, 0.08, 2.4), coat, (x, y, 0)) for x in (-0.68, 0.6) for y in (-1.9, 1.9)]
    parts.append(box((0.4, 2.6, 0.06), paint("brown", "planks"), (-0.4, 0, 0.5)))
    side = moved(poster(g, 1.2, 1.8, (0, 0, 0.35)), (0, 1.93, 0), np.pi / 2)
    return fixture("bus stop", colour, "glass", [*parts, side])


def column(g: np.random.Generator) -> Model:
    """An advertising column."""
    art, cap = paint("white", str(g.choice(TALL_POSTERS))), paint("dark green")
    parts = [cylinder(0.65, 0.4, cap, sides=14), cylinder(0.6, 2.6, art, (0, 0, 0.4), 14)]
    parts.append(cylinder((0.75, 0.1), 0.5, cap, (0, 0, 3.0), 14))
    return fixture("advertising column", "green", "metal", parts)


def bin_(g: np.random.Generator) -> Model:
    """A litter bin."""
    colour = str(g.choice(["green", "grey", "black", "orange"]))
    coat = paint(shade(colour, g), "metal")
    return fixture(
        "trash bin",
        colour,
        "metal",
        [
            cylinder((0.22, 0.27), 0.85, coat, sides=10),
            cylinder((0.29, 0.2), 0.12, DARK, (0, 0, 0.85), 10),
        ],
    )


def kiosk(g: np.random.Generator) -> Model:
    """A newspaper kiosk."""
    colour = str(g.choice(["green", "red", "blue", "yellow"]))
    coat = paint(shade(colour, g), "planks")
    parts = [box((2.0, 2.6, 2.4), coat), box((0.1, 2.0, 1.0), GLASS, (1.0, 0, 1.0))]
    parts += [
        box((2.8, 3.2, 0.15), paint("dark grey"), (0.2, 0, 2.4)),
        poster(g, 1.0, 0.8, (1.06, 0, 0.1)),
    ]
    return fixture("kiosk", colour, "wood", parts)


def parking_meter(g: np.random.Generator) -> Model:
    """A parking meter."""
    return fixture(
        "parking meter",
        "grey",
        "metal",
        [cylinder(0.035, 1.1, STEEL), box((0.16, 0.2, 0.35), DARK, (0, 0, 1.1))],
    )


def bollard(g: np.random.Generator) -> Model:
    """A bollard with a light band."""
    return fixture(
        "bollard",
        "dark grey",
        "metal",
        [cylinder(0.09, 0.9, DARK, sides=8), cylinder(0.095, 0.1, paint("white"), (0, 0, 0.7), 8)],
    )


def clock(g: np.random.Generator) -> Model:
    """A street clock."""
    coat = paint(shade("dark green", g), "metal")
    parts = [cylinder((0.12, 0.07), 3.2, coat), box((0.2, 0.95, 0.95), coat, (0, 0, 3.1))]
    parts += [plate(ngon(16, 0.4), (x, 0, 3.57), paint("white")) for x in (-0.11, 0.11)]
    parts += [
        box((0.24, 0.04, 0.3), DARK, (0, 0, 3.57)),
        box((0.24, 0.2, 0.04), DARK, (0, 0.1, 3.55)),
    ]
    return fixture("clock", "green", "metal", parts)


def fence(g: np.random.Generator, length_m: Number) -> Model:
    """A fence along x: pickets, planks, iron bars or a wall."""
    kind = str(g.choice(["picket fence", "wooden fence", "iron fence", "stone wall"]))
    colour = {
        "picket fence": "white",
        "wooden fence": "brown",
        "iron fence": "black",
        "stone wall": "grey",
    }[kind]
    coat = paint(shade(colour, g), "planks" if kind == "wooden fence" else "plain")
    if kind == "stone wall":
        return fixture(
            kind,
            colour,
            "stone",
            [
                box((length_m, 0.3, 0.9), paint(shade(colour, g), "stone"), (0, 0, -0.3)),
                box((length_m, 0.4, 0.1), paint("grey", "concrete"), (0, 0, 0.6)),
            ],
        )
    if kind == "wooden fence":
        return fixture(kind, colour, "wood", [box((length_m, 0.06, 1.6), coat, (0, 0, -0.2))])
    spacing, wide, tall = (0.24, 0.11, 0.95) if kind == "picket fence" else (0.2, 0.03, 1.2)
    parts = [box((length_m, 0.04, 0.07), coat, (0, 0, z)) for z in (0.25, 0.75 * tall)]
    parts += [_picket(x, wide, tall, coat) for x in np.arange(-length_m / 2, length_m / 2, spacing)]
    return fixture(kind, colour, "wood" if colour == "white" else "iron", parts)


def _picket(x: Number, wide: Number, tall: Number, coat: Paint) -> Mesh:
    face = [
        [
            [x - wide / 2, 0.03, -0.2],
            [x + wide / 2, 0.03, -0.2],
            [x + wide / 2, 0.03, tall],
            [x - wide / 2, 0.03, tall],
        ]
    ]
    return quads(np.array(face), np.array([[[0, 0], [wide, 0], [wide, tall], [0, tall]]]), coat)


SIDEWALK_MAKERS: dict[str, Maker] = {
    "bench": bench,
    "trash bin": bin_,
    "fire hydrant": hydrant,
    "mailbox": mailbox,
    "phone booth": phone_booth,
    "advertising column": column,
    "kiosk": kiosk,
    "parking meter": parking_meter,
    "bollard": bollard,
    "road sign": road_sign,
    "clock": clock,
    "bus stop": bus_stop,
}
"""What stands on sidewalks."""
