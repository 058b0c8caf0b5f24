# SPDX-License-Identifier: Apache-2.0
"""Toy views: coloured shapes before a ground and a sky, quick to make and easy to learn."""

import numpy as np

from langocc.teachers.city_clip.lexicon import SKY, Kind
from langocc.teachers.city_clip.regions import View
from langocc.teachers.city_clip.views import SceneTask

COLOURS = {
    "red": (200, 30, 30),
    "blue": (30, 60, 200),
    "green": (40, 160, 60),
    "white": (230, 230, 230),
}
ROAD, GRASS = Kind("driveable_surface", "road"), Kind("terrain", "grass", "green")
KINDS = (
    *(Kind("car", "sedan", colour) for colour in COLOURS),
    *(Kind("pedestrian", "adult", colour) for colour in COLOURS),
    Kind("vegetation", "tree", "green"),
    ROAD,
    GRASS,
    SKY,
)


def toy_kinds() -> tuple[Kind, ...]:
    return KINDS


def toy_views(task: SceneTask) -> list[View]:
    generator = np.random.default_rng([task.seed, task.scene_index])
    return [_view(task, generator) for _ in range(task.views)]


def _view(task: SceneTask, generator: np.random.Generator) -> View:
    height, width = task.height, task.width
    kind = np.full((height, width), len(KINDS) - 1, np.int16)
    thing = np.full((height, width), -1, np.int32)
    rgb = np.full((height, width, 3), (140, 180, 230), np.uint8)
    depth_m = np.full((height, width), np.inf, np.float32)
    middle = height // 2
    kind[middle:], thing[middle:], rgb[middle:], depth_m[middle:] = KINDS.index(ROAD), 0, 70, 30
    side = width // 4
    kind[middle:, :side], thing[middle:, :side] = KINDS.index(GRASS), 1
    rgb[middle:, :side] = (90, 170, 60)
    for number in range(2, 8):
        index = int(generator.integers(9))
        shown = KINDS[index]
        tall, wide = {"car": (0.25, 0.4), "pedestrian": (0.4, 0.1)}.get(
            shown.class_name, (0.5, 0.3)
        )
        size = generator.uniform(0.5, 1.0)
        rows, cols = max(4, int(tall * size * height)), max(3, int(wide * size * height))
        top, left = generator.integers(0, height - rows), generator.integers(0, width - cols)
        place = (slice(top, top + rows), slice(left, left + cols))
        kind[place], thing[place], depth_m[place] = index, number, 10
        rgb[place] = COLOURS[shown.colour] if shown.class_name != "vegetation" else (20, 80, 30)
        if shown.class_name == "car":  # windows and wheels
            rgb[top : top + rows // 3, left + cols // 4 : left + cols // 2] = 20
            rgb[top + 3 * rows // 4 : top + rows, left : left + cols // 4] = 10
        if shown.class_name == "pedestrian":
            rgb[top : top + rows // 4, left : left + cols] = (220, 180, 150)
    noise = generator.normal(0, 6, rgb.shape)
    return View(np.clip(rgb + noise, 0, 255).astype(np.uint8), thing, kind, depth_m, KINDS)
