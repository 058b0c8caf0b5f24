# SPDX-License-Identifier: Apache-2.0
"""Colour words and what they look like: linear RGB of a diffuse surface."""

import numpy as np

_SRGB = {
    "red": "b3201d",
    "dark red": "7d1a1c",
    "orange": "e8741a",
    "yellow": "efb81c",
    "beige": "d2c3a1",
    "cream": "e8dfc6",
    "brown": "6e4a2f",
    "dark brown": "46301f",
    "green": "2f7a3a",
    "dark green": "1f4a2b",
    "light green": "8dbb6a",
    "turquoise": "2d9a97",
    "blue": "234fa3",
    "dark blue": "1b2a52",
    "light blue": "86b4d8",
    "purple": "5c3a85",
    "pink": "d987a0",
    "white": "e6e6e2",
    "silver": "a9adb0",
    "grey": "7c7e80",
    "dark grey": "47494c",
    "black": "1b1c1f",
    "skin": "c99a78",
    "dark skin": "6f4a35",
    "terracotta": "b0603f",
    "ochre": "c79a4a",
    "sand": "c2b28f",
}


def _linear(code: str) -> np.ndarray:
    srgb = np.array([int(code[i : i + 2], 16) for i in (0, 2, 4)]) / 255
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


COLOURS = {name: _linear(code).astype(np.float32) for name, code in _SRGB.items()}
"""Linear RGB by colour word."""


def shade(colour: str, generator: np.random.Generator, spread: float = 0.12) -> np.ndarray:
    """A colour as one specimen shows it: a little lighter or darker, a little off in hue."""
    factor = np.exp(generator.normal(0, spread)) * np.exp(generator.normal(0, spread / 4, 3))
    return np.clip(COLOURS[colour] * factor, 0.004, 0.95).astype(np.float32)
