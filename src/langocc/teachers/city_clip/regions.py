# SPDX-License-Identifier: Apache-2.0
"""Which parts of a view are captioned: boxes round things, patches of surfaces, whole scenes."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Int16, Int32

from langocc.teachers.city_clip.lexicon import Kind, class_id

_FOREGROUND_IDS = frozenset(range(1, 11))
"""Occ3D ids of things that stand before a ground: they dominate a crop with less of its area."""
_CHANCE = {0: 0.4, 11: 0.7, 12: 1.0, 13: 1.0, 14: 1.0, 15: 2.0, 16: 1.5}
"""Weight of ids that are in nearly every view (things: 2); made by people: many nouns in one."""
_ATTEMPTS = 4
_SHOWN = 0.04
"""Part of a box from which a kind counts as shown: no caption that names it is then wrong."""


@dataclass(frozen=True)
class View:
    """A picture and what each pixel shows.

    Attributes:
        rgb: Bytes.
        thing: Thing per pixel, -1 for the sky.
        kind: Index into `kinds` per pixel.
        depth_m: Distance from the camera plane; inf for the sky.
        kinds: All kinds of the scene.
    """

    rgb: np.ndarray
    thing: Int32[np.ndarray, "height width"]
    kind: Int16[np.ndarray, "height width"]
    depth_m: Float32[np.ndarray, "height width"]
    kinds: tuple[Kind, ...]


@dataclass(frozen=True)
class Region:
    """A captioned box.

    Attributes:
        box: Left, top, right, bottom, pixels (may reach over the border by a little).
        spoken: Kinds the caption speaks of, the most important first.
        shown: All kinds seen in it.
        share: Part of the box that the first kind covers.
        is_ordered: The first kind is nearer than the second.
        is_local: The box is about one kind (not a whole scene).
        is_object: The box surrounds one thing.
    """

    box: tuple[float, float, float, float]
    spoken: tuple[int, ...]
    shown: tuple[int, ...]
    share: float
    is_ordered: bool
    is_local: bool
    is_object: bool


def choose_regions(view: View, count: int, generator: np.random.Generator) -> list[Region]:
    """Up to `count` regions, about evenly over the classes in view; fewer in a poor view."""
    things, first, area = np.unique(view.thing, return_index=True, return_counts=True)
    kind_of_thing = view.kind.reshape(-1)[first]
    is_large = area >= 12
    things, kind_of_thing = things[is_large], kind_of_thing[is_large]
    area = area[is_large]
    if not len(things):
        return []
    classes = np.array([class_id(view.kinds[k]) for k in kind_of_thing])
    chance = np.sqrt(np.minimum(area, 4000)) / np.array(
        [np.sqrt(np.minimum(area[classes == c], 4000)).sum() for c in classes]
    )
    chance *= np.array([_CHANCE.get(c, 2.0) for c in classes])
    chance /= chance.sum()
    regions: list[Region] = []
    for _ in range(count * _ATTEMPTS):
        if len(regions) == count:
            break
        index = generator.choice(len(things), p=chance)
        region = _propose(view, int(things[index]), int(kind_of_thing[index]), generator)
        if region is not None:
            regions.append(region)
    return regions


def _propose(view: View, thing: int, kind: int, generator: np.random.Generator) -> Region | None:
    draw = generator.random()
    if draw < 0.12:
        return _scene(view, generator)
    rows, cols = np.nonzero(view.thing == thing)
    if draw < 0.55:
        box = _around(rows, cols, generator)
        if box[2] - box[0] < 0.6 * view.thing.shape[1]:
            return _about(view, box, kind, generator, is_object=True)
    pick = generator.integers(len(rows))
    side = float(np.exp(generator.uniform(np.log(10), np.log(90))))
    shape = np.exp(generator.uniform(-0.3, 0.3))
    box = _centred(cols[pick] + 0.5, rows[pick] + 0.5, side * shape, side / shape)
    return _about(view, box, kind, generator, is_object=False)


def _around(
    rows: np.ndarray, cols: np.ndarray, generator: np.random.Generator
) -> tuple[float, float, float, float]:
    """A box round pixels, a little larger, nearly square, off centre by a little."""
    height, width = np.ptp(rows) + 1.0, np.ptp(cols) + 1.0
    grow = generator.uniform(1.0, 1.5)
    side = max(height, width)
    height, width = max(height, 0.55 * side, 12) * grow, max(width, 0.55 * side, 12) * grow
    across, down = generator.uniform(-0.1, 0.1, 2)
    middle_x = (cols.min() + cols.max() + 1) / 2 + across * width
    middle_y = (rows.min() + rows.max() + 1) / 2 + down * height
    return _centred(middle_x, middle_y, width, height)


def _centred(x: float, y: float, width: float, height: float) -> tuple[float, float, float, float]:
    return (x - width / 2, y - height / 2, x + width / 2, y + height / 2)


def _about(
    view: View,
    box: tuple[float, float, float, float],
    kind: int,
    generator: np.random.Generator,
    *,
    is_object: bool,
) -> Region | None:
    """The box as a region about `kind`, if that dominates it."""
    kinds, share = _shares(view, box)
    mine = float(share[kinds == kind].sum())
    occ3d_id = class_id(view.kinds[kind])
    least = 0.22 if occ3d_id in _FOREGROUND_IDS or is_object else 0.4
    others = [
        s
        for k, s in zip(kinds, share, strict=True)
        if k != kind and class_id(view.kinds[k]) in _FOREGROUND_IDS
    ]
    if mine < least or max(others, default=0.0) > 0.8 * mine:
        return None
    spoken = [kind]
    second = next((int(k) for k in kinds if k != kind), None)
    if second is not None and share[kinds == second][0] > 0.15 and generator.random() < 0.35:
        spoken.append(second)
    is_ordered = len(spoken) == 2 and _is_nearer(view, box, kind, spoken[1])
    shown = tuple(int(k) for k in kinds[share >= _SHOWN])
    return Region(box, tuple(spoken), (*shown, kind), mine, is_ordered, True, is_object)


def _scene(view: View, generator: np.random.Generator) -> Region | None:
    """A large part of the view, named by up to three of the kinds in it, foreground first."""
    height, width = view.thing.shape
    part = generator.uniform(0.35, 1.0)
    box_height, box_width = part * height, min(part * height * generator.uniform(1, 1.8), width)
    left = generator.uniform(0, width - box_width)
    top = generator.uniform(0, height - box_height)
    box = (left, top, left + box_width, top + box_height)
    kinds, share = _shares(view, box)
    seen = kinds[share >= _SHOWN]
    if not len(seen):
        return None
    order = sorted(seen, key=lambda k: class_id(view.kinds[k]) not in _FOREGROUND_IDS)
    spoken = tuple(int(k) for k in order[: generator.integers(2, 4)])
    shown = tuple(int(k) for k in kinds[share >= _SHOWN / 4])
    return Region(box, spoken, shown, float(share[kinds == spoken[0]][0]), False, False, False)


def _shares(
    view: View, box: tuple[float, float, float, float]
) -> tuple[Int16[np.ndarray, " kind"], Float32[np.ndarray, " kind"]]:
    """Kinds in a box and the part of it each covers, the largest first."""
    part = _cut(view.kind, box)
    kinds, counts = np.unique(part, return_counts=True)
    order = np.argsort(-counts)
    return kinds[order], (counts[order] / max(part.size, 1)).astype(np.float32)


def _is_nearer(view: View, box: tuple[float, float, float, float], first: int, second: int) -> bool:
    depth_m, kind = _cut(view.depth_m, box), _cut(view.kind, box)
    return bool(np.median(depth_m[kind == first]) < np.median(depth_m[kind == second]) - 0.5)


def _cut(values: np.ndarray, box: tuple[float, float, float, float]) -> np.ndarray:
    """Values inside a box; every second or so of a large one."""
    height, width = values.shape
    left, right = max(0, int(box[0])), min(width, int(np.ceil(box[2])))
    top, bottom = max(0, int(box[1])), min(height, int(np.ceil(box[3])))
    step = max(1, min(right - left, bottom - top) // 48)
    return values[top:bottom:step, left:right:step]
