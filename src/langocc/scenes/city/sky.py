# SPDX-License-Identifier: Apache-2.0
"""Light from above: the sky by direction, the sun's colour, what the sky sheds on a surface."""

from dataclasses import dataclass
from functools import cache

import numpy as np
from jaxtyping import Float32

from langocc.scenes.city.materials.patterns import TEXELS, noise
from langocc.scenes.city.world import World

_CLOUD_SCALE = 60.0
_SUN_RADIUS_COS = 0.99985


@dataclass(frozen=True)
class Sky:
    """The colours of a scene's light (linear RGB) and where its sun stands."""

    sun_direction: Float32[np.ndarray, " 3"]
    sun: Float32[np.ndarray, " 3"]
    zenith: Float32[np.ndarray, " 3"]
    horizon: Float32[np.ndarray, " 3"]
    ground: Float32[np.ndarray, " 3"]
    cloud: Float32[np.ndarray, " 3"]
    cloud_cover: float
    seed: int

    @classmethod
    def of(cls, world: World) -> "Sky":
        """The sky of a world."""
        air = world.atmosphere
        warm, closed = air.warmth, max(0.0, air.cloud_cover - 0.6) / 0.4
        grey = np.array([0.62, 0.65, 0.70])
        zenith = np.array([0.16, 0.33, 0.72]) * (1 - 0.35 * warm)
        horizon = np.array([0.66, 0.76, 0.90]) * (1 - warm) + np.array([0.95, 0.70, 0.48]) * warm
        sun = air.sun * (np.array([1.0, 0.95, 0.86]) * (1 - warm) + np.array([1, 0.68, 0.4]) * warm)
        return cls(
            sun_direction=_single(world.sun_direction),
            sun=_single(sun),
            zenith=_single(zenith + closed * (0.9 * grey - zenith)),
            horizon=_single(horizon + closed * (grey - horizon)),
            ground=_single(0.10 * np.ones(3) + 0.05 * sun * max(world.sun_direction[2], 0.1)),
            cloud=_single((0.75 + 0.1 * air.sun * (1 - closed)) * np.array([1.0, 0.99, 0.97])),
            cloud_cover=air.cloud_cover,
            seed=air.seed,
        )

    def gradient(self, directions: Float32[np.ndarray, "ray 3"]) -> Float32[np.ndarray, "ray 3"]:
        """The clear sky along unit directions; below the horizon, light from the ground."""
        up = directions[:, 2]
        weight = np.sqrt(np.clip(up, 0, 1))[:, None]
        colour = self.horizon + weight * (self.zenith - self.horizon)
        towards = np.clip(directions @ self.sun_direction, 0, 1)
        colour += (0.10 * towards**8 + 0.3 * towards**64)[:, None] * self.sun
        below = np.clip(-up * 12, 0, 1)[:, None]
        colour += below * (self.ground * 0.8 - colour)
        return colour

    def radiance(self, directions: Float32[np.ndarray, "ray 3"]) -> Float32[np.ndarray, "ray 3"]:
        """The sky as a camera sees it: gradient, clouds, the sun's disc."""
        colour = self.gradient(directions)
        up = np.maximum(directions[:, 2], 0)
        plane = directions[:, :2] * (_CLOUD_SCALE / (up + 0.12))[:, None]
        texel = np.floor(plane).astype(np.int32)
        part = plane - texel
        field, (column, row) = _clouds(self.seed), texel.T
        density = np.zeros(len(up), np.float32)
        for dx in (0, 1):
            for dy in (0, 1):
                weight = np.abs(1 - dx - part[:, 0]) * np.abs(1 - dy - part[:, 1])
                density += weight * field[(row + dy) % TEXELS, (column + dx) % TEXELS]
        cover = np.clip((density - 1.3 + 2.6 * self.cloud_cover) * 0.9, 0, 1)
        cover = (cover * cover * (3 - 2 * cover) * np.clip(up * 8, 0, 1))[:, None]
        lit = self.cloud * (1 - 0.28 * np.clip(density - 0.4, 0, 1.5))[:, None]
        colour += 0.9 * cover * (lit - colour)
        disc = (directions @ self.sun_direction > _SUN_RADIUS_COS)[:, None] * (1 - cover)
        return colour + disc * 8 * self.sun

    def ambient(self, normal_up: Float32[np.ndarray, " ray"]) -> Float32[np.ndarray, "ray 3"]:
        """What sky and ground shed on surfaces, by the upward part of their unit normal."""
        above = 0.55 * self.zenith + 0.45 * self.horizon
        above = above + 0.25 * self.cloud_cover * (self.cloud - above)
        weight = (0.5 + 0.5 * normal_up)[:, None]
        return self.ground + weight * (above - self.ground)


@cache
def _clouds(seed: int) -> Float32[np.ndarray, "row column"]:
    """Cloud density over the plane, standard normal."""
    generator = np.random.default_rng([11, seed])
    return noise(generator, 1.9).astype(np.float32)


def _single(values: np.ndarray) -> Float32[np.ndarray, " 3"]:
    return np.asarray(values, np.float32)
