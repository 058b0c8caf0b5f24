# SPDX-License-Identifier: Apache-2.0
"""Cars: sedans, hatchbacks, estates, SUVs, vans, pickups, taxis, police cars."""

from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from langocc.scenes.city.materials.palette import shade
from langocc.scenes.city.objects.common import (
    AMBER,
    BEACON,
    DARK,
    GLASS,
    HEADLAMP,
    HUB,
    RUBBER,
    TAIL_LAMP,
    boxed,
    paint,
)
from langocc.scenes.city.solids import Number, Paint, box, hull, wedge, wheel
from langocc.scenes.city.stage import Model
from langocc.scenes.city.world import Mesh

CAR_COLOURS = (
    "white", "silver", "grey", "dark grey", "black", "red", "dark red", "blue", "dark blue",
    "light blue", "green", "dark green", "yellow", "orange", "brown", "beige", "turquoise",
)  # fmt: skip
_COLOUR_SHARE = np.array([3, 3, 3, 2, 3, 3, 1, 3, 1, 1, 2, 1, 2, 1.5, 1, 1, 1.0])


@dataclass(frozen=True)
class Shape:
    """Proportions of a car; lengths in metres, x as shares of its half length (rear -1, front 1).

    Attributes:
        size_m: Length, width, height.
        belt_m: Height of the window sill.
        hood_m: Height of the bonnet's front edge.
        cabin: Where the windows start and end at the sill, rear and front.
        roof: Where the roof starts and ends.
        deck: Height of the boot or load bed; the sill's height for a closed rear.
        wheel_m: Wheel radius.
    """

    size_m: tuple[Number, Number, Number]
    belt_m: Number
    hood_m: Number
    cabin: tuple[Number, Number]
    roof: tuple[Number, Number]
    deck_m: Number
    wheel_m: Number = 0.32


SHAPES = {
    "sedan": Shape((4.6, 1.82, 1.45), 0.93, 0.74, (-0.80, 0.40), (-0.48, 0.10), 0.95),
    "hatchback": Shape((4.0, 1.76, 1.50), 0.95, 0.78, (-0.98, 0.44), (-0.84, 0.12), 0.95),
    "station wagon": Shape((4.7, 1.82, 1.50), 0.94, 0.76, (-0.99, 0.40), (-0.88, 0.10), 0.94),
    "SUV": Shape((4.6, 1.92, 1.75), 1.10, 0.95, (-0.98, 0.42), (-0.88, 0.14), 1.10, 0.38),
    "minivan": Shape((4.8, 1.90, 1.85), 1.08, 0.92, (-0.99, 0.66), (-0.92, 0.30), 1.08, 0.34),
    "sports car": Shape((4.4, 1.86, 1.25), 0.82, 0.62, (-0.74, 0.30), (-0.30, 0.02), 0.84, 0.34),
    "pickup truck": Shape((5.4, 1.95, 1.80), 1.12, 0.98, (-0.06, 0.46), (-0.02, 0.22), 1.05, 0.40),
}


def draw_colour(generator: np.random.Generator) -> str:
    """A colour as often as it is met on the road."""
    return str(generator.choice(CAR_COLOURS, p=_COLOUR_SHARE / _COLOUR_SHARE.sum()))


def car(generator: np.random.Generator, noun: str = "", colour: str = "") -> Model:
    """A car; by default any kind in any colour."""
    if not noun:
        nouns = ["sedan", "hatchback", "station wagon", "SUV", "minivan", "sports car", "taxi",
                 "police car", "delivery van"]  # fmt: skip
        share = [5, 4, 2, 4, 1.5, 0.8, 1.2, 0.5, 1.2]
        noun = str(generator.choice(nouns, p=np.array(share) / sum(share)))
    if noun == "delivery van":
        return van(generator, colour)
    fixed = {"taxi": "yellow", "police car": "white"}
    colour = fixed.get(noun) or colour or draw_colour(generator)
    shape = SHAPES.get(noun, SHAPES["sedan"])
    coat = paint(shade(colour, generator), "paint")
    parts = [*_shell(shape, coat), *_wheels(shape), *_lamps(shape)]
    if noun == "taxi":
        sign = paint((0.9, 0.85, 0.6))
        parts.append(box((0.25, 0.7, 0.16), sign, (-0.35, 0, shape.size_m[2])))
        parts += _stripe(shape, DARK, 0.10)
    if noun == "police car":
        parts += _stripe(shape, paint("blue", "paint"), 0.22)
        parts.append(box((0.25, 1.1, 0.14), BEACON, (-0.3, 0, shape.size_m[2])))
    if noun == "pickup truck":
        parts += _bed(shape, coat)
    category = "vehicle.truck" if noun == "pickup truck" else "vehicle.car"
    return boxed(category, noun, colour, "metal", parts)


def van(generator: np.random.Generator, colour: str = "") -> Model:
    """A delivery van: a tall closed body, a short bonnet."""
    colour = colour or str(generator.choice(["white", "white", "yellow", "brown", "blue", "grey"]))
    coat = paint(shade(colour, generator), "paint")
    shape = Shape((5.6, 2.0, 2.5), 1.25, 1.05, (0.45, 0.86), (0.5, 0.62), 1.25, 0.36)
    length, width, height = shape.size_m
    body = hull(
        [
            (-length / 2, _outline(0.96 * width, 0.4, height - 0.08)),
            (-length / 2 + 0.1, _outline(width, 0.35, height)),
            (0.22 * length, _outline(width, 0.35, height)),
            (0.28 * length, _outline(width, 0.35, height - 0.06)),
            (0.43 * length, _outline(width, 0.35, 1.3)),
            (length / 2 - 0.08, _outline(0.96 * width, 0.35, 1.0)),
            (length / 2, _outline(0.88 * width, 0.45, 0.9)),
        ],
        coat,
    )
    windows = [
        box((0.9, width + 0.02, 0.62), GLASS, (0.245 * length, 0, 1.3)),
        wedge(
            (0.30 * length, 0.43 * length, -0.82, 0.82),
            (0.29 * length, 0.295 * length, -0.78, 0.78),
            (1.34, height - 0.16),
            GLASS,
        ),
    ]
    parts = [body, *windows, *_wheels(shape), *_lamps(shape)]
    return boxed("vehicle.car", "delivery van", colour, "metal", parts)


def _outline(width_m: Number, low_m: Number, high_m: Number, tuck: Number = 0.9) -> np.ndarray:
    """A car's cross section: sides that bulge, a rounded upper edge."""
    half, tall = width_m / 2, high_m - low_m
    right = [
        (0.88 * half, low_m),
        (0.985 * half, low_m + 0.2 * tall),
        (half, low_m + 0.55 * tall),
        (0.97 * half, low_m + 0.85 * tall),
        (tuck * half, high_m),
    ]
    return np.array([*right, *((-y, z) for y, z in right[::-1])])


def _shell(shape: Shape, coat: Paint) -> list[Mesh]:
    """Body, windows, pillars and roof."""
    length, width, height = shape.size_m
    half, low = length / 2, 0.24
    rear, front = (share * half for share in shape.cabin)
    closed = shape.deck_m >= shape.belt_m - 0.02 and shape.cabin[0] < -0.9
    sections = [
        (-half, _outline(0.86 * width, low + 0.16, shape.deck_m - (0.08 if closed else 0.16))),
        (-half + 0.10, _outline(0.95 * width, low + 0.05, shape.deck_m - 0.02)),
        (-half + 0.45, _outline(width, low, shape.deck_m)),
        (min(rear + 0.25, 0.0), _outline(width, low, shape.belt_m)),
        (front - 0.1, _outline(width, low, shape.belt_m)),
        (half - 0.55, _outline(0.99 * width, low, shape.hood_m + 0.08)),
        (half - 0.12, _outline(0.93 * width, low + 0.02, shape.hood_m)),
        (half, _outline(0.80 * width, low + 0.14, shape.hood_m - 0.16)),
    ]
    roof_rear, roof_front = (share * half for share in shape.roof)
    low_y, high_y = 0.445 * width, 0.37 * width
    sill = shape.belt_m - 0.02
    cabin = wedge(
        (rear, front, -low_y, low_y),
        (roof_rear, roof_front, -high_y, high_y),
        (sill, height - 0.05),
        GLASS,
        coat,
    )
    roof = wedge(
        (roof_rear - 0.03, roof_front + 0.03, -high_y - 0.015, high_y + 0.015),
        (roof_rear + 0.12, roof_front - 0.10, -high_y + 0.09, high_y - 0.09),
        (height - 0.07, height),
        coat,
    )
    sills = box((length * 0.5, width * 0.94, 0.1), DARK, (0, 0, 0.17))
    return [hull(sections, coat), cabin, roof, *_pillars(shape, coat), sills]


def _pillars(shape: Shape, coat: Paint) -> list[Mesh]:
    """Posts between the side windows."""
    _, width, height = shape.size_m
    roof_rear, roof_front = (share * shape.size_m[0] / 2 for share in shape.roof)
    low_y, high_y, sill = 0.445 * width, 0.37 * width, shape.belt_m - 0.02
    pillars = []
    spots = [0.42] if roof_front - roof_rear < 1.9 else [0.34, 0.70]
    for share in spots:
        x = roof_rear + (roof_front - roof_rear) * share
        pillar = wedge(
            (x - 0.08, x + 0.06, -low_y - 0.01, low_y + 0.01),
            (x - 0.06, x + 0.06, -high_y - 0.01, high_y + 0.01),
            (sill, height - 0.06),
            coat,
        )
        pillars.append(pillar)
    return pillars


@cache
def _wheels(shape: Shape) -> list[Mesh]:
    """Four wheels; kept, as every car of a shape has the same."""
    length, width, _ = shape.size_m
    radius = shape.wheel_m
    spots = [(x * length, side * (width / 2 - 0.10)) for x in (-0.30, 0.31) for side in (-1, 1)]
    tyre, hub = RUBBER, HUB
    return [wheel(radius, 0.22, (x, y, radius), tyre, hub) for x, y in spots]


@cache
def _lamps(shape: Shape) -> list[Mesh]:
    """Head and tail lamps, bumpers, number plates, mirrors."""
    length, width, _ = shape.size_m
    half, parts = length / 2, []
    for side in (-1, 1):
        y = side * 0.34 * width
        parts.append(box((0.12, 0.34, 0.13), HEADLAMP, (half - 0.09, y, shape.hood_m - 0.16)))
        parts.append(box((0.1, 0.30, 0.16), TAIL_LAMP, (-half + 0.05, y, shape.deck_m - 0.26)))
        parts.append(box((0.06, 0.08, 0.06), AMBER, (half - 0.14, side * 0.43 * width, 0.5)))
        mirror_x = shape.cabin[1] * half - 0.35
        parts.append(box((0.14, 0.2, 0.13), DARK, (mirror_x, side * 0.5 * width, shape.belt_m)))
    plate = paint((0.75, 0.75, 0.7))
    for x in (half - 0.05, -half + 0.05):
        parts.append(box((0.12, 0.5, 0.12), plate, (x, 0, 0.42)))
    parts.append(box((0.1, 0.9, 0.14), DARK, (half - 0.045, 0, shape.hood_m - 0.30)))
    return parts


def _stripe(shape: Shape, colour: Paint, tall_m: Number) -> list[Mesh]:
    length, width, _ = shape.size_m
    return [box((0.7 * length, width + 0.012, tall_m), colour, (-0.02 * length, 0, 0.58))]


def _bed(shape: Shape, coat: Paint) -> list[Mesh]:
    """The load bed's side walls and dark floor."""
    length, width, _ = shape.size_m
    x = -0.28 * length
    walls = [box((0.44 * length, 0.08, 0.14), coat, (x, s * 0.45 * width, 1.0)) for s in (-1, 1)]
    floor = replace(DARK)
    return [*walls, box((0.42 * length, 0.8 * width, 0.02), floor, (x, 0, 1.05))]
