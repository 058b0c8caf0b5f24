# SPDX-License-Identifier: Apache-2.0
"""Trucks, buses and trailers."""

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
    STEEL,
    TAIL_LAMP,
    boxed,
    paint,
)
from langocc.scenes.city.solids import (
    Number,
    Paint,
    bar,
    box,
    cylinder,
    hull,
    transformed,
    wedge,
    wheel,
)
from langocc.scenes.city.stage import Model
from langocc.scenes.city.world import Mesh

_COATS = ("white", "red", "blue", "yellow", "green", "orange", "silver", "dark blue")


def truck(generator: np.random.Generator, noun: str = "") -> Model:
    """A truck; by default any kind but the tractor of a semi-trailer."""
    if not noun:
        nouns = ("box truck", "dump truck", "garbage truck", "tanker truck", "flatbed truck",
                 "cement mixer", "ambulance", "fire engine")  # fmt: skip
        share = np.array([5, 2, 1.5, 1.2, 1.5, 1, 1, 0.8])
        noun = str(generator.choice(nouns, p=share / share.sum()))
    fixed = {"ambulance": "white", "fire engine": "red", "garbage truck": "green"}
    colour = fixed.get(noun) or str(generator.choice(_COATS))
    coat = paint(shade(colour, generator), "paint")
    if noun == "ambulance":
        return boxed("vehicle.truck", noun, colour, "metal", _ambulance(coat))
    long = {"semi-trailer truck": 6.0, "fire engine": 8.6, "dump truck": 7.4}.get(noun, 8.0)
    parts = [*_cab(long / 2, coat), *_chassis(long, 3 if long > 7 else 2)]
    back, front = -long / 2, long / 2 - 2.15
    loads = {
        "dump truck": _tipper,
        "garbage truck": _compactor,
        "tanker truck": _tank,
        "flatbed truck": _flatbed,
        "cement mixer": _mixer,
        "fire engine": _pumper,
        "semi-trailer truck": _coupling,
    }
    parts += loads.get(noun, _cargo)(generator, back, front, coat)
    return boxed("vehicle.truck", noun, colour, "metal", parts)


def _cab(front: Number, coat: Paint) -> list[Mesh]:
    """A cab over the engine, its front at x = front."""
    back, half = front - 2.0, 1.2
    parts = [
        wedge((back, front, -half, half), (back, front - 0.05, -half, half), (0.55, 1.6), coat),
        wedge(
            (back, front - 0.05, -half, half),
            (back + 0.05, front - 0.28, -half + 0.08, half - 0.08),
            (1.6, 2.75),
            coat,
        ),
        wedge(
            (front - 0.35, front - 0.02, -half + 0.12, half - 0.12),
            (front - 0.40, front - 0.2, -half + 0.16, half - 0.16),
            (1.68, 2.5),
            GLASS,
        ),
        wedge(
            (back + 0.75, front - 0.3, -half - 0.012, half + 0.012),
            (back + 0.8, front - 0.45, -half + 0.075, half - 0.075),
            (1.62, 2.45),
            GLASS,
        ),
        box((0.12, 2.3, 0.35), DARK, (front, 0, 0.55)),
        box((0.06, 1.4, 0.45), DARK, (front, 0, 1.0)),
    ]
    for side in (-1, 1):
        parts.append(box((0.1, 0.4, 0.22), HEADLAMP, (front + 0.03, side * 0.9, 0.78)))
        parts.append(box((0.15, 0.25, 0.45), DARK, (front - 0.2, side * 1.38, 1.7)))
    return parts


def _chassis(long: Number, axles: int) -> list[Mesh]:
    spots = [long / 2 - 1.15, -long / 2 + 1.3, -long / 2 + 2.5][:axles]
    parts = [box((long - 0.4, 0.9, 0.3), DARK, (0, 0, 0.6))]
    parts += [wheel(0.5, 0.32, (x, s * 1.05, 0.5), RUBBER, HUB) for x in spots for s in (-1, 1)]
    parts += [box((0.06, 0.3, 0.18), TAIL_LAMP, (-long / 2, s * 0.95, 0.75)) for s in (-1, 1)]
    return parts


def _cargo(g: np.random.Generator, back: Number, front: Number, coat: Paint) -> list[Mesh]:
    body = paint(shade(str(g.choice(["white", "white", *_COATS])), g), "corrugated")
    middle, long = (back + front) / 2, front - back
    parts = [box((long, 2.45, 2.5), body, (middle, 0, 0.95))]
    if g.random() < 0.5:
        band = paint(shade(str(g.choice(_COATS)), g))
        parts.append(box((0.7 * long, 2.47, 0.8), band, (middle, 0, 1.9)))
    return parts


def _tipper(g: np.random.Generator, back: Number, front: Number, coat: Paint) -> list[Mesh]:
    bed = paint(shade(str(g.choice(["orange", "yellow", "grey", "blue"])), g), "metal")
    low, high = (back + 0.3, front - 0.1, -1.0, 1.0), (back, front, -1.25, 1.25)
    heap = paint(shade("brown", g), "dirt")
    return [
        wedge(low, high, (0.95, 2.1), bed, heap),
        wedge(
            (back + 0.4, front - 0.4, -1, 1), (back + 1.6, front - 1.6, -0.3, 0.3), (2.1, 2.5), heap
        ),
        box((0.9, 2.4, 0.1), bed, (front + 0.4, 0, 2.8)),
    ]


def _compactor(g: np.random.Generator, back: Number, front: Number, coat: Paint) -> list[Mesh]:
    tail = (back - 0.6, back + 0.9, -1.2, 1.2), (back - 0.1, back + 0.9, -1.2, 1.2)
    return [
        wedge((back + 0.9, front, -1.2, 1.2), (back + 0.9, front, -1.0, 1.0), (0.9, 3.0), coat),
        wedge(*tail, (0.7, 2.9), paint("dark grey", "metal")),
        box((0.2, 1.6, 0.9), DARK, (back - 0.5, 0, 0.9)),
    ]


def _tank(g: np.random.Generator, back: Number, front: Number, coat: Paint) -> list[Mesh]:
    skin = paint(shade(str(g.choice(["silver", "white", "orange"])), g), "metal")
    return [
        _lying((back, front), 1.15, 1.95, skin),
        box((2, 0.6, 0.1), STEEL, ((back + front) / 2, 0, 3.1)),
    ]


def _lying(span: tuple[Number, Number], radius: Number, height: Number, coat: Paint) -> Mesh:
    """A cylinder that lies along x."""
    angle = np.linspace(0, 2 * np.pi, 15)[:-1]
    ring = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    low, high = span
    sections = [(low, 0.7), (low + 0.2, 1.0), (high - 0.2, 1.0), (high, 0.7)]
    return hull([(x, ring * radius * r + [0, height]) for x, r in sections], coat)


def _flatbed(g: np.random.Generator, back: Number, front: Number, coat: Paint) -> list[Mesh]:
    middle, long = (back + front) / 2, front - back
    wood, parts = paint((0.35, 0.24, 0.13), "planks"), []
    parts.append(box((long, 2.4, 0.15), wood, (middle, 0, 0.95)))
    parts.append(box((0.1, 2.4, 1.0), coat, (front, 0, 0.95)))
    for x in np.arange(back + 1.0, front - 0.6, 1.5):
        crate = paint(
            shade(str(g.choice(["brown", "ochre", "blue", "grey", "green"])), g), "planks"
        )
        parts.append(box((1.2, 1.9, g.uniform(0.6, 1.3)), crate, (x, 0, 1.1)))
    return parts


def _mixer(g: np.random.Generator, back: Number, front: Number, coat: Paint) -> list[Mesh]:
    angle = np.linspace(0, 2 * np.pi, 13)[:-1]
    ring = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    drum = paint(shade(str(g.choice(["white", "yellow", "grey"])), g), "warning stripes")
    sections = [
        (back - 0.2, 0.5, 2.9),
        (back + 1.2, 1.1, 2.5),
        (back + 3.2, 1.2, 2.15),
        (front - 0.3, 0.6, 1.9),
    ]
    parts = [hull([(x, ring * r + [0, z]) for x, r, z in sections], drum)]
    return [*parts, box((0.3, 0.5, 1.4), STEEL, (back - 0.3, 0, 1.0))]


def _pumper(g: np.random.Generator, back: Number, front: Number, coat: Paint) -> list[Mesh]:
    middle, long = (back + front) / 2, front - back
    white = paint("white", "paint")
    parts = [box((long, 2.45, 2.0), coat, (middle, 0, 0.8))]
    parts.append(box((long, 2.47, 0.22), white, (middle, 0, 1.2)))
    for x in np.arange(back + 0.8, front - 0.5, 1.4):
        parts.append(box((1.1, 2.48, 0.9), paint("silver", "corrugated"), (x, 0, 1.6)))
    for y in (-0.35, 0.35):
        parts.append(bar((back - 0.2, y, 3.0), (front + 1.2, y, 3.2), 0.06, STEEL))
    for x in np.arange(back, front + 1, 0.5):
        parts.append(bar((x, -0.35, 3.05), (x, 0.35, 3.05), 0.03, STEEL, 4))
    parts.append(box((0.3, 1.8, 0.2), BEACON, (front + 1.1, 0, 2.75)))
    return parts


def _coupling(g: np.random.Generator, back: Number, front: Number, coat: Paint) -> list[Mesh]:
    return [
        box((1.6, 1.0, 0.15), DARK, (back + 1.4, 0, 0.95)),
        box((0.5, 2.2, 1.2), coat, (front - 0.1, 0, 0.6)),
    ]


def _ambulance(coat: Paint) -> list[Mesh]:
    stripe = paint("orange", "paint")
    parts = [
        box((3.8, 2.1, 2.1), coat, (-0.9, 0, 0.5)),
        wedge((1.0, 2.9, -1.0, 1.0), (1.0, 1.9, -0.95, 0.95), (1.15, 2.2), GLASS, coat),
        wedge((1.0, 3.0, -1.0, 1.0), (1.0, 2.85, -1.0, 1.0), (0.4, 1.18), coat),
        box((3.82, 2.12, 0.3), stripe, (-0.9, 0, 1.25)),
        box((0.25, 1.5, 0.2), BEACON, (0.8, 0, 2.6)),
        box((0.6, 0.2, 0.6), paint("red"), (-0.9, 0.98, 1.75)),
        box((0.6, 0.2, 0.6), paint("red"), (-0.9, -0.98, 1.75)),
    ]
    parts += [
        wheel(0.38, 0.25, (x, s * 0.95, 0.38), RUBBER, HUB) for x in (-1.7, 2.0) for s in (-1, 1)
    ]
    parts += [box((0.08, 0.35, 0.18), HEADLAMP, (2.98, s * 0.7, 0.75)) for s in (-1, 1)]
    parts += [box((0.05, 0.2, 0.4), TAIL_LAMP, (-2.81, s * 0.9, 0.9)) for s in (-1, 1)]
    return parts


def bus(generator: np.random.Generator, noun: str = "") -> Model:
    """A city bus, a coach, a school bus or a double-decker."""
    noun = noun or str(
        generator.choice(["city bus", "city bus", "coach", "school bus", "double-decker bus"])
    )
    fixed = {"school bus": "yellow", "double-decker bus": "red"}
    colour = fixed.get(noun) or str(
        generator.choice(["white", "blue", "red", "green", "orange", "silver"])
    )
    long = {"school bus": 9.5, "double-decker bus": 10.5}.get(noun, 11.5)
    coat, side = paint(shade(colour, generator), "paint"), shade(colour, generator)
    band = paint(side, "coach windows")
    half, decks = long / 2, 2 if noun == "double-decker bus" else 1
    parts = []
    for deck in range(decks):
        low = 0.35 + 2.0 * deck
        parts.append(
            wedge(
                (-half, half, -1.25, 1.25),
                (-half, half - 0.08, -1.22, 1.22),
                (low, low + 2.65),
                band,
                coat,
            )
        )
    top = 0.35 + 2.0 * (decks - 1) + 2.65
    parts.append(box((long - 0.5, 2.2, 0.12), coat, (0, 0, top)))
    parts.append(box((0.06, 2.2, 1.25), GLASS, (half - 0.01, 0, 1.25)))
    parts.append(box((0.08, 1.5, 0.28), AMBER, (half - 0.02, 0, 2.6)))
    parts.append(box((0.06, 2.3, top - 0.5), coat, (-half - 0.01, 0, 0.4)))
    parts.append(box((0.08, 1.9, 0.8), GLASS, (-half - 0.02, 0, top - 1.15)))
    if noun == "school bus":
        parts.append(
            wedge((half, half + 1.2, -1.1, 1.1), (half, half + 1.0, -0.95, 0.95), (0.4, 1.45), coat)
        )
        parts.append(box((long, 2.53, 0.12), DARK, (0, 0, 1.1)))
    nose = half + (1.2 if noun == "school bus" else 0.0)
    parts += _bus_running_gear(long, nose)
    return boxed("vehicle.bus.rigid", noun, colour, "metal", parts)


def _bus_running_gear(long: Number, nose: Number) -> list[Mesh]:
    """Lamps and wheels; the front is at x = nose."""
    parts = []
    for y in (-0.95, 0.95):
        parts.append(box((0.1, 0.35, 0.2), HEADLAMP, (nose - 0.02, y, 0.7)))
        parts.append(box((0.08, 0.25, 0.4), TAIL_LAMP, (-long / 2, y, 0.9)))
        parts += [
            wheel(0.48, 0.3, (x, 1.2 * y, 0.48), RUBBER, HUB) for x in (-0.30 * long, 0.33 * long)
        ]
    return parts


def trailer(generator: np.random.Generator, noun: str = "") -> Model:
    """A semi-trailer, a caravan, a boat trailer or a cargo trailer."""
    noun = noun or str(
        generator.choice(["caravan", "boat trailer", "cargo trailer", "semi-trailer"])
    )
    colour = str(generator.choice(["white", "white", "blue", "red", "silver", "green", "orange"]))
    coat = paint(shade(colour, generator), "corrugated" if noun == "semi-trailer" else "paint")
    if noun == "semi-trailer":
        parts = [
            box((12.0, 2.5, 2.75), coat, (0, 0, 1.15)),
            box((11, 0.9, 0.3), DARK, (0, 0, 0.85)),
        ]
        parts += [
            wheel(0.5, 0.32, (x, s * 1.05, 0.5), RUBBER, HUB)
            for x in (-4.9, -3.7, -2.5)
            for s in (-1, 1)
        ]
        parts += [box((0.12, 0.12, 1.1), STEEL, (4.0, s * 0.7, 0.05)) for s in (-1, 1)]
        parts += [box((0.06, 0.35, 0.16), TAIL_LAMP, (-6.0, s * 1.0, 0.9)) for s in (-1, 1)]
    elif noun == "caravan":
        parts = [wedge((-2.4, 2.2, -1.1, 1.1), (-2.3, 1.8, -1.1, 1.1), (0.5, 2.6), coat)]
        parts += [box((0.9, 2.24, 0.6), GLASS, (x, 0, 1.5)) for x in (-1.3, 0.6)]
        parts.append(box((4.5, 2.23, 0.14), paint(shade("blue", generator)), (-0.1, 0, 1.15)))
    elif noun == "boat trailer":
        angle = np.linspace(0, np.pi, 7)
        ring = np.stack([np.cos(angle), -np.sin(angle)], axis=1)
        sections = [(-2.6, 0.9), (-1, 1.0), (1.2, 0.85), (2.8, 0.08)]
        parts = [
            hull([(x, ring * [1.05 * r, 0.85 * r + 0.1] + [0, 1.5]) for x, r in sections], coat)
        ]
        parts.append(box((0.1, 1.2, 0.5), GLASS, (0.4, 0, 1.5)))
        parts.append(box((5.0, 0.2, 0.15), STEEL, (0.3, 0, 0.5)))
    else:
        parts = [box((2.8, 1.6, 1.5), coat, (0, 0, 0.5))]
    if noun != "semi-trailer":
        parts += [wheel(0.33, 0.2, (-0.3, s * 0.95, 0.33), RUBBER, HUB) for s in (-1, 1)]
        parts.append(bar((1.3, 0, 0.5), (3.2, 0, 0.45), 0.05, STEEL))
        parts.append(cylinder(0.04, 0.5, STEEL, (3.1, 0, 0)))
    return boxed("vehicle.trailer", noun, colour, "metal", parts)


def turned(mesh: Mesh, yaw_rad: Number) -> Mesh:
    """A part turned about z."""
    c, s = np.cos(yaw_rad), np.sin(yaw_rad)
    turn = np.eye(4)
    turn[:2, :2] = [[c, -s], [s, c]]
    return transformed(mesh, turn)
