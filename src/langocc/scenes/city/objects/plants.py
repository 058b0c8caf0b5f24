# SPDX-License-Identifier: Apache-2.0
"""Trees, bushes, hedges, flower beds."""

from functools import cache

import numpy as np
import trimesh

from langocc.scenes.city.materials.textures import TEXTURE
from langocc.scenes.city.objects.common import fixture, paint
from langocc.scenes.city.solids import Number, Paint, bar, box, cylinder, moved, triangles
from langocc.scenes.city.stage import Model
from langocc.scenes.city.world import Mesh

_LEAF = {
    "green": (0.085, 0.165, 0.03),
    "dark green": (0.03, 0.08, 0.028),
    "light green": (0.16, 0.24, 0.05),
    "yellow": (0.42, 0.30, 0.04),
    "orange": (0.40, 0.16, 0.03),
    "red": (0.30, 0.05, 0.03),
    "pink": (0.62, 0.33, 0.40),
    "purple": (0.30, 0.12, 0.38),
    "white": (0.62, 0.62, 0.58),
}
_SEASONS = {
    "maple tree": ("green", "green", "orange", "red"),
    "cherry tree": ("pink", "green", "pink"),
    "ginkgo tree": ("green", "yellow"),
    "birch tree": ("light green", "yellow", "light green"),
    "linden tree": ("green", "green", "yellow"),
}
_ROUND = {
    "oak tree": (7.5, 11.0, 0.44, 0.36),
    "maple tree": (6.5, 9.5, 0.38, 0.34),
    "plane tree": (9.0, 13.0, 0.36, 0.35),
    "linden tree": (7.0, 10.0, 0.32, 0.36),
    "cherry tree": (4.5, 6.0, 0.44, 0.31),
    "ginkgo tree": (7.0, 9.5, 0.25, 0.36),
    "birch tree": (7.5, 11.0, 0.22, 0.38),
    "willow tree": (6.5, 8.5, 0.50, 0.38),
}
"""Height from and to (metres); crown's half width and half height as shares of the height."""


def _leaf(generator: np.random.Generator, colour: str, texture: str = "leaves") -> Paint:
    albedo = np.array(_LEAF[colour]) * np.exp(generator.normal(0, [0.18, 0.14, 0.18]))
    offset = generator.uniform(0, 5, 2)
    albedo = np.minimum(albedo, 0.9)
    return Paint(albedo, TEXTURE[texture], 0, (float(offset[0]), float(offset[1])))


def tree(generator: np.random.Generator, noun: str, is_near: bool = True) -> Model:
    """A tree by its name ("oak tree", "fir tree", "palm tree", ...); plainer if it is far."""
    if noun == "fir tree":
        return _fir(generator)
    if noun == "palm tree":
        return _palm(generator)
    if noun in ("poplar tree", "cypress tree"):
        return _column(generator, noun)
    low, high, wide, tall = _ROUND[noun]
    height = generator.uniform(low, high)
    colour = str(generator.choice(_SEASONS.get(noun, ("green",))))
    radii = np.array([wide, wide, tall]) * height * generator.uniform(0.85, 1.1)
    bark = paint((0.55, 0.54, 0.5) if noun == "birch tree" else (0.10, 0.07, 0.05), "bark")
    middle = height - radii[2] * 0.95
    parts = [cylinder((0.035 * height, 0.018 * height), middle, bark, sides=7)]
    leaf = _leaf(generator, colour)
    lobes = (5 if noun == "willow tree" else 4) if is_near else 3
    lumps = [(np.array([0, 0, middle]), radii * 0.72)]
    for index in range(lobes):
        angle = 2 * np.pi * (index + generator.uniform(0, 0.6)) / lobes
        offset = np.array([np.cos(angle), np.sin(angle), generator.uniform(-0.5, 0.6)]) * radii
        centre = np.array([0, 0, middle]) + 0.5 * offset
        lumps.append((centre, radii * generator.uniform(0.45, 0.6)))
        if is_near:
            parts.append(bar((0, 0, 0.55 * middle), centre, 0.010 * height, bark, 5))
    for centre, lump in lumps:
        parts.append(blob(generator, centre, lump, leaf))
        if is_near:
            parts.append(cards(generator, centre, lump, leaf, 100, 0.27))
    if noun == "willow tree" and is_near:
        strands = radii * np.array([0.8, 0.8, 0.9])
        parts.append(cards(generator, (0, 0, 0.7 * middle), strands, leaf, 160, 0.3))
    return fixture(noun, colour, "leaves", parts, "static.vegetation")


def blob(
    generator: np.random.Generator, centre: np.ndarray | tuple, radii: np.ndarray, leaf: Paint
) -> Mesh:
    """A lump of foliage."""
    vertices, faces = _sphere()
    bumpy = vertices * (1 + 0.13 * generator.normal(size=(len(vertices), 1)))
    corners = (bumpy * radii + np.asarray(centre))[faces]
    return triangles(corners, _wrapped(corners), leaf)


def cards(
    generator: np.random.Generator,
    centre: np.ndarray | tuple,
    radii: np.ndarray,
    leaf: Paint,
    count: int,
    size_m: Number,
) -> Mesh:
    """Loose sprays of leaves around an ellipsoid, which break up its outline."""
    out = generator.normal(size=(count, 3))
    out /= np.linalg.norm(out, axis=1, keepdims=True)
    middle = np.asarray(centre) + out * radii * generator.uniform(0.93, 1.12, (count, 1))
    spread = generator.normal(size=(count, 3, 3))
    spread -= 0.55 * np.einsum("nij,nj->ni", spread, out)[..., None] * out[:, None]
    corners = middle[:, None] + size_m * 0.62 * spread
    return triangles(corners, _wrapped(corners), leaf)


def _wrapped(corners: np.ndarray) -> np.ndarray:
    """Texture coordinates of loose triangles: the two axes along which each extends most."""
    sides = corners[:, 1:] - corners[:, :1]
    across = np.abs(np.cross(sides[:, 0], sides[:, 1])).argmax(axis=1)
    kept = np.array([[1, 2], [0, 2], [0, 1]])[across]
    return np.take_along_axis(corners, kept[:, None, :].repeat(3, axis=1), axis=2)


@cache
def _sphere() -> tuple[np.ndarray, np.ndarray]:
    sphere = trimesh.creation.icosphere(subdivisions=1)
    return np.asarray(sphere.vertices), np.asarray(sphere.faces)


def _fir(generator: np.random.Generator) -> Model:
    height = generator.uniform(6, 12)
    leaf, bark = _leaf(generator, "dark green", "needles"), paint((0.08, 0.055, 0.04), "bark")
    parts = [cylinder((0.16, 0.08), 0.3 * height, bark, sides=6)]
    tiers, base = 6, 0.08 * height
    for tier in range(tiers):
        low = base + (height - base) * tier / tiers
        radius = 0.25 * height * (1 - tier / tiers) ** 0.9 + 0.15
        tall = (height - base) / tiers * 1.75
        count = 14
        angle = np.linspace(0, 2 * np.pi, count + 1)[:-1] + generator.uniform(0, 1)
        reach = (
            radius * np.where(np.arange(count) % 2, 0.72, 1.0) * generator.uniform(0.88, 1.1, count)
        )
        droop = np.where(np.arange(count) % 2, 0.12 * tall, -0.1 * tall)
        ring = np.stack([np.cos(angle) * reach, np.sin(angle) * reach, low + droop], axis=1)
        tip = np.broadcast_to([0, 0, min(low + tall, height)], ring.shape)
        parts.append(_fan(ring, tip, leaf))
    return fixture("fir tree", "dark green", "needles", parts, "static.vegetation")


def _fan(ring: np.ndarray, tip: np.ndarray, leaf: Paint) -> Mesh:
    corners = np.stack([ring, np.roll(ring, -1, axis=0), tip], axis=1)
    return triangles(corners, _wrapped(corners), leaf)


def _column(generator: np.random.Generator, noun: str) -> Model:
    height = generator.uniform(7, 12)
    colour = "dark green" if noun == "cypress tree" else "green"
    leaf, bark = _leaf(generator, colour), paint((0.10, 0.07, 0.05), "bark")
    radii = np.array([0.10, 0.10, 0.44]) * height
    middle = 0.53 * height
    parts = [
        cylinder(0.16, 0.2 * height, bark, sides=6),
        blob(generator, (0, 0, middle), radii * 0.95, leaf),
        blob(generator, (0, 0, 0.8 * middle), radii * [1, 1, 0.7], leaf),
        cards(generator, (0, 0, middle), radii, leaf, 200, 0.28),
    ]
    return fixture(noun, colour, "leaves", parts, "static.vegetation")


def _palm(generator: np.random.Generator) -> Model:
    height = generator.uniform(6, 9)
    bark, leaf = paint((0.22, 0.16, 0.11), "bark"), _leaf(generator, "green", "needles")
    parts = [cylinder((0.24, 0.15), height, bark, sides=8)]
    for angle in np.arange(13) * 2 * np.pi / 13 + generator.uniform(0, 0.3, 13):
        steps = np.linspace(0, 1, 6)
        reach, droop = generator.uniform(2.2, 3.0), generator.uniform(1.0, 2.6)
        out = np.stack([np.cos(angle) * reach * steps, np.sin(angle) * reach * steps], axis=1)
        lift = height + 0.9 * np.sin(steps * 2.2) - droop * steps**2
        spine = np.concatenate([out, lift[:, None]], axis=1)
        side = np.array([-np.sin(angle), np.cos(angle), 0]) * 0.34
        width = np.sin(np.pi * (0.12 + 0.88 * steps))[:, None]
        for sign in (-1, 1):
            edge = spine + sign * side * width - [0, 0, 0.22] * width
            for i in range(5):
                corners = np.array(
                    [[spine[i], edge[i], edge[i + 1]], [spine[i], edge[i + 1], spine[i + 1]]]
                )
                parts.append(triangles(corners, _wrapped(corners), leaf))
    return fixture("palm tree", "green", "leaves", parts, "static.vegetation")


def bush(generator: np.random.Generator) -> Model:
    """A round bush, sometimes in bloom."""
    radius = generator.uniform(0.5, 0.95)
    leaf = _leaf(generator, str(generator.choice(["green", "dark green", "light green"])))
    radii = np.array([1.15, 1.0, 0.85]) * radius
    parts = [
        blob(generator, (0, 0, 0.7 * radius), radii, leaf),
        cards(generator, (0, 0, 0.7 * radius), radii, leaf, 60, 0.26),
    ]
    if generator.random() < 0.4:
        bloom = _leaf(generator, str(generator.choice(["pink", "purple", "white", "red"])))
        parts.append(cards(generator, (0, 0, 0.7 * radius), radii * 1.04, bloom, 50, 0.12))
    return fixture("bush", "green", "leaves", parts, "static.vegetation")


def hedge(generator: np.random.Generator, length_m: Number, height_m: Number) -> Model:
    """A clipped hedge along x."""
    leaf = _leaf(generator, str(generator.choice(["green", "dark green"])))
    parts = [box((length_m, 0.8, height_m), leaf)]
    count = int(22 * length_m)
    centre = generator.uniform(
        [-length_m / 2, -0.42, 0.1], [length_m / 2, 0.42, height_m + 0.02], (count, 3)
    )
    on_side = generator.random(count) < 0.65
    centre[on_side, 1] = np.sign(centre[on_side, 1]) * 0.42
    centre[~on_side, 2] = height_m
    corners = centre[:, None] + 0.11 * generator.normal(size=(count, 3, 3))
    parts.append(triangles(corners, _wrapped(corners), leaf))
    return fixture("hedge", "green", "leaves", parts, "static.vegetation")


def flower_bed(generator: np.random.Generator) -> Model:
    """A planter full of flowers."""
    colour = str(generator.choice(["red", "yellow", "pink", "purple", "white", "orange"]))
    soil = paint((0.05, 0.035, 0.025), "dirt")
    leaf, bloom = _leaf(generator, "green"), _leaf(generator, colour)
    parts = [
        box((2.2, 1.0, 0.35), soil),
        cards(generator, (0, 0, 0.38), np.array([1.05, 0.45, 0.2]), leaf, 80, 0.22),
        cards(generator, (0, 0, 0.45), np.array([1.05, 0.45, 0.25]), bloom, 110, 0.12),
    ]
    return fixture("flower bed", colour, "flowers", parts, "static.vegetation")


def scaled(mesh: Mesh, factor: Number, yaw_rad: Number) -> Mesh:
    """A mesh made larger or smaller and turned, so that one tree serves as several."""
    turned = moved(mesh, (0.0, 0.0, 0.0), yaw_rad)
    return Mesh(
        turned.vertices * factor,
        turned.faces,
        turned.albedo,
        turned.texture,
        turned.thing,
        turned.uv_m,
    )
