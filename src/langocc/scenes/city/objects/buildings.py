# SPDX-License-Identifier: Apache-2.0
"""Buildings: towers, offices, apartment houses, shops, houses, halls, churches.

A building's front looks along +x; its footprint is centred on the origin.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from langocc.scenes.city.materials.palette import shade
from langocc.scenes.city.materials.textures import BAY_M, FLOOR_M, TEXTURE
from langocc.scenes.city.objects.common import GLASS, STEEL, fixture, paint
from langocc.scenes.city.objects.facades import (
    bays,
    door_at,
    flat_roof,
    foundation,
    gable,
    rectangle,
    shop_floor,
    wall_paint,
)
from langocc.scenes.city.solids import Number, Paint, bar, box, cylinder, prism, quads, triangles
from langocc.scenes.city.stage import Model

Maker = Callable[[np.random.Generator, float, int], Model]


def tower(generator: np.random.Generator, width_m: Number, floors: int) -> Model:
    """A high-rise of glass or panels over a glazed ground floor."""
    material = str(generator.choice(["glass", "panel", "stone"]))
    width, depth = bays(width_m, 4), bays(generator.uniform(15, 24))
    if material == "glass":
        colour = str(generator.choice(["blue", "grey", "turquoise"]))
        wall = Paint(
            shade(colour, generator) * 0.6,
            TEXTURE["glass facade"],
            0,
            (float(generator.integers(4) * BAY_M), 0),
        )
    else:
        colour, wall = wall_paint(generator, material, "windows")
    floors = max(6, floors)
    top = 4 + floors * FLOOR_M
    parts = [foundation(depth, width), *shop_floor(generator, depth, width)]
    step = int(floors * generator.uniform(0.5, 0.9))
    middle = 4 + step * FLOOR_M
    parts.append(prism(rectangle(depth, width), 4, middle, wall, paint("grey", "gravel")))
    parts.append(prism(rectangle(depth - 2 * BAY_M, width - 2 * BAY_M), middle, top, wall))
    parts += flat_roof(depth - 2 * BAY_M, width - 2 * BAY_M, top, generator)
    parts.append(bar((0, 0, top), (0, 0, top + 7), 0.1, STEEL))
    noun = "glass tower" if material == "glass" else "office tower"
    return fixture(noun, colour, "glass" if material == "glass" else "concrete", parts)


def office(generator: np.random.Generator, width_m: Number, floors: int) -> Model:
    """An office block with ribbons of windows."""
    width, depth = bays(width_m), bays(generator.uniform(12, 18))
    colour, wall = wall_paint(generator, "panel", "windows")
    top = max(2, floors) * FLOOR_M
    parts = [foundation(depth, width), prism(rectangle(depth, width), 0, top, wall)]
    parts += flat_roof(depth, width, top, generator)
    canopy = paint(shade("dark grey", generator))
    parts.append(box((2.4, 4.0, 0.25), canopy, (depth / 2 + 1.2, 0, 3.0)))
    parts.append(box((0.1, 2.6, 2.6), GLASS, (depth / 2 + 0.02, 0, 0)))
    return fixture("office building", colour, "concrete", parts)


def apartment(generator: np.random.Generator, width_m: Number, floors: int) -> Model:
    """An apartment house with balconies and a cornice, often with shops below."""
    material = str(generator.choice(["brick", "plaster", "plaster", "stone"]))
    width, depth = bays(width_m), bays(generator.uniform(10, 15))
    colour, wall = wall_paint(generator, material, "windows")
    floors = max(3, min(floors, 8))
    has_shop = generator.random() < 0.5
    low = 4.0 if has_shop else 0.0
    top = low + floors * FLOOR_M
    parts = [foundation(depth, width), prism(rectangle(depth, width), low, top, wall)]
    parts += shop_floor(generator, depth, width) if has_shop else door_at(generator, depth, 0.0)
    parts.append(
        box((depth + 0.5, width + 0.5, 0.35), paint("cream", "plaster"), (0, 0, top - 0.35))
    )
    parts += flat_roof(depth, width, top, generator)
    if generator.random() < 0.7:
        rail = paint(
            shade(str(generator.choice(["dark grey", "white", "green"])), generator), "corrugated"
        )
        for floor in range(1, floors):
            for bay in range(0, int(width / BAY_M), 2):
                y = -width / 2 + (bay + 0.5) * BAY_M
                z = low + floor * FLOOR_M + 0.1
                parts.append(
                    box((1.1, 2.3, 0.15), paint("grey", "concrete"), (depth / 2 + 0.55, y, z))
                )
                parts.append(box((0.06, 2.3, 0.95), rail, (depth / 2 + 1.07, y, z)))
    name = {"brick": "brick building", "stone": "stone building"}.get(
        material, "apartment building"
    )
    return fixture(name, colour, material, parts)


def shop(generator: np.random.Generator, width_m: Number, floors: int) -> Model:
    """A low shop with flats above."""
    width, depth = bays(width_m), bays(generator.uniform(9, 14))
    material = str(generator.choice(["brick", "plaster"]))
    colour, wall = wall_paint(generator, material, "windows")
    top = 4 + int(generator.integers(0, 3)) * FLOOR_M
    parts = [foundation(depth, width), *shop_floor(generator, depth, width)]
    if top > 4:
        parts.append(prism(rectangle(depth, width), 4, top, wall))
    parts += flat_roof(depth, width, top, generator)
    noun = str(generator.choice(["shop", "restaurant", "supermarket", "bakery", "cafe"]))
    return fixture(noun, colour, material, parts)


def townhouse(generator: np.random.Generator, width_m: Number, floors: int) -> Model:
    """A narrow old house with a steep roof."""
    width, depth = bays(min(width_m, 11)), bays(generator.uniform(9, 12))
    material = str(generator.choice(["plaster", "plaster", "brick", "stone"]))
    colour, wall = wall_paint(generator, material, "windows")
    top = max(2, min(floors, 5)) * FLOOR_M
    roof = paint(
        shade(str(generator.choice(["terracotta", "dark red", "dark grey"])), generator),
        "roof tiles",
    )
    parts = [foundation(depth, width), prism(rectangle(depth, width), 0, top, wall)]
    parts += gable(depth, width, top, generator.uniform(2.5, 4.2), roof, wall)
    parts += door_at(generator, depth, float(generator.choice([-1.5, 1.5])))
    parts.append(box((0.7, 0.7, 3.2), paint("dark red", "brick"), (-1.5, width * 0.3, top)))
    for y in np.arange(-width / 2 + 2, width / 2 - 1, 3.2):
        parts.append(
            box((1.6, 1.3, 1.5), paint("cream", "plaster"), (depth / 4 + 0.3, y, top + 0.3))
        )
        parts.append(box((0.05, 0.9, 1.0), GLASS, (depth / 4 + 1.12, y, top + 0.6)))
    return fixture("townhouse", colour, material, parts)


def house(generator: np.random.Generator, width_m: Number, floors: int) -> Model:
    """A family house: one or two floors, a pitched roof, a porch, a chimney, a garage."""
    width, depth = bays(min(width_m, 13), 3), bays(generator.uniform(8, 11))
    material = str(generator.choice(["siding", "siding", "plaster", "brick"]))
    colour, wall = wall_paint(generator, material, "house")
    top = float(generator.integers(1, 3)) * FLOOR_M
    roof = paint(
        shade(
            str(generator.choice(["dark grey", "brown", "terracotta", "dark red", "dark blue"])),
            generator,
        ),
        "roof tiles",
    )
    parts = [foundation(depth, width), prism(rectangle(depth, width), 0, top, wall)]
    parts += gable(depth, width, top, generator.uniform(1.8, 3.2), roof, wall)
    y = float(generator.uniform(-0.2, 0.2)) * width
    parts += door_at(generator, depth, y)
    if generator.random() < 0.6:
        white = paint("white")
        x = depth / 2 + 1.1
        parts.append(box((2.4, 3.6, 0.2), roof, (x, y, 2.75)))
        parts += [box((0.16, 0.16, 2.75), white, (x + 0.9, y + s * 1.6, 0)) for s in (-1, 1)]
    if generator.random() < 0.6:
        side = width / 2 + 1.9
        parts.append(
            prism(
                rectangle(5.5, 3.8, 0.5, side),
                -1.5,
                2.7,
                replace(wall, texture=TEXTURE["plaster"]),
                paint("dark grey", "gravel"),
            )
        )
        parts.append(box((0.1, 2.9, 2.2), paint("white", "siding"), (3.25, side, 0)))
    parts.append(box((0.8, 0.8, 2.4), paint("dark red", "brick"), (-1.2, -0.3 * width, top + 0.8)))
    return fixture("house", colour, {"siding": "wood"}.get(material, material), parts)


def villa(generator: np.random.Generator, width_m: Number, floors: int) -> Model:
    """A large plastered house with columns."""
    width, depth = bays(min(width_m, 18), 4), bays(12)
    colour, wall = wall_paint(
        generator, "plaster", "house", str(generator.choice(["white", "cream", "yellow", "pink"]))
    )
    top = 2 * FLOOR_M
    roof = paint(
        shade(str(generator.choice(["terracotta", "dark grey", "green"])), generator), "roof tiles"
    )
    parts = [foundation(depth, width), prism(rectangle(depth, width), 0, top, wall)]
    parts += gable(depth, width, top, 2.4, roof, wall)
    parts += door_at(generator, depth, 0.0, 1.6)
    column = paint("white", "plaster")
    parts += [cylinder(0.25, 5.0, column, (depth / 2 + 1.8, y, 0), 10) for y in (-3, -1.2, 1.2, 3)]
    parts.append(box((2.6, 7.2, 0.6), column, (depth / 2 + 1.2, 0, 5.0)))
    return fixture("villa", colour, "plaster", parts)


def warehouse(generator: np.random.Generator, width_m: Number, floors: int) -> Model:
    """A hall of corrugated metal with roller doors."""
    width, depth = bays(max(width_m, 20)), bays(generator.uniform(16, 28))
    colour = str(generator.choice(["grey", "blue", "white", "green", "red", "beige"]))
    coat = paint(shade(colour, generator), "corrugated")
    top = generator.uniform(6, 9.5)
    parts = [foundation(depth, width), prism(rectangle(depth, width), 0, top, coat)]
    parts += gable(depth, width, top, 1.6, paint("silver", "corrugated"), coat)
    for y in np.arange(-width / 2 + 4, width / 2 - 3, 6.5):
        door = paint(
            shade(str(generator.choice(["white", "grey", "orange", "blue"])), generator), "siding"
        )
        parts.append(box((0.15, 4.0, 4.2), door, (depth / 2, y, 0)))
    sign = paint(shade(str(generator.choice(["red", "blue", "yellow"])), generator))
    parts.append(box((0.2, 0.4 * width, 1.0), sign, (depth / 2, 0, top - 1.4)))
    return fixture("warehouse", colour, "corrugated metal", parts)


def factory(generator: np.random.Generator, width_m: Number, floors: int) -> Model:
    """A brick works with saw-tooth roofs and smokestacks."""
    width, depth = bays(max(width_m, 18)), bays(18)
    colour, wall = wall_paint(generator, "brick", "windows", "red")
    top = 2 * FLOOR_M
    parts = [foundation(depth, width), prism(rectangle(depth, width), 0, top, wall)]
    teeth = max(2, int(width / 6))
    for y in np.linspace(-width / 2, width / 2, teeth, endpoint=False):
        step = width / teeth
        for y_top, coat in ((y, GLASS), (y + step, paint("dark grey", "corrugated"))):
            plane = [
                [-depth / 2, y_top, top],
                [depth / 2, y_top, top],
                [depth / 2, y, top + 2.6],
                [-depth / 2, y, top + 2.6],
            ]
            uv = [[[0, 0], [depth, 0], [depth, 3], [0, 3]]]
            parts.append(quads(np.array([plane]), np.array(uv), coat))
    for _ in range(int(generator.integers(1, 3))):
        at = generator.uniform(-0.3, 0.3, 2) * [depth, width]
        parts.append(
            cylinder(
                (1.1, 0.7), generator.uniform(14, 22), paint("terracotta", "brick"), (*at, 0), 12
            )
        )
    tank = paint("silver", "metal")
    parts.append(cylinder(2.0, 6.5, tank, (0, width / 2 + 2.4, 0), 16))
    return fixture("factory", colour, "brick", parts)


def church(generator: np.random.Generator, width_m: Number, floors: int) -> Model:
    """A nave with a steep roof and a tower with a spire."""
    colour, wall = wall_paint(
        generator, "stone", "", str(generator.choice(["beige", "grey", "sand"]))
    )
    roof = paint(
        shade(str(generator.choice(["dark grey", "terracotta", "turquoise"])), generator),
        "roof tiles",
    )
    parts = [foundation(18, 11), prism(rectangle(18, 11), 0, 8, wall)]
    turn = gable(11, 18, 8, 5.5, roof, wall)
    parts += [replace(m, vertices=m.vertices[:, [1, 0, 2]] * [1, -1, 1]) for m in turn]
    parts.append(prism(rectangle(5, 5, 9, 0), -2, 17, wall))
    spire = [[9 + x, y, 17] for x, y in ((-2.7, -2.7), (2.7, -2.7), (2.7, 2.7), (-2.7, 2.7))]
    tip = [9, 0, 27]
    sides = np.array([[spire[i], spire[(i + 1) % 4], tip] for i in range(4)])
    parts.append(triangles(sides, sides[..., [0, 2]], roof))
    for y in (-3.8, 3.8):
        for x in np.arange(-7, 6, 3.2):
            parts.append(box((1.0, 3.6, 3.6), GLASS, (x, y, 2.5)))
    parts.append(box((0.2, 1.8, 3.2), paint("brown", "planks"), (11.5, 0, 0)))
    return fixture("church", colour, "stone", parts)


def pavilion(generator: np.random.Generator, width_m: Number, floors: int) -> Model:
    """A round garden pavilion."""
    colour = str(generator.choice(["white", "green", "red"]))
    coat, roof = (
        paint(shade(colour, generator)),
        paint(shade("dark green", generator), "roof tiles"),
    )
    parts = [cylinder(3.2, 0.4, paint("grey", "concrete"), (0, 0, 0), 12)]
    for angle in np.arange(8) * np.pi / 4:
        parts.append(cylinder(0.12, 3.0, coat, (2.8 * np.cos(angle), 2.8 * np.sin(angle), 0.4), 6))
    parts.append(cylinder((3.7, 0.15), 1.9, roof, (0, 0, 3.4), 12))
    return fixture("pavilion", colour, "wood", parts)


def gas_station(generator: np.random.Generator, width_m: Number, floors: int) -> Model:
    """A canopy over fuel pumps, and a small shop."""
    colour = str(generator.choice(["red", "yellow", "green", "blue"]))
    coat, white = paint(shade(colour, generator), "paint"), paint("white", "metal")
    parts = [box((9, 13, 0.5), white, (2, 0, 4.8)), box((9.1, 13.1, 0.55), coat, (2, 0, 5.0))]
    for y in (-4, 4):
        parts += [cylinder(0.2, 4.8, white, (x, y, 0), 8) for x in (-0.5, 4.5)]
        for x in (0.8, 3.2):
            parts.append(box((0.6, 1.0, 1.7), coat, (x, y, 0.15)))
        parts.append(box((6.5, 1.4, 0.15), paint("grey", "concrete"), (2, y, 0)))
    parts += [prism(rectangle(5, 12, -6.5, 0), -1.5, 4, paint("white", "shop front"))]
    return fixture("gas station", colour, "metal", parts)


MAKERS: dict[str, Maker] = {
    "tower": tower,
    "office": office,
    "apartment": apartment,
    "shop": shop,
    "townhouse": townhouse,
    "house": house,
    "villa": villa,
    "warehouse": warehouse,
    "factory": factory,
    "church": church,
    "pavilion": pavilion,
    "gas station": gas_station,
}
"""A building of a kind: (generator, width along the street in metres, floors) -> model."""
