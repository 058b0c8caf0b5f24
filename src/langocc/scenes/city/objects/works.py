# SPDX-License-Identifier: Apache-2.0
"""Construction: machines, cones, barriers, heaps, containers."""

import numpy as np

from langocc.scenes.city.materials.palette import shade
from langocc.scenes.city.objects.common import (
    AMBER,
    DARK,
    GLASS,
    RUBBER,
    STEEL,
    boxed,
    fixture,
    paint,
)
from langocc.scenes.city.solids import (
    Number,
    Paint,
    bar,
    box,
    cylinder,
    hull,
    moved,
    quads,
    wedge,
    wheel,
)
from langocc.scenes.city.stage import Model
from langocc.scenes.city.world import Mesh

MACHINES = ("excavator", "bulldozer", "wheel loader", "road roller", "crane", "forklift")


def traffic_cone(g: np.random.Generator) -> Model:
    """A cone with a white band."""
    coat, white = paint(shade("orange", g, 0.06)), paint("white")
    tall = float(g.uniform(0.65, 0.85))
    parts = [box((0.36, 0.36, 0.05), DARK)]
    for low, high, p in ((0.0, 0.42, coat), (0.42, 0.66, white), (0.66, 1.0, coat)):
        r = (0.15 * (1 - 0.85 * low), 0.15 * (1 - 0.85 * high))
        parts.append(cylinder(r, (high - low) * tall, p, (0, 0, 0.05 + low * tall), 10))
    return boxed("movable_object.trafficcone", "traffic cone", "orange", "plastic", parts)


def barrier(g: np.random.Generator, noun: str = "") -> Model:
    """A concrete barrier, a red-and-white plastic barrier or a construction fence; along y."""
    noun = noun or str(g.choice(["concrete barrier", "plastic barrier", "construction fence"]))
    if noun == "concrete barrier":
        coat = paint(shade("grey", g), "concrete")
        ring = np.array(
            [
                (0.3, 0),
                (0.3, 0.12),
                (0.12, 0.35),
                (0.08, 0.85),
                (-0.08, 0.85),
                (-0.12, 0.35),
                (-0.3, 0.12),
                (-0.3, 0),
            ]
        )
        body = hull([(-1.0, ring), (1.0, ring)], coat)
        return boxed(
            "movable_object.barrier", noun, "grey", "concrete", [moved(body, (0, 0, 0), np.pi / 2)]
        )
    if noun == "plastic barrier":
        colour = str(g.choice(["red", "orange"]))
        coat = paint(shade(colour, g), "warning stripes")
        parts = [wedge((-0.2, 0.2, -0.9, 0.9), (-0.08, 0.08, -0.9, 0.9), (0.0, 1.0), coat)]
        return boxed("movable_object.barrier", noun, colour, "plastic", parts)
    coat = paint(shade("orange", g), "warning stripes")
    parts = [box((0.05, 2.0, 0.22), coat, (0, 0, z)) for z in (0.75, 0.35)]
    parts += [box((0.5, 0.08, 0.08), STEEL, (0, y, 0)) for y in (-0.8, 0.8)]
    parts += [box((0.06, 0.06, 1.1), STEEL, (0, y, 0)) for y in (-0.8, 0.8)]
    parts += [cylinder(0.1, 0.2, AMBER, (0, y, 1.1), 8) for y in (-0.8, 0.8)]
    return boxed("movable_object.barrier", noun, "orange", "plastic", parts)


def machine(g: np.random.Generator, noun: str = "") -> Model:
    """A construction vehicle; faces +x."""
    noun = noun or str(g.choice(MACHINES))
    colour = str(
        g.choice(
            ["yellow", "yellow", "orange", "green"]
            if noun != "crane"
            else ["yellow", "red", "yellow"]
        )
    )
    coat = paint(shade(colour, g, 0.08), "paint")
    build = {
        "excavator": _excavator, "bulldozer": _bulldozer, "wheel loader": _loader,
        "road roller": _roller, "crane": _crane, "forklift": _forklift,
    }[noun]  # fmt: skip
    return boxed("vehicle.construction", noun, colour, "metal", build(g, coat))


def _tracks(long: Number, apart: Number) -> list[Mesh]:
    ring = np.array(
        [
            (-0.5, 0.2),
            (-0.35, 0.0),
            (0.35, 0.0),
            (0.5, 0.2),
            (0.5, 0.6),
            (0.35, 0.8),
            (-0.35, 0.8),
            (-0.5, 0.6),
        ]
    )
    parts = []
    for y in (-apart, apart):
        outline = np.stack([ring[:, 0] * long, ring[:, 1]], axis=1)
        side = [[(x, y + w, z) for x, z in outline] for w in (-0.27, 0.27)]
        low, high = np.array(side)
        for i in range(8):
            j = (i + 1) % 8
            face = np.array([[low[i], low[j], high[j], high[i]]])
            parts.append(_plate(face, RUBBER))
        parts += [
            _plate(
                np.array(
                    [[s[0], s[1], s[2], s[3]], [s[4], s[5], s[6], s[7]], [s[7], s[0], s[3], s[4]]]
                ),
                DARK,
            )
            for s in (low, high)
        ]
    return parts


def _plate(faces: np.ndarray, coat: Paint) -> Mesh:
    return quads(faces, faces[..., [0, 2]], coat)


def _cabin(x: Number, y: Number, z: Number, coat: Paint) -> list[Mesh]:
    return [
        box((1.5, 1.1, 1.55), GLASS, (x, y, z)),
        box((1.6, 1.2, 0.12), coat, (x, y, z + 1.55)),
        box((1.55, 1.15, 0.5), coat, (x, y, z)),
    ] + [
        box((0.1, 0.1, 1.6), coat, (x + dx, y + dy, z))
        for dx in (-0.72, 0.72)
        for dy in (-0.53, 0.53)
    ]


def _excavator(g: np.random.Generator, coat: Paint) -> list[Mesh]:
    lift = g.uniform(-0.4, 0.6)
    elbow, wrist = (3.6, 0, 4.3 + lift), (5.6, 0, 1.9 + lift)
    parts = [
        *_tracks(3.8, 1.1),
        box((3.2, 2.6, 0.9), coat, (-0.6, 0, 1.1)),
        box((1.3, 2.5, 0.8), coat, (-1.5, 0, 1.6)),
    ]
    parts += _cabin(0.5, 0.65, 1.5, coat)
    parts += [
        bar((0.8, -0.3, 1.7), (2.4, -0.3, 3.9 + lift), 0.24, coat),
        bar((2.4, -0.3, 3.9 + lift), elbow, 0.22, coat),
    ]
    parts += [bar(elbow, wrist, 0.18, coat), bar((1.4, -0.3, 1.8), (2.3, -0.3, 3.3), 0.09, STEEL)]
    parts.append(
        wedge(
            (5.0, 6.0, -0.6, 0.6),
            (5.3, 6.1, -0.6, 0.6),
            (0.9 + lift, 1.9 + lift),
            paint("dark grey", "metal"),
        )
    )
    return parts


def _bulldozer(g: np.random.Generator, coat: Paint) -> list[Mesh]:
    parts = [
        *_tracks(3.6, 1.0),
        box((3.0, 1.4, 1.0), coat, (0.2, 0, 0.8)),
        box((1.3, 1.2, 0.5), coat, (1.0, 0, 1.5)),
    ]
    parts += _cabin(-0.6, 0, 1.6, coat)
    parts.append(wedge((2.3, 2.7, -1.7, 1.7), (2.5, 2.6, -1.7, 1.7), (0.1, 1.3), coat))
    return [*parts, *(bar((0.5, y, 0.7), (2.4, y, 0.6), 0.1, coat) for y in (-1.3, 1.3))]


def _loader(g: np.random.Generator, coat: Paint) -> list[Mesh]:
    lift = g.uniform(0.2, 1.6)
    parts = [wheel(0.75, 0.6, (x, y, 0.75), RUBBER, coat) for x in (-1.5, 1.5) for y in (-1.0, 1.0)]
    parts += [
        box((2.2, 1.5, 1.1), coat, (-1.7, 0, 1.0)),
        box((1.6, 1.3, 0.8), coat, (1.2, 0, 0.8)),
        *_cabin(-0.1, 0, 1.6, coat),
    ]
    parts += [bar((0.9, y, 1.6), (3.3, y, 0.5 + lift), 0.12, coat) for y in (-0.5, 0.5)]
    parts.append(
        wedge(
            (3.0, 3.6, -1.4, 1.4),
            (3.1, 4.2, -1.4, 1.4),
            (0.1 + lift, 1.1 + lift),
            paint("dark grey", "metal"),
        )
    )
    return parts


def _roller(g: np.random.Generator, coat: Paint) -> list[Mesh]:
    drum = wheel(0.7, 1.7, (1.7, 0, 0.7), STEEL, DARK, 18)
    parts = [drum, *(wheel(0.65, 0.45, (-1.4, y, 0.65), RUBBER, coat) for y in (-0.75, 0.75))]
    parts += [
        box((1.9, 1.5, 1.0), coat, (-1.3, 0, 0.8)),
        box((2.0, 0.2, 0.35), coat, (1.2, 0.95, 0.6)),
        box((2.0, 0.2, 0.35), coat, (1.2, -0.95, 0.6)),
    ]
    return [*parts, *_cabin(-0.1, 0, 1.3, coat)]


def _crane(g: np.random.Generator, coat: Paint) -> list[Mesh]:
    """A mobile crane with a raised lattice boom."""
    parts = [
        wheel(0.55, 0.4, (x, y, 0.55), RUBBER, DARK)
        for x in (-3.2, -1.8, 1.8, 3.2)
        for y in (-1.1, 1.1)
    ]
    parts += [
        box((8.6, 2.5, 0.7), coat, (0, 0, 0.8)),
        box((3.4, 2.4, 1.1), coat, (-1.4, 0, 1.5)),
        *_cabin(3.4, 0.5, 1.5, coat),
    ]
    tip = np.array([g.uniform(3.5, 5.0), 0.0, g.uniform(11, 15)])
    foot = np.array([-1.6, 0.0, 2.4])
    for y in (-0.35, 0.35):
        for x in (-0.25, 0.25):
            parts.append(bar(_off(foot, x, y, 0), _off(tip, x, 0.5 * y, 0), 0.07, coat, 5))
    for share in np.linspace(0.05, 0.95, 12):
        at = foot + share * (tip - foot)
        for y in (-0.3, 0.3):
            parts.append(bar(_off(at, -0.25, y, 0), _off(at, 0.25, -y, 0.4), 0.04, coat, 4))
    parts.append(bar(tip, tip - [0, 0, 5.0], 0.03, DARK, 4))
    parts.append(box((0.4, 0.4, 0.6), DARK, tuple(tip - [0, 0, 5.6])))
    return [*parts, bar((-2.8, 0, 2.6), tip, 0.03, DARK, 4)]


def _off(point: np.ndarray, x: Number, y: Number, z: Number) -> np.ndarray:
    return point + np.array([x, y, z])


def _forklift(g: np.random.Generator, coat: Paint) -> list[Mesh]:
    parts = [wheel(0.35, 0.3, (x, y, 0.35), RUBBER, DARK) for x in (-0.7, 0.7) for y in (-0.5, 0.5)]
    parts += [
        box((1.9, 1.1, 0.8), coat, (-0.1, 0, 0.4)),
        box((1.2, 1.1, 0.1), coat, (-0.1, 0, 2.1)),
    ]
    parts += [box((0.08, 0.08, 2.1), DARK, (x, y, 0)) for x in (-0.6, 0.45) for y in (-0.5, 0.5)]
    parts += [box((0.12, 0.1, 2.3), STEEL, (0.95, y, 0.1)) for y in (-0.35, 0.35)]
    return [*parts, *(box((1.1, 0.14, 0.06), STEEL, (1.5, y, 0.25)) for y in (-0.3, 0.3))]


def heap(g: np.random.Generator) -> Model:
    """A heap of earth, sand or gravel."""
    colour, texture, noun = [
        ("brown", "dirt", "heap of earth"),
        ("sand", "gravel", "heap of sand"),
        ("grey", "gravel", "heap of gravel"),
    ][int(g.integers(3))]
    coat = paint(shade(colour, g), texture)
    r = float(g.uniform(1.8, 3.2))
    parts = [
        cylinder((r, 0.6 * r), 0.35 * r, coat, (0, 0, -0.1), 14),
        cylinder((0.6 * r, 0.1 * r), 0.25 * r, coat, (0, 0, 0.35 * r - 0.1), 14),
    ]
    return fixture(noun, colour if colour != "sand" else "beige", texture, parts, "flat.terrain")


def container(g: np.random.Generator) -> Model:
    """A site office or shipping container."""
    colour = str(g.choice(["blue", "red", "green", "white", "orange", "grey"]))
    coat = paint(shade(colour, g), "corrugated")
    parts = [
        box((2.4, 6.0, 2.6), coat),
        box((0.1, 1.0, 2.1), DARK, (1.18, 1.8, 0.1)),
        box((0.1, 1.2, 0.9), GLASS, (1.18, -1.0, 1.1)),
    ]
    return fixture("shipping container", colour, "corrugated metal", parts)


def pipes(g: np.random.Generator) -> Model:
    """A stack of pipes."""
    coat = paint(shade(str(g.choice(["grey", "orange", "terracotta"])), g), "concrete")
    spots = [(0.0, 0.3), (0.62, 0.3), (-0.62, 0.3), (0.31, 0.83), (-0.31, 0.83)]
    parts = [bar((x, -2, z), (x, 2, z), 0.3, coat, 10) for x, z in spots]
    return fixture("stack of pipes", "grey", "concrete", parts)
