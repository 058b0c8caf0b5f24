# SPDX-License-Identifier: Apache-2.0
"""Drawn textures: posters, warning stripes, coach sides."""

import numpy as np

from langocc.scenes.city.materials.patterns import TEXELS, Swatch, noise, plain


def _square() -> tuple[np.ndarray, np.ndarray]:
    steps = (np.arange(TEXELS) + 0.5) / TEXELS
    right, up = np.meshgrid(steps, steps)
    return right, up


def warning_stripes(generator: np.random.Generator) -> Swatch:
    """Diagonal stripes: the owner's colour and white."""
    right, up = _square()
    swatch = plain(0.95)
    is_white = ((right + up) * 4) % 2 < 1
    swatch.rgb[is_white], swatch.tint[is_white] = 0.8, 0.0
    return swatch


def poster(generator: np.random.Generator, design: int) -> Swatch:
    """An advertisement: a coloured ground, bold shapes, lines of lettering."""
    right, up = _square()
    swatch = plain(0.7, 0.03)
    swatch.tint[:] = 0.0
    colours = np.array([[0.75, 0.1, 0.08], [0.08, 0.25, 0.65], [0.85, 0.65, 0.08],
                        [0.85, 0.85, 0.8], [0.1, 0.4, 0.2]])  # fmt: skip
    ground, figure, ink = np.roll(colours, design, axis=0)[[0, 2, 3]]
    swatch.rgb[:] = ground * (0.7 + 0.3 * up[..., None])
    x, y, radius = generator.uniform([0.25, 0.5, 0.15], [0.75, 0.7, 0.28])
    swatch.rgb[np.hypot(right - x, up - y) < radius] = figure
    swatch.rgb[np.abs(right - x - 0.3 * (up - y)) < 0.05] = ink
    for line in range(3):
        height = 0.12 + 0.09 * line
        letters = np.sin(right * (60 + 25 * line)) + np.sin(right * 147 + line) > -0.4
        is_line = (np.abs(up - height) < 0.03) & (np.abs(right - 0.5) < 0.42 - 0.07 * line)
        swatch.rgb[is_line & letters] = ink
    border = np.minimum(np.minimum(right, 1 - right), np.minimum(up, 1 - up)) < 0.02
    swatch.rgb[border] = 0.5
    return swatch


def coach(generator: np.random.Generator) -> Swatch:
    """A bus's side: a band of windows in painted metal; 3 m up and down, 1.5 m a window."""
    right, up = _square()
    swatch = plain(0.95, 0.1)
    pane = (right * 2) % 1
    is_glass = (up > 0.45) & (up < 0.8) & (pane > 0.05) & (pane < 0.95)
    swatch.rgb[is_glass] = np.array([0.03, 0.04, 0.05]) * np.clip(
        1 + 0.4 * noise(generator, 2.0)[is_glass, None], 0.3, 2
    )
    swatch.tint[is_glass], swatch.gloss[is_glass] = 0.0, 0.35
    swatch.rgb[(up > 0.33) & (up < 0.37)] *= 0.6
    return swatch
