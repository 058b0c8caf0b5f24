# SPDX-License-Identifier: Apache-2.0
"""Plane curves by arc length: road axes, lanes, footpaths, routes."""

from functools import cached_property

import numpy as np
from jaxtyping import Float64
from scipy.spatial import KDTree

_STEP_M = 0.5


class Curve:
    """A smooth plane curve, continued straight beyond both ends.

    `along` is the arc length from the start; `left` the distance to the left of the direction of
    travel. All in metres.
    """

    def __init__(self, points: Float64[np.ndarray, "point 2"]) -> None:
        """Takes points along the curve; they are resampled every half metre."""
        steps = np.linalg.norm(np.diff(points, axis=0), axis=1)
        points = points[np.concatenate([[True], steps > 1e-9])]
        raw = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])
        count = max(4, round(raw[-1] / _STEP_M) + 1)
        at = np.linspace(0, raw[-1], count)
        self.points = np.stack([np.interp(at, raw, points[:, i]) for i in (0, 1)], axis=1)
        pieces = np.linalg.norm(np.diff(self.points, axis=0), axis=1)
        self._along = np.concatenate([[0], np.cumsum(pieces)])
        tangent = np.gradient(self.points, self._along, axis=0)
        self._heading = np.unwrap(np.arctan2(tangent[:, 1], tangent[:, 0]))

    @property
    def length_m(self) -> float:
        """Arc length."""
        return float(self._along[-1])

    @cached_property
    def _tree(self) -> KDTree:
        return KDTree(self.points)

    def heading(self, along: Float64[np.ndarray, "*point"]) -> Float64[np.ndarray, "*point"]:
        """Direction of travel, radians from +x, continuous along the curve."""
        return np.interp(along, self._along, self._heading)

    def at(
        self,
        along: Float64[np.ndarray, "*point"],
        left: Float64[np.ndarray, "*point"] | float = 0.0,
    ) -> Float64[np.ndarray, "*point 2"]:
        """Points at arc lengths and distances to the left."""
        heading = self.heading(along)
        forward = np.stack([np.cos(heading), np.sin(heading)], axis=-1)
        sideways = np.stack([-forward[..., 1], forward[..., 0]], axis=-1)
        base = np.stack([np.interp(along, self._along, self.points[:, i]) for i in (0, 1)], -1)
        beyond = np.minimum(along, 0) + np.maximum(along - self.length_m, 0)
        return base + beyond[..., None] * forward + np.asarray(left)[..., None] * sideways

    def project(
        self, points: Float64[np.ndarray, "point 2"]
    ) -> tuple[Float64[np.ndarray, " point"], Float64[np.ndarray, " point"]]:
        """`along` and `left` of points; exact for straight parts, good near gentle curves."""
        nearest = np.asarray(self._tree.query(points)[1])
        heading = self._heading[nearest]
        forward = np.stack([np.cos(heading), np.sin(heading)], axis=-1)
        offset = points - self.points[nearest]
        along = self._along[nearest] + np.einsum("ij,ij->i", offset, forward)
        left = forward[:, 0] * offset[:, 1] - forward[:, 1] * offset[:, 0]
        return along, left

    def shifted(self, left: float) -> "Curve":
        """The parallel curve at a distance to the left."""
        return Curve(self.at(self._along, left))

    def reversed(self) -> "Curve":
        """The same curve travelled the other way."""
        return Curve(self.points[::-1])

    def curvature(self) -> tuple[np.ndarray, np.ndarray]:
        """Arc lengths and curvature (1/m) there, smoothed over some metres."""
        turn = np.gradient(self._heading, self._along)
        return self._along, np.convolve(np.pad(turn, 4, "edge"), np.ones(9) / 9, "valid")


def bend(start: np.ndarray, start_rad: float, end: np.ndarray, end_rad: float) -> np.ndarray:
    """Points of a smooth bend between two points with given directions of travel."""
    reach = 0.42 * float(np.linalg.norm(end - start)) * 1.15
    p1 = start + reach * np.array([np.cos(start_rad), np.sin(start_rad)])
    p2 = end - reach * np.array([np.cos(end_rad), np.sin(end_rad)])
    t = np.linspace(0, 1, 60)[:, None]
    return (1 - t) ** 3 * start + 3 * (1 - t) ** 2 * t * p1 + 3 * (1 - t) * t**2 * p2 + t**3 * end


def winding(
    length_m: float, heading_rad: float, turns: list[tuple[float, float, float]]
) -> np.ndarray:
    """Points of a curve from the origin; turns are (from, to, total radians) by arc length."""
    along = np.arange(0, length_m + _STEP_M, _STEP_M)
    heading = np.full(len(along), heading_rad)
    for start, end, angle in turns:
        part = np.clip((along - start) / (end - start), 0, 1)
        heading += angle * part * part * (3 - 2 * part)
    steps = np.stack([np.cos(heading), np.sin(heading)], axis=1) * _STEP_M
    return np.concatenate([np.zeros((1, 2)), np.cumsum(steps[:-1], axis=0)])
