# SPDX-License-Identifier: Apache-2.0
"""Simple solids as meshes: boxes, extruded outlines, cylinders, blobs, quads. Metres, z up."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from langocc.geometry.rigid import Transform
from langocc.scenes.city.world import Mesh

Number = int | float
Vector = Sequence[Number] | np.ndarray
"""Coordinates or linear RGB."""


@dataclass(frozen=True)
class Paint:
    """What covers a surface: linear RGB, texture index, owner, and where its texture starts."""

    albedo: Vector
    texture: int = 0
    thing: int = 0
    uv_offset_m: tuple[Number, Number] = (0.0, 0.0)


def triangles(corners: np.ndarray, uv_m: np.ndarray, paint: Paint) -> Mesh:
    """A mesh of separate triangles [face, 3, 3] with texture coordinates [face, 3, 2]."""
    count = len(corners)
    return Mesh(
        vertices=np.asarray(corners, np.float64).reshape(-1, 3),
        faces=np.arange(3 * count, dtype=np.int32).reshape(-1, 3),
        albedo=np.tile(np.asarray(paint.albedo, np.float32), (count, 1)),
        texture=np.full(count, paint.texture, np.int32),
        thing=np.full(count, paint.thing, np.int32),
        uv_m=(np.asarray(uv_m) + np.asarray(paint.uv_offset_m)).astype(np.float32),
    )


def quads(corners: np.ndarray, uv_m: np.ndarray, paint: Paint) -> Mesh:
    """Quads [quad, 4, 3] (in order around) with texture coordinates [quad, 4, 2]."""
    split = [[0, 1, 2], [0, 2, 3]]
    corners, uv_m = np.asarray(corners, np.float64), np.asarray(uv_m)
    return triangles(corners[:, split].reshape(-1, 3, 3), uv_m[:, split].reshape(-1, 3, 2), paint)


def join(meshes: Sequence[Mesh]) -> Mesh:
    """One mesh of many."""
    starts = np.cumsum([0] + [len(m.vertices) for m in meshes[:-1]])
    return Mesh(
        vertices=np.concatenate([m.vertices for m in meshes]),
        faces=np.concatenate(
            [m.faces + np.int32(s) for m, s in zip(meshes, starts, strict=True)]
        ).astype(np.int32),
        albedo=np.concatenate([m.albedo for m in meshes]),
        texture=np.concatenate([m.texture for m in meshes]),
        thing=np.concatenate([m.thing for m in meshes]),
        uv_m=np.concatenate([m.uv_m for m in meshes]),
    )


def moved(mesh: Mesh, offset_m: Vector, yaw_rad: Number = 0.0) -> Mesh:
    """The mesh turned about z, then shifted."""
    c, s = np.cos(yaw_rad), np.sin(yaw_rad)
    turned = mesh.vertices @ np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]).T
    return replace(mesh, vertices=turned + np.asarray(offset_m, np.float64))


def transformed(mesh: Mesh, b_from_a: Transform) -> Mesh:
    """The mesh under an affine transform."""
    return replace(mesh, vertices=mesh.vertices @ b_from_a[:3, :3].T + b_from_a[:3, 3])


def prism(
    outline: np.ndarray, low_m: Number, high_m: Number, paint: Paint, top: Paint | None = None
) -> Mesh:
    """Walls over a convex counter-clockwise outline [corner, 2], and a flat lid.

    Texture coordinates run along the wall from each wall's start and up from the ground.
    """
    following = np.roll(outline, -1, axis=0)
    length = np.linalg.norm(following - outline, axis=1)
    count = len(outline)
    walls = np.zeros((count, 4, 3))
    walls[:, [0, 3], :2], walls[:, [1, 2], :2] = outline[:, None], following[:, None]
    walls[:, :2, 2], walls[:, 2:, 2] = low_m, high_m
    uv = np.zeros((count, 4, 2))
    uv[:, [1, 2], 0] = length[:, None]
    uv[:, 2:, 1] = high_m - low_m
    return join([quads(walls, uv, paint), lid(outline, high_m, top or paint)])


def lid(outline: np.ndarray, height_m: Number, paint: Paint) -> Mesh:
    """A flat convex polygon [corner, 2] at a height, as a fan; textured by x and y."""
    corners = np.concatenate([outline, np.full((len(outline), 1), height_m)], axis=1)
    fan = np.array([[0, i, i + 1] for i in range(1, len(outline) - 1)])
    return triangles(corners[fan], corners[fan][..., :2], paint)


def box(size_m: Vector, paint: Paint, centre_m: Vector = (0.0, 0.0, 0.0)) -> Mesh:
    """A box with `centre_m` in the middle of its bottom; closed."""
    length, width, height = size_m
    x, y, z = centre_m
    outline = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * [length / 2, width / 2] + [x, y]
    return join([prism(outline, z, z + height, paint), lid(outline, z, paint)])


def cylinder(
    radius_m: Number | tuple[Number, Number],
    height_m: Number,
    paint: Paint,
    centre_m: Vector = (0.0, 0.0, 0.0),
    sides: int = 8,
) -> Mesh:
    """An upright cylinder, or a frustum with (bottom, top) radii; lid on top, open below."""
    bottom, top = (radius_m, radius_m) if isinstance(radius_m, Number) else radius_m
    angle = np.linspace(0, 2 * np.pi, sides + 1)
    ring = np.stack([np.cos(angle), np.sin(angle), np.zeros(sides + 1)], axis=1)
    low, high = ring * bottom, ring * top + [0, 0, height_m]
    walls = np.stack([low[:-1], low[1:], high[1:], high[:-1]], axis=1)
    around = angle * max(bottom, top)
    uv = np.zeros((sides, 4, 2))
    uv[:, [0, 3], 0], uv[:, [1, 2], 0] = around[:-1, None], around[1:, None]
    uv[:, 2:, 1] = height_m
    return moved(join([quads(walls, uv, paint), lid(high[:-1, :2], height_m, paint)]), centre_m)


def hull(
    sections: Sequence[tuple[Number, np.ndarray]], paint: Paint, is_capped: bool = True
) -> Mesh:
    """A skin over cross sections (x, [point, (y, z)]) of equally many points; ends are closed."""
    rings = np.array([[(x, y, z) for y, z in outline] for x, outline in sections])
    after = np.roll(rings, -1, axis=1)
    faces = np.stack([rings[:-1], after[:-1], after[1:], rings[1:]], axis=2).reshape(-1, 4, 3)
    parts = [quads(faces, faces[..., [0, 2]], paint)]
    for ring in (rings[0][::-1], rings[-1]) if is_capped else ():
        fan = np.array([ring[[0, i, i + 1]] for i in range(1, len(ring) - 1)])
        parts.append(triangles(fan, fan[..., [1, 2]], paint))
    return join(parts)


def wedge(
    low: tuple[Number, Number, Number, Number],
    high: tuple[Number, Number, Number, Number],
    heights_m: tuple[Number, Number],
    paint: Paint,
    top: Paint | None = None,
) -> Mesh:
    """A frustum between two rectangles (x from, x to, y from, y to) at two heights, with a lid."""
    rings = []
    for (x0, x1, y0, y1), z in zip((low, high), heights_m, strict=True):
        rings.append([[x0, y0, z], [x1, y0, z], [x1, y1, z], [x0, y1, z]])
    bottom, upper = np.array(rings, np.float64)
    after, after_up = np.roll(bottom, -1, axis=0), np.roll(upper, -1, axis=0)
    walls = np.stack([bottom, after, after_up, upper], axis=1)
    uv = np.zeros((4, 4, 2))
    uv[:, [1, 2], 0] = np.linalg.norm(after - bottom, axis=1)[:, None]
    uv[:, 2:, 1] = heights_m[1] - heights_m[0]
    lid_uv = upper[None, :, :2]
    return join([quads(walls, uv, paint), quads(upper[None], lid_uv, top or paint)])


def wheel(
    radius_m: Number, width_m: Number, centre_m: Vector, tyre: Paint, hub: Paint, sides: int = 12
) -> Mesh:
    """A wheel that rolls along x: a tyre with a hub on both sides."""
    parts = []
    for side in (-1, 1):
        disc = cylinder(radius_m, width_m / 2, tyre, sides=sides)
        cap = cylinder(0.62 * radius_m, width_m / 2 + 0.012, hub, sides=sides)
        turn = np.eye(4)
        turn[:3, :3] = [[1, 0, 0], [0, 0, side], [0, -side, 0]]
        turn[:3, 3] = centre_m
        parts += [transformed(disc, turn), transformed(cap, turn)]
    return join(parts)


def bar(start_m: Vector, end_m: Vector, radius_m: Number, paint: Paint, sides: int = 6) -> Mesh:
    """A round bar between two points."""
    start, end = np.asarray(start_m, np.float64), np.asarray(end_m, np.float64)
    along = end - start
    length = float(np.linalg.norm(along))
    up = along / length
    side = np.cross(up, [1.0, 0, 0] if abs(up[0]) < 0.8 else [0, 1.0, 0])
    side /= np.linalg.norm(side)
    turn = np.eye(4)
    turn[:3, :3] = np.stack([side, np.cross(up, side), up], axis=1)
    turn[:3, 3] = start
    return transformed(cylinder(radius_m, length, paint, sides=sides), turn)
