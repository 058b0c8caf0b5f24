# SPDX-License-Identifier: Apache-2.0
"""Bicycles and motorcycles, alone or ridden."""

from functools import cache

import numpy as np

from langocc.scenes.city.materials.palette import shade
from langocc.scenes.city.objects.cars import draw_colour
from langocc.scenes.city.objects.common import (
    DARK,
    HEADLAMP,
    RUBBER,
    STEEL,
    TAIL_LAMP,
    boxed,
    paint,
)
from langocc.scenes.city.objects.people import head
from langocc.scenes.city.solids import Number, Paint, bar, box, cylinder, hull, join, wheel
from langocc.scenes.city.stage import Model
from langocc.scenes.city.world import Mesh


def bicycle(generator: np.random.Generator, has_rider: bool = False) -> Model:
    """A bicycle: two spoked wheels, a frame, handlebars, a saddle."""
    colour = draw_colour(generator)
    coat = paint(shade(colour, generator), "paint")
    rear, front, crank = (-0.52, 0, 0.34), (0.52, 0, 0.34), (-0.08, 0, 0.30)
    saddle, head_tube = (-0.22, 0, 0.92), (0.36, 0, 0.92)
    parts = [_spoked(rear), _spoked(front)]
    for a, b in ((rear, crank), (rear, saddle), (crank, saddle), (crank, head_tube),
                 (saddle, head_tube), (front, head_tube)):  # fmt: skip
        parts.append(bar(a, b, 0.022, coat, 5))
    parts.append(bar((0.38, -0.3, 1.02), (0.38, 0.3, 1.02), 0.018, DARK, 5))
    parts.append(box((0.26, 0.14, 0.07), DARK, (-0.24, 0, 0.93)))
    if generator.random() < 0.4:
        basket = paint((0.2, 0.13, 0.07), "planks")
        parts.append(box((0.3, 0.34, 0.25), basket, (0.6, 0, 0.78)))
    if has_rider:
        parts += rider(generator, (-0.22, 0.98), (0.38, 1.04), (-0.08, 0.2), 0.32)
    return boxed("vehicle.bicycle", "bicycle", colour, "metal", parts)


@cache
def _spoked(centre: tuple[Number, Number, Number], radius: Number = 0.34) -> Mesh:
    """A thin tyre of segments with a few spokes."""
    angle = np.linspace(0, 2 * np.pi, 13)
    rim = np.stack([np.cos(angle), np.zeros(13), np.sin(angle)], axis=1) * radius + centre
    parts = [bar(rim[i], rim[i + 1], 0.022, RUBBER, 4) for i in range(12)]
    parts += [bar(rim[i], rim[i + 6], 0.006, STEEL, 3) for i in range(0, 6, 2)]
    return join(parts)


def motorcycle(generator: np.random.Generator, has_rider: bool = False, noun: str = "") -> Model:
    """A motorcycle or a scooter."""
    noun = noun or str(generator.choice(["motorcycle", "motorcycle", "scooter"]))
    colour = draw_colour(generator)
    coat = paint(shade(colour, generator), "paint")
    radius = 0.24 if noun == "scooter" else 0.32
    parts = [wheel(radius, 0.14, (x, 0, radius), RUBBER, STEEL, 12) for x in (-0.68, 0.70)]
    parts.append(bar((0.70, 0, radius), (0.46, 0, 1.0), 0.05, STEEL))
    parts.append(bar((0.44, -0.36, 1.03), (0.44, 0.36, 1.03), 0.025, DARK))
    if noun == "scooter":
        parts.append(box((0.12, 0.46, 0.72), coat, (0.46, 0, 0.28)))
        parts.append(box((0.85, 0.30, 0.12), coat, (0.05, 0, 0.22)))
        parts.append(box((0.75, 0.34, 0.45), coat, (-0.5, 0, 0.32)))
    else:
        parts.append(box((0.62, 0.34, 0.36), STEEL, (0.02, 0, 0.3)))
        parts.append(_tank(coat))
        parts.append(bar((-0.9, 0.2, 0.35), (0.1, 0.2, 0.32), 0.06, STEEL))
        parts.append(box((0.3, 0.26, 0.12), coat, (-0.72, 0, 0.74)))
    parts.append(box((0.72, 0.28, 0.12), DARK, (-0.38, 0, 0.76)))
    parts.append(box((0.12, 0.22, 0.2), HEADLAMP, (0.58, 0, 0.84)))
    parts.append(box((0.06, 0.16, 0.1), TAIL_LAMP, (-0.9, 0, 0.72)))
    if has_rider:
        parts += rider(generator, (-0.3, 0.84), (0.42, 1.05), (-0.05, 0.3), 0.42)
    return boxed("vehicle.motorcycle", noun, colour, "metal", parts)


def _tank(coat: Paint) -> Mesh:
    sections = []
    rings = ((-0.1, 0.12, 0.64, 0.84), (0.15, 0.19, 0.62, 0.98), (0.42, 0.14, 0.66, 0.96))
    for x, half, low, high in rings:
        edge = 0.7 * high + 0.3 * low
        right = [(half, low), (half, edge), (0.4 * half, high)]
        sections.append((x, np.array([*right, *((-y, z) for y, z in right[::-1])])))
    return hull(sections, coat)


def rider(
    generator: np.random.Generator,
    seat: tuple[Number, Number],
    grip: tuple[Number, Number],
    foot: tuple[Number, Number],
    lean: Number,
) -> list[Mesh]:
    """A rider; places are (x, z). The trunk leans forward by `lean` metres at the shoulder."""
    colours = ("red", "blue", "black", "yellow", "white", "green", "orange", "grey")
    coat = paint(shade(str(generator.choice(colours)), generator), "cloth")
    legs = paint(shade(str(generator.choice(["dark blue", "black", "grey"])), generator), "cloth")
    helmet = paint(shade(str(generator.choice(colours)), generator), "paint")
    skin = paint("skin")
    x, z = seat
    neck = (x + lean, 0.0, z + 0.5)
    parts = [bar((x, 0, z - 0.02), neck, 0.17, coat, 8)]
    for side in (-1, 1):
        knee = (x + 0.38, side * 0.17, z - 0.22)
        parts.append(bar((x, side * 0.1, z), knee, 0.08, legs))
        parts.append(bar(knee, (foot[0], side * 0.15, foot[1]), 0.065, legs))
        shoulder = (neck[0] - 0.04, side * 0.19, neck[2] - 0.04)
        parts.append(bar(shoulder, (grip[0], side * 0.27, grip[1]), 0.055, coat))
    parts += head(skin, DARK, 1.0, (neck[0] + 0.06, 0, neck[2] + 0.04))
    parts.append(cylinder((0.135, 0.07), 0.15, helmet, (neck[0] + 0.06, 0, neck[2] + 0.17), 8))
    return parts
