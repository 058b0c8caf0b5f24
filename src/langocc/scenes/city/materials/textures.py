# SPDX-License-Identifier: Apache-2.0
"""The textures by name, baked once into an atlas with mip levels and looked up by the renderer."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from jaxtyping import Float32, Int32

from langocc.scenes.city.materials import artwork
from langocc.scenes.city.materials.patterns import (
    TEXELS,
    Swatch,
    Windows,
    asphalt,
    boards,
    foliage,
    masonry,
    noise,
    plain,
    speckled,
    with_windows,
)

Bake = Callable[[np.random.Generator], Swatch]
BAY_M, FLOOR_M = 3.0, 3.2
"""Width of a window bay and height of a floor in every façade texture, metres."""
_FACADE_M = (4 * BAY_M, 4 * FLOOR_M)
_OFFICE = Windows(pane=(0.06, 0.94, 0.3, 0.92), mullions=3, frame_value=0.2, sky=0.05)
_CURTAIN = Windows(pane=(0.02, 0.98, 0.03, 0.97), frame=0.012, mullions=2, frame_value=0.3)
_HOUSE = Windows(pane=(0.26, 0.74, 0.3, 0.78), frame=0.035, share=0.72)
_SHOP = Windows((4, 1), (0.05, 0.95, 0.12, 0.72), 0.025, 0.15, 1, 1.0, 0.09)


@dataclass(frozen=True)
class Texture:
    """A tiling texture: its name, the metres one tile covers (right, up), how it is baked."""

    name: str
    tile_m: tuple[float, float]
    bake: Bake


def _brick(generator: np.random.Generator) -> Swatch:
    return masonry(generator, _FACADE_M, (0.34, 0.15), 0.025, joint=0.7)


def _plaster(generator: np.random.Generator) -> Swatch:
    return speckled(generator, 0.04, 0.02, 0.9)


def _stone(generator: np.random.Generator) -> Swatch:
    return masonry(generator, _FACADE_M, (0.9, 0.45), 0.025, 0.08, joint=0.35)


def _panels(generator: np.random.Generator) -> Swatch:
    return masonry(generator, _FACADE_M, (3.0, 3.2), 0.05, 0.03, False, 0.3)


def _cobbles(generator: np.random.Generator) -> Swatch:
    return masonry(generator, (3.0, 3.0), (0.2, 0.14), 0.03, 0.12, joint=0.2)


def _tiles(generator: np.random.Generator) -> Swatch:
    return masonry(generator, (4.0, 4.0), (0.3, 0.25), 0.03, 0.1, joint=0.25)


def _siding(generator: np.random.Generator) -> Swatch:
    return boards(generator, 64)


def _glossy(bake: Bake, gloss: float) -> Bake:
    def baked(generator: np.random.Generator) -> Swatch:
        swatch = bake(generator)
        return replace(swatch, gloss=np.full_like(swatch.gloss, gloss))

    return baked


def _glazed(wall: Bake, windows: Windows) -> Bake:
    return lambda generator: with_windows(wall(generator), windows, generator)


TEXTURES: tuple[Texture, ...] = (
    Texture("plain", (1.0, 1.0), lambda g: plain()),
    Texture("asphalt", (13.0, 13.0), asphalt),
    Texture(
        "paving", (4.8, 4.8), lambda g: masonry(g, (4.8, 4.8), (0.6, 0.6), 0.02, 0.06, True, 0.3)
    ),
    Texture(
        "cobbles", (3.0, 3.0), lambda g: masonry(g, (3.0, 3.0), (0.2, 0.14), 0.03, 0.12, joint=0.2)
    ),
    Texture("grass", (7.0, 7.0), lambda g: foliage(g, 0.12)),
    Texture("dirt", (8.0, 8.0), lambda g: speckled(g, 0.12, 0.08, 0.75)),
    Texture("gravel", (3.0, 3.0), lambda g: speckled(g, 0.04, 0.2, 0.7)),
    Texture("concrete", (6.0, 6.0), lambda g: speckled(g, 0.05, 0.03, 0.88)),
    Texture("brick", _FACADE_M, _brick),
    Texture("plaster", (12.0, 12.0), _plaster),
    Texture("stone", _FACADE_M, _stone),
    Texture("siding", (8.0, 12.8), _siding),
    Texture("brick windows", _FACADE_M, _glazed(_brick, Windows())),
    Texture("plaster windows", _FACADE_M, _glazed(_plaster, Windows(mullions=1))),
    Texture("stone windows", _FACADE_M, _glazed(_stone, Windows(pane=(0.3, 0.7, 0.2, 0.85)))),
    Texture("panel windows", _FACADE_M, _glazed(_panels, _OFFICE)),
    Texture("glass facade", _FACADE_M, _glazed(_panels, _CURTAIN)),
    Texture("brick house", _FACADE_M, _glazed(_brick, _HOUSE)),
    Texture("siding house", _FACADE_M, _glazed(_siding, _HOUSE)),
    Texture("plaster house", _FACADE_M, _glazed(_plaster, _HOUSE)),
    Texture("shop front", (12.0, 4.0), _glazed(_plaster, _SHOP)),
    Texture(
        "roof tiles",
        (4.0, 4.0),
        lambda g: masonry(g, (4.0, 4.0), (0.3, 0.25), 0.03, 0.1, joint=0.25),
    ),
    Texture("corrugated", (4.0, 4.0), _glossy(lambda g: boards(g, 20, True), 0.06)),
    Texture("planks", (2.4, 2.4), lambda g: boards(g, 12, True)),
    Texture("leaves", (3.2, 3.2), lambda g: foliage(g, 0.28)),
    Texture("needles", (2.4, 2.4), lambda g: foliage(g, 0.35)),
    Texture("bark", (1.0, 1.5), lambda g: boards(g, 14, True)),
    Texture("paint", (6.0, 6.0), _glossy(lambda g: speckled(g, 0.02, 0.0, 0.97), 0.12)),
    Texture("glass", (3.0, 3.0), lambda g: plain(1.0, 0.27)),
    Texture("metal", (3.0, 3.0), _glossy(lambda g: speckled(g, 0.05, 0.02, 0.88), 0.10)),
    Texture("cloth", (1.2, 1.2), lambda g: speckled(g, 0.1, 0.05, 0.85)),
    Texture("water", (5.0, 5.0), _glossy(lambda g: speckled(g, 0.1, 0.02, 0.8), 0.45)),
    Texture("warning stripes", (1.2, 1.2), artwork.warning_stripes),
    Texture("poster one", (6.0, 3.1), lambda g: artwork.poster(g, 0)),
    Texture("poster two", (6.0, 3.1), lambda g: artwork.poster(g, 1)),
    Texture("poster three", (1.2, 1.8), lambda g: artwork.poster(g, 2)),
    Texture("poster four", (1.2, 1.8), lambda g: artwork.poster(g, 3)),
    Texture("coach windows", (3.0, 3.0), artwork.coach),
)
"""All textures; `Mesh.texture` counts in this order."""

TEXTURE = {texture.name: index for index, texture in enumerate(TEXTURES)}
"""Index of a texture by name."""

IS_LEAFY = np.array([t.name in ("leaves", "needles") for t in TEXTURES])
"""Textures of loose leaves, which the renderer lights as such."""

_WEAR_M = 71.0
_LEVELS = TEXELS.bit_length()
_LEVEL_START = np.cumsum([0] + [(TEXELS >> level) ** 2 for level in range(_LEVELS)])


@cache
def _atlas() -> np.ndarray:
    """All textures at all levels: uint8 rows (r, g, b as square roots; tint; gloss)."""
    rows = []
    for index, texture in enumerate(TEXTURES):
        swatch = texture.bake(np.random.default_rng([7, index]))
        pixels = np.dstack([swatch.rgb, swatch.tint, swatch.gloss]).astype(np.float32)
        for _ in range(_LEVELS):
            stored = np.dstack([np.sqrt(pixels[..., :3]), pixels[..., 3:]])
            rows.append((255 * stored + 0.5).astype(np.uint8).reshape(-1, 5))
            if len(pixels) > 1:
                pixels = pixels.reshape(len(pixels) // 2, 2, -1, 2, 5).mean(axis=(1, 3))
    return np.concatenate(rows)


@cache
def _wear() -> np.ndarray:
    """Slow changes of brightness over `_WEAR_M` metres, which hide that textures repeat."""
    field = noise(np.random.default_rng(5), 1.4)[::8, ::8]
    return np.clip(0.95 + 0.07 * field / field.std(), 0.75, 1.1).astype(np.float32)


_PER_M = np.array([[TEXELS / t.tile_m[0], TEXELS / t.tile_m[1]] for t in TEXTURES], np.float32)


def sample(
    texture: Int32[np.ndarray, " pixel"],
    uv_m: Float32[np.ndarray, "pixel 2"],
    footprint_m: Float32[np.ndarray, " pixel"],
) -> tuple[
    Float32[np.ndarray, "pixel 3"], Float32[np.ndarray, "pixel 1"], Float32[np.ndarray, " pixel"]
]:
    """Colour, tint and gloss of surface points; the footprint of a pixel chooses the level."""
    per_m = _PER_M[texture]
    level = np.log2(np.maximum(footprint_m * per_m.min(axis=1) * 1.4, 1.0)).astype(np.int32)
    np.minimum(level, _LEVELS - 1, out=level)
    texel = np.floor(uv_m * per_m).astype(np.int32)
    texel &= TEXELS - 1
    texel >>= level[:, None]
    row = texture * int(_LEVEL_START[-1]) + _LEVEL_START[level].astype(np.int32)
    row += texel[:, 1] * (TEXELS >> level) + texel[:, 0]
    found = np.take(_atlas(), row, axis=0).astype(np.float32)
    found *= np.float32(1 / 255)
    rgb = found[:, :3]
    rgb *= rgb
    cell = (uv_m * np.float32(64 / _WEAR_M)).astype(np.int32) & 63
    rgb *= _wear()[cell[:, 1], cell[:, 0], None]
    return rgb, found[:, 3:4], found[:, 4]
