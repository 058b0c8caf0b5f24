# SPDX-License-Identifier: Apache-2.0
"""Lenses that bend: from a direction in front of a camera to the pixel that shows it.

Source: Kannala and Brandt, TPAMI 2006 (`fisheye`, with OpenCV's four coefficients); Brown 1966
(`radial_tangential`, OpenCV's first five).
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float64

Model = Literal["fisheye", "radial_tangential"]

COEFFICIENTS: dict[str, tuple[int, ...]] = {"fisheye": (4,), "radial_tangential": (4, 5)}
"""Distortion model -> how many coefficients it may have."""

_STEP_DEG = 0.05


@dataclass(frozen=True)
class Lens:
    """A camera as it is, with its distortion.

    Attributes:
        width: Image width, pixels.
        height: Image height, pixels.
        focal_px: Focal lengths x and y.
        centre_px: Principal point; the middle of the first pixel is at (0.5, 0.5).
        model: How it bends.
        coefficients: k1 k2 k3 k4 of a fisheye; k1 k2 p1 p2 and perhaps k3 otherwise.
    """

    width: int
    height: int
    focal_px: tuple[float, float]
    centre_px: tuple[float, float]
    model: Model
    coefficients: tuple[float, ...]

    def pixels(
        self, directions: Float64[np.ndarray, "*shape 3"]
    ) -> tuple[Float64[np.ndarray, "*shape 2"], Bool[np.ndarray, "*shape"]]:
        """Pixels of directions (x right, y down, z forward), and whether the image shows them.

        Beyond the angle at which a polynomial turns back, it means nothing and shows nothing.
        """
        x, y, z = np.moveaxis(directions, -1, 0)
        across = np.hypot(x, y)
        angle = np.arctan2(across, z)
        bent = self._bent(x, y, z, across, angle)
        pixels = bent * self.focal_px + self.centre_px
        is_inside = ((pixels >= 0) & (pixels <= (self.width, self.height))).all(axis=-1)
        return pixels, is_inside & (angle <= self.widest_rad)

    @cached_property
    def widest_rad(self) -> float:
        """Angle from the optical axis up to which the radius in the image grows."""
        top = 179.0 if self.model == "fisheye" else 85.0
        angle = np.deg2rad(np.arange(0.0, top, _STEP_DEG))
        radius = self._radius(angle)
        falls = np.flatnonzero(np.diff(radius) <= 0)
        return float(angle[falls[0]] if len(falls) else angle[-1])

    def edge_rad(self, x: float, y: float) -> float:
        """Angle at which the image ends in a direction of the image: (1, 0) is to the right."""
        angle = np.deg2rad(np.arange(0.0, 179.0, _STEP_DEG))
        rays = np.stack([np.sin(angle) * x, np.sin(angle) * y, np.cos(angle)], axis=-1)
        _, is_shown = self.pixels(rays)
        ends = np.flatnonzero(~is_shown)
        return float(angle[max(int(ends[0]) - 1, 0)] if len(ends) else angle[-1])

    def _radius(self, angle: Float64[np.ndarray, "*shape"]) -> Float64[np.ndarray, "*shape"]:
        """Distance from the principal point in focal lengths, without the tangential part."""
        if self.model == "fisheye":
            return angle * _series(angle**2, self.coefficients)
        radius = np.tan(np.minimum(angle, np.deg2rad(89.0)))
        return radius * _series(radius**2, self._radial)

    @property
    def _radial(self) -> tuple[float, ...]:
        k1, k2, _, _, *k3 = self.coefficients
        return (k1, k2, *k3)

    def _bent(
        self, x: np.ndarray, y: np.ndarray, z: np.ndarray, across: np.ndarray, angle: np.ndarray
    ) -> Float64[np.ndarray, "*shape 2"]:
        if self.model == "fisheye":
            share = self._radius(angle) / np.maximum(across, 1e-12)
            return np.stack([x * share, y * share], axis=-1)
        depth = np.where(z > 1e-6, z, np.inf)  # behind the camera: nothing is shown there
        x, y = x / depth, y / depth
        square = x**2 + y**2
        radial = _series(square, self._radial)
        p1, p2 = self.coefficients[2:4]
        return np.stack(
            [
                x * radial + 2 * p1 * x * y + p2 * (square + 2 * x**2),
                y * radial + p1 * (square + 2 * y**2) + 2 * p2 * x * y,
            ],
            axis=-1,
        )


def _series(square: np.ndarray, coefficients: tuple[float, ...]) -> np.ndarray:
    """1 + k1 s + k2 s^2 + ..."""
    total = np.ones_like(square)
    for power, coefficient in enumerate(coefficients, 1):
        total = total + coefficient * square**power
    return total
