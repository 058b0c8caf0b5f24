# SPDX-License-Identifier: Apache-2.0
"""Pixels of procedural textures: noise, masonry, windows, greenery. Every pattern tiles.

A pattern is a `Swatch`: how a surface looks where it takes its owner's colour (`tint` 1) and where
it keeps its own (`tint` 0), and how much it mirrors the sky (`gloss`).
"""

from dataclasses import dataclass

import numpy as np

TEXELS = 512
"""Texels along each side of every texture."""


@dataclass
class Swatch:
    """Pixels [row up, column right] of one tile.

    Attributes:
        rgb: Linear colour, multiplied by the owner's albedo where `tint` is 1.
        tint: How much of the owner's albedo applies, 0..1.
        gloss: Share of mirrored light seen face on, 0..1.
    """

    rgb: np.ndarray
    tint: np.ndarray
    gloss: np.ndarray


def plain(value: float = 1.0, gloss: float = 0.0) -> Swatch:
    """A surface in its owner's colour."""
    shape = (TEXELS, TEXELS)
    return Swatch(np.full((*shape, 3), value), np.ones(shape), np.full(shape, gloss))


def grid(tile_m: tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates (right, up) of the texels, metres."""
    steps = (np.arange(TEXELS) + 0.5) / TEXELS
    right, up = np.meshgrid(steps * tile_m[0], steps * tile_m[1])
    return right, up


def noise(generator: np.random.Generator, roughness: float = 1.0) -> np.ndarray:
    """Tiling noise, standard normal; roughness 0 is white, 2 is cloudy."""
    spectrum = np.fft.rfft2(generator.normal(size=(TEXELS, TEXELS)))
    fy, fx = np.fft.fftfreq(TEXELS)[:, None], np.fft.rfftfreq(TEXELS)[None]
    frequency = np.hypot(fy, fx)
    frequency[0, 0] = np.inf
    field = np.fft.irfft2(spectrum * frequency**-roughness, s=(TEXELS, TEXELS))
    return field / field.std()


def speckled(
    generator: np.random.Generator, coarse: float, fine: float, base: float = 0.85
) -> Swatch:
    """A rough surface: large stains and fine grain."""
    swatch = plain()
    value = base + coarse * noise(generator, 1.6) + fine * noise(generator, 0.4)
    swatch.rgb *= np.clip(value, 0.15, 1.0)[..., None]
    return swatch


def asphalt(generator: np.random.Generator) -> Swatch:
    """Stained, patched and cracked asphalt."""
    swatch = speckled(generator, 0.06, 0.08, 0.8)
    ridge = np.abs(noise(generator, 1.5))
    is_crack = (ridge < 0.035) & (noise(generator, 1.6) > 0.5)
    swatch.rgb[is_crack] *= 0.45
    patch = noise(generator, 2.2)
    swatch.rgb[patch > 1.6] *= 0.87
    return swatch


def masonry(
    generator: np.random.Generator,
    tile_m: tuple[float, float],
    stone_m: tuple[float, float],
    joint_m: float,
    contrast: float = 0.13,
    is_staggered: bool = True,
    joint: float = 0.55,
) -> Swatch:
    """Bricks, blocks or slabs in courses; the stone's size is fitted to the tile."""
    right, up = grid(tile_m)
    rows = max(1, round(tile_m[1] / stone_m[1]))
    columns = max(1, round(tile_m[0] / stone_m[0]))
    row = np.floor(up / tile_m[1] * rows).astype(int)
    along = right / tile_m[0] * columns + (0.5 * (row % 2) if is_staggered else 0)
    column = np.floor(along).astype(int) % columns
    value = 0.82 + contrast * generator.normal(size=(rows, columns))[row, column]
    hue = 0.022 * generator.normal(size=(rows, columns, 3))[row, column]
    swatch = plain()
    swatch.rgb *= np.clip(value[..., None] + hue, 0.2, 1.0)
    swatch.rgb *= np.clip(
        1 + 0.08 * noise(generator, 0.8) + 0.05 * noise(generator, 2.0), 0.5, 1.1
    )[..., None]
    from_side = np.minimum(along % 1, 1 - along % 1) * tile_m[0] / columns
    course = up / tile_m[1] * rows
    from_bed = np.minimum(course % 1, 1 - course % 1) * tile_m[1] / rows
    is_joint = np.minimum(from_side, from_bed) < joint_m / 2
    swatch.rgb[is_joint] = (
        joint * np.clip(1 + 0.1 * noise(generator, 1.0), 0.5, 1.3)[is_joint, None]
    )
    swatch.tint[is_joint] = 0.75
    np.clip(swatch.rgb, 0, 1, out=swatch.rgb)
    return swatch


def boards(generator: np.random.Generator, count: int, is_upright: bool = False) -> Swatch:
    """Planks, siding or corrugation: parallel boards with a shadowed joint."""
    swatch = speckled(generator, 0.03, 0.03, 0.9)
    across = np.arange(TEXELS) / TEXELS * count
    tone = 1 + 0.07 * generator.normal(size=count)[across.astype(int)]
    profile = np.where(across % 1 < 0.1, 0.55, 0.9 + 0.1 * (across % 1)) * tone
    swatch.rgb *= np.clip(profile, 0, 1.05)[None if is_upright else slice(None)].reshape(
        (1, -1, 1) if is_upright else (-1, 1, 1)
    )
    np.clip(swatch.rgb, 0, 1, out=swatch.rgb)
    return swatch


@dataclass(frozen=True)
class Windows:
    """How windows sit in a wall.

    Attributes:
        bays: Bays and floors in a tile.
        pane: Share of the bay (left, right, bottom, top) the opening takes.
        frame: Width of the frame as a share of the bay.
        frame_value: Grey value of the frame.
        mullions: Panes side by side.
        share: Share of bays with a window.
        sky: Grey value of the glass.
    """

    bays: tuple[int, int] = (4, 4)
    pane: tuple[float, float, float, float] = (0.28, 0.72, 0.28, 0.82)
    frame: float = 0.025
    frame_value: float = 0.75
    mullions: int = 2
    share: float = 1.0
    sky: float = 0.06


def with_windows(wall: Swatch, windows: Windows, generator: np.random.Generator) -> Swatch:
    """The wall with glazed openings: frames, sills, curtains, dark rooms behind the panes."""
    columns, rows = windows.bays
    steps = (np.arange(TEXELS) + 0.5) / TEXELS
    x, y = np.meshgrid((steps * columns) % 1, (steps * rows) % 1)
    bay_x, bay_y = np.meshgrid((steps * columns).astype(int), (steps * rows).astype(int))
    left, right, bottom, top = windows.pane
    has = (generator.random((rows, columns)) < windows.share)[bay_y, bay_x]
    f = windows.frame
    outer = has & (x > left - f) & (x < right + f) & (y > bottom - f) & (y < top + f)
    sill = has & (x > left - 2 * f) & (x < right + 2 * f) & (y > bottom - 2.5 * f) & (y <= bottom)
    inner = has & (x > left) & (x < right) & (y > bottom) & (y < top)
    pane_x = (x - left) / (right - left) * windows.mullions
    bars = np.abs(pane_x - np.round(pane_x)) < 0.5 * f * windows.mullions / (right - left)
    glass = inner & ~bars
    for mask, value in ((outer, windows.frame_value), (sill, 0.6)):
        wall.rgb[mask], wall.tint[mask] = value, 0.0
    room = windows.sky * np.exp(0.5 * generator.normal(size=(rows, columns)))[bay_y, bay_x]
    colour = room[..., None] * np.array([0.8, 0.95, 1.15])
    drop = generator.random((rows, columns))[bay_y, bay_x]
    curtained = glass & (drop > 0.55) & ((y - bottom) / (top - bottom) > 2.0 * (1 - drop))
    colour[curtained] = np.array([0.5, 0.46, 0.38]) * (0.8 + 0.4 * drop[curtained, None])
    shadow = glass & (y > top - 0.06)
    colour[shadow] *= 0.4
    wall.rgb[glass], wall.tint[glass] = np.clip(colour[glass], 0, 1), 0.0
    wall.gloss[glass] = np.where(curtained[glass], 0.10, 0.28)
    return wall


def foliage(generator: np.random.Generator, contrast: float) -> Swatch:
    """Leaves: light tufts over dark gaps, with yellow and blue shifts."""
    swatch = plain()
    value = 0.68 + contrast * noise(generator, 0.9) + 0.1 * noise(generator, 0.2)
    swatch.rgb *= np.clip(value, 0.12, 1.0)[..., None]
    shift = 0.09 * noise(generator, 1.2)
    swatch.rgb[..., 0] *= 1 + shift
    swatch.rgb[..., 2] *= 1 - shift
    np.clip(swatch.rgb, 0, 1, out=swatch.rgb)
    return swatch
