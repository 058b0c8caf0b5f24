# SPDX-License-Identifier: Apache-2.0
"""People: adults, children, workers, officers."""

import numpy as np

from langocc.scenes.city.materials.palette import shade
from langocc.scenes.city.objects.common import DARK, boxed, paint
from langocc.scenes.city.solids import Number, Paint, bar, box, cylinder, hull, moved
from langocc.scenes.city.stage import Model
from langocc.scenes.city.world import Mesh

_TOPS = ("red", "blue", "dark blue", "white", "black", "green", "yellow", "grey", "pink", "purple",
         "orange", "brown", "beige", "turquoise", "dark green")  # fmt: skip
_TROUSERS = ("dark blue", "black", "dark grey", "beige", "brown", "grey")
_HAIR = ("dark brown", "black", "brown", "ochre", "grey")


def person(
    generator: np.random.Generator, noun: str = "", is_walking: bool = True, colour: str = ""
) -> Model:
    """A person; `noun` is man, woman, child, jogger, construction worker or police officer."""
    noun = noun or str(generator.choice(["man", "woman", "woman", "man", "child", "jogger"]))
    fixed = {"construction worker": "orange", "police officer": "dark blue"}
    colour = fixed.get(noun) or colour or str(generator.choice(_TOPS))
    kind = {
        "child": "child",
        "construction worker": "construction_worker",
        "police officer": "police_officer",
    }.get(noun, "adult")
    tall = generator.uniform(1.05, 1.4) if noun == "child" else generator.uniform(1.6, 1.9)
    parts = body(generator, colour, tall / 1.75, 0.34 if is_walking else 0.06, noun)
    return boxed(f"human.pedestrian.{kind}", noun, colour, "cloth", parts)


def body(
    generator: np.random.Generator, colour: str, scale: Number, stride: Number, noun: str
) -> list[Mesh]:
    """Parts of a standing or walking figure, 1.75 m tall at scale 1."""
    s = scale
    coat = paint(shade(colour, generator), "cloth")
    legs = paint(shade(str(generator.choice(_TROUSERS)), generator), "cloth")
    skin = paint(shade(str(generator.choice(["skin", "skin", "dark skin"])), generator))
    hair = paint(shade(str(generator.choice(_HAIR)), generator))
    parts = []
    for side in (-1, 1):
        hip, foot = (0, side * 0.09 * s, 0.88 * s), (side * stride * s, side * 0.1 * s, 0.06)
        parts.append(_limb(hip, foot, (0.085 * s, 0.06 * s), legs))
        parts.append(box((0.26 * s, 0.1 * s, 0.09 * s), DARK, (foot[0] + 0.05, foot[1], 0)))
        shoulder = (0, side * 0.2 * s, 1.42 * s)
        hand = (-side * stride * 0.8 * s + 0.04, side * 0.27 * s, 0.85 * s)
        parts.append(_limb(shoulder, hand, (0.065 * s, 0.045 * s), coat))
        parts.append(
            moved(cylinder(0.045 * s, 0.09 * s, skin, sides=6), np.array(hand) - [0, 0, 0.08 * s])
        )
    parts.append(torso(coat, s, 0.80 if noun == "woman" else 0.86))
    parts.append(cylinder(0.055 * s, 0.1 * s, skin, (0, 0, 1.45 * s), 6))
    parts += head(skin, hair, s, (0.01, 0, 1.52 * s))
    if noun == "construction worker":
        helmet = paint("yellow", "paint")
        parts.append(cylinder((0.14 * s, 0.07 * s), 0.1 * s, helmet, (0.01, 0, 1.68 * s), 8))
        parts.append(box((0.27 * s, 0.42 * s, 0.06 * s), paint((0.7, 0.75, 0.5)), (0, 0, 1.15 * s)))
    elif noun == "police officer":
        parts.append(cylinder(0.14 * s, 0.06 * s, DARK, (0.01, 0, 1.72 * s), 8))
    elif generator.random() < 0.35:
        bag = paint(shade(str(generator.choice(_TOPS)), generator), "cloth")
        parts.append(box((0.16 * s, 0.3 * s, 0.42 * s), bag, (-0.2 * s, 0, 1.02 * s)))
    return parts


def torso(coat: Paint, s: Number, bottom: Number) -> Mesh:
    """A trunk from the hips to the shoulders."""
    rings = [
        (bottom, 0.13, 0.19),
        (1.0, 0.12, 0.165),
        (1.25, 0.14, 0.20),
        (1.42, 0.12, 0.215),
        (1.50, 0.06, 0.09),
    ]
    angle = np.linspace(0, 2 * np.pi, 9)[:-1]
    # The hull runs along x: build it lying down, then stand it up.
    sections = [
        (z * s, np.stack([b * s * np.sin(angle), a * s * np.cos(angle)], axis=1))
        for z, a, b in rings
    ]
    mesh = hull(sections, coat)
    vertices = mesh.vertices[:, [2, 1, 0]]
    return type(mesh)(vertices, mesh.faces, mesh.albedo, mesh.texture, mesh.thing, mesh.uv_m)


def head(skin: Paint, hair: Paint, s: Number, at: tuple[Number, Number, Number]) -> list[Mesh]:
    """A head with hair."""
    x, y, z = at
    return [
        cylinder((0.075 * s, 0.1 * s), 0.1 * s, skin, (x, y, z), 8),
        cylinder((0.1 * s, 0.1 * s), 0.06 * s, skin, (x, y, z + 0.1 * s), 8),
        cylinder((0.108 * s, 0.055 * s), 0.09 * s, hair, (x - 0.01, y, z + 0.15 * s), 8),
        box((0.07 * s, 0.18 * s, 0.14 * s), hair, (x - 0.08 * s, y, z + 0.05 * s)),
    ]


def _limb(
    start: tuple[Number, Number, Number],
    end: tuple[Number, Number, Number],
    radii: tuple[Number, Number],
    coat: Paint,
) -> Mesh:
    return bar(start, end, sum(radii) / 2, coat, 6)
