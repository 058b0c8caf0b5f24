# SPDX-License-Identifier: Apache-2.0
"""Street furniture: lamps, lights, signs, shelters, benches, monuments, and odd things.

Models face +x.
"""

from collections.abc import Callable

import numpy as np

from langocc.scenes.city.materials.palette import shade
from langocc.scenes.city.objects.common import DARK, GLASS, STEEL, fixture, paint
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
_WIDE, _TALL = ("poster one", "poster two"), ("poster three", "poster four")


def _poster(
    g: np.random.Generator, wide: Number, tall: Number, at: tuple[Number, Number, Number]
) -> Mesh:
    """A picture that faces +x and -x, its lower middle at a point."""
    x, y, z = at
    art = paint("white", str(g.choice(_WIDE if wide > tall else _TALL)))
    outline = np.array([[-wide / 2, 0], [wide / 2, 0], [wide / 2, tall], [-wide / 2, tall]])
    uv = np.add(outline, [wide / 2, 0])
    corners = np.concatenate([np.full((4, 1), x), np.add(outline, [y, z])], axis=1)
    return quads(corners[None], 0.998 * uv[None], art)


def _upright(outline: np.ndarray, at: tuple[Number, Number, Number], coat: Paint) -> Mesh:
    """A flat plate [corner, (y, z)] that faces +x."""
    turn = np.eye(4)
    turn[:3, :3] = [[0, 0, 1], [1, 0, 0], [0, 1, 0]]
    turn[:3, 3] = at
    return transformed(lid(outline, 0.0, coat), turn)


def _ngon(sides: int, radius: Number, phase: Number = 0.0) -> np.ndarray:
    angle = np.arange(sides) * 2 * np.pi / sides + phase
    return np.stack([np.cos(angle), np.sin(angle)], axis=1) * radius


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
            parts.append(_upright(_ngon(8, 0.12), (0.27, y, z + 0.2 + 0.33 * index), lamp))
    return fixture("traffic light", "black", "metal", parts)


def stop_sign(g: np.random.Generator) -> Model:
    """A red octagon."""
    parts = [
        cylinder(0.035, 2.5, STEEL),
        _upright(_ngon(8, 0.42, np.pi / 8), (0.05, 0, 2.5), paint("white")),
    ]
    parts.append(_upright(_ngon(8, 0.38, np.pi / 8), (0.06, 0, 2.5), paint((0.6, 0.02, 0.02))))
    parts.append(box((0.02, 0.5, 0.16), paint("white"), (0.07, 0, 2.42)))
    return fixture("stop sign", "red", "metal", parts)


def road_sign(g: np.random.Generator) -> Model:
    """A round, triangular or blue square sign."""
    kind = str(g.choice(["speed limit sign", "warning sign", "parking sign", "street sign"]))
    parts, colour = [cylinder(0.035, 2.6, STEEL)], "white"
    if kind == "speed limit sign":
        rings = ((0.36, "red"), (0.28, "white"))
        parts += [
            _upright(_ngon(14, r), (0.05 + 0.01 * i, 0, 2.5), paint(c))
            for i, (r, c) in enumerate(rings)
        ]
        parts.append(box((0.02, 0.26, 0.2), DARK, (0.07, 0, 2.4)))
    elif kind == "warning sign":
        colour, up = "yellow", np.pi / 2
        parts += [
            _upright(_ngon(3, r, up), (0.05 + 0.01 * i, 0, 2.4), paint(c))
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
    half = _ngon(12, 0.25)[:7]
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
    side = moved(_poster(g, 1.2, 1.8, (0, 0, 0.35)), (0, 1.93, 0), np.pi / 2)
    return fixture("bus stop", colour, "glass", [*parts, side])


def billboard(g: np.random.Generator) -> Model:
    """A large billboard on two posts."""
    parts = [cylinder(0.16, 3.2, STEEL, (0, y, 0)) for y in (-1.8, 1.8)]
    parts += [
        box((0.3, 6.2, 3.3), paint("dark grey"), (0, 0, 3.0)),
        _poster(g, 6, 3.1, (0.16, 0, 3.1)),
    ]
    parts.append(_poster(g, 6, 3.1, (-0.16, 0, 3.1)))
    return fixture("billboard", "", "metal", parts)


def column(g: np.random.Generator) -> Model:
    """An advertising column."""
    art, cap = paint("white", str(g.choice(_TALL))), paint("dark green")
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
    from langocc.scenes.city.objects.people import head, torso

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


def kiosk(g: np.random.Generator) -> Model:
    """A newspaper kiosk."""
    colour = str(g.choice(["green", "red", "blue", "yellow"]))
    coat = paint(shade(colour, g), "planks")
    parts = [box((2.0, 2.6, 2.4), coat), box((0.1, 2.0, 1.0), GLASS, (1.0, 0, 1.0))]
    parts += [
        box((2.8, 3.2, 0.15), paint("dark grey"), (0.2, 0, 2.4)),
        _poster(g, 1.0, 0.8, (1.06, 0, 0.1)),
    ]
    return fixture("kiosk", colour, "wood", parts)


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


def power_pole(g: np.random.Generator) -> Model:
    """A wooden utility pole with a crossarm and a transformer."""
    wood = paint(shade("dark brown", g), "bark")
    parts = [cylinder((0.16, 0.11), 9, wood), box((0.12, 2.2, 0.14), wood, (0, 0, 8.2))]
    parts += [cylinder(0.05, 0.2, paint("white"), (0, y, 8.34)) for y in (-1, -0.4, 0.4, 1)]
    parts.append(cylinder(0.24, 0.8, paint("grey", "metal"), (0.35, 0, 6.8), 10))
    return fixture("utility pole", "brown", "wood", parts)


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
    parts += [_upright(_ngon(16, 0.4), (x, 0, 3.57), paint("white")) for x in (-0.11, 0.11)]
    parts += [
        box((0.24, 0.04, 0.3), DARK, (0, 0, 3.57)),
        box((0.24, 0.2, 0.04), DARK, (0, 0.1, 3.55)),
    ]
    return fixture("clock", "green", "metal", parts)


def telescope_tower(g: np.random.Generator) -> Model:
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

SQUARE_MAKERS: dict[str, Maker] = {
    "fountain": fountain,
    "statue": statue,
    "billboard": billboard,
    "market stall": market_stall,
    "playground": playground,
    "flag": flag_pole,
    "dumpster": dumpster,
    "water tower": telescope_tower,
}
"""What stands beside the street, on squares, lawns and yards."""
