# SPDX-License-Identifier: Apache-2.0
"""Colour of what rays meet: texture, sun with cast shadows, skylight, mirrored sky, haze."""

from dataclasses import replace
from functools import cache

import numpy as np
from jaxtyping import Float32

from langocc.scenes.city.casting import Caster, Hits
from langocc.scenes.city.materials.textures import IS_LEAFY, sample
from langocc.scenes.city.sky import Sky

_LIFT_M = 0.004
_SHADOW_REACH_M = 160.0
_OPEN_REACH_M = 2.2
_LEAF_M = 0.09


def shade(
    caster: Caster,
    sky: Sky,
    hits: Hits,
    directions: Float32[np.ndarray, "ray 3"],
    openness: Float32[np.ndarray, " ray"],
    pixel_rad: float,
    time_s: float,
) -> Float32[np.ndarray, "ray 3"]:
    """Linear RGB of rays that hit something.

    Args:
        caster: For shadow rays.
        sky: The scene's light.
        hits: Hits only, no misses.
        directions: Unit directions of the rays.
        openness: Share of skylight that nothing nearby keeps away (`openness_at`).
        pixel_rad: Angle a pixel spans, which sets the texture's level of detail.
        time_s: Time of the exposure.
    """
    facing = np.maximum(-np.einsum("ij,ij->i", hits.normal, directions), 0.0)
    footprint_m = hits.distance_m * np.float32(pixel_rad) / np.sqrt(np.maximum(facing, 0.02))
    texel, tint, gloss = sample(hits.texture, hits.uv_m, footprint_m)
    albedo = texel * (1 + tint * (hits.albedo - 1))
    hits = _ruffled(hits)
    light = sky.ambient(hits.normal[:, 2]) * openness[:, None]
    sunlight = _sunlight(caster, sky, hits, time_s)
    light += sunlight[:, None] * sky.sun
    colour = albedo * light
    shiny = np.flatnonzero(gloss > 0.02)
    colour[shiny] = _mirrored(
        sky,
        colour[shiny],
        directions[shiny],
        hits.normal[shiny],
        gloss[shiny],
        sunlight[shiny] > 0,
    )
    return _hazed(caster, sky, colour, directions, hits.distance_m)


def openness_at(
    caster: Caster, hits: Hits, turn: np.ndarray, time_s: float
) -> Float32[np.ndarray, " ray"]:
    """0 where something lies within some two metres along one ray over the surface, else 1.

    Args:
        caster: The world.
        hits: Surface points.
        turn: Integers that choose the ray out of sixteen; their mean over all is the answer.
        time_s: Time of the exposure.
    """
    over = hits.normal * 1.05 + _directions()[turn % 16]
    over /= np.linalg.norm(over, axis=1, keepdims=True)
    origins = hits.point + hits.normal * (_LIFT_M + 5e-4 * hits.distance_m[:, None])
    reach = np.full(len(over), _OPEN_REACH_M, np.float32)
    return np.where(caster.occluded(origins, over, time_s, reach), np.float32(0), np.float32(1))


@cache
def _directions() -> np.ndarray:
    """Sixteen unit vectors spread over the sphere."""
    index = np.arange(16) + 0.5
    up, angle = 1 - 2 * index / 16, np.pi * (1 + 5**0.5) * index
    flat = np.sqrt(1 - up**2)
    order = np.random.default_rng(1).permutation(16)
    return np.stack([flat * np.cos(angle), flat * np.sin(angle), up], axis=1)[order].astype(
        np.float32
    )


@cache
def _tilts() -> np.ndarray:
    """Random vectors, by which leaves lean away from the surface they make up."""
    return np.random.default_rng(2).normal(0, 0.55, (4096, 3)).astype(np.float32)


def _ruffled(hits: Hits) -> Hits:
    """Leaning normals on foliage, so that it sparkles like leaves and not like cardboard."""
    leafy = np.flatnonzero(IS_LEAFY[hits.texture])
    if not len(leafy):
        return hits
    cell = np.floor(hits.uv_m[leafy] / np.float32(_LEAF_M)).astype(np.int32)
    lean = _tilts()[(cell[:, 0] * 73 + cell[:, 1] * 1291) & 4095]
    normal = hits.normal.copy()
    leaning = normal[leafy] + lean / (1 + 0.03 * hits.distance_m[leafy, None])
    normal[leafy] = leaning / np.linalg.norm(leaning, axis=1, keepdims=True)
    return replace(hits, normal=normal)


def _sunlight(caster: Caster, sky: Sky, hits: Hits, time_s: float) -> Float32[np.ndarray, " ray"]:
    """Cosine of the sun's incidence where the sun reaches, else 0."""
    if not sky.sun.any():
        return np.zeros(len(hits.thing), np.float32)
    cosine = np.maximum(hits.normal @ sky.sun_direction, 0)
    asked = np.flatnonzero((cosine > 0) & (hits.distance_m < _SHADOW_REACH_M))
    lift = _LIFT_M + 2e-4 * hits.distance_m[asked, None]
    origins = hits.point[asked] + hits.normal[asked] * lift
    to_sun = np.broadcast_to(sky.sun_direction, origins.shape)
    cosine[asked[caster.occluded(origins, to_sun, time_s)]] = 0
    return cosine


def _mirrored(
    sky: Sky,
    colour: np.ndarray,
    directions: np.ndarray,
    normal: np.ndarray,
    gloss: np.ndarray,
    is_lit: np.ndarray,
) -> Float32[np.ndarray, "ray 3"]:
    """Adds the mirrored sky and the sun's glint, stronger at grazing angles."""
    along = np.einsum("ij,ij->i", normal, directions)[:, None]
    bounced = directions - 2 * along * normal
    grazing = 1 - np.minimum(-along, 1)
    strength = gloss[:, None] * (1 + 2.2 * grazing**4)
    np.minimum(strength, 0.85, out=strength)
    glint = np.clip(bounced @ sky.sun_direction, 0, 1) ** 150 * is_lit
    sheen = sky.gradient(bounced)
    sheen *= (0.35 + 0.65 * np.clip(bounced[:, 2] * 4 + 0.2, 0, 1))[:, None]  # houses hide the rest
    return colour * (1 - strength) + strength * sheen + (gloss * glint * 6)[:, None] * sky.sun


def _hazed(
    caster: Caster, sky: Sky, colour: np.ndarray, directions: np.ndarray, distance_m: np.ndarray
) -> Float32[np.ndarray, "ray 3"]:
    """Fades colours into the horizon with distance."""
    kept = np.exp(-np.float32(caster.world.atmosphere.haze_per_m) * distance_m)[:, None]
    towards = np.clip(directions @ sky.sun_direction, 0, 1)[:, None]
    air = 0.85 * sky.horizon + (0.08 * towards**8) * sky.sun
    return colour * kept + air * (1 - kept)
