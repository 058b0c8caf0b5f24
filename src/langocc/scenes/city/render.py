# SPDX-License-Identifier: Apache-2.0
"""A pinhole camera's picture of the city, with what each pixel shows and how far away it is."""

from dataclasses import dataclass
from functools import cache

import numpy as np
from jaxtyping import Float32, Int32, UInt8
from scipy.ndimage import uniform_filter

from langocc.geometry.rigid import Matrix3, Transform
from langocc.scenes.city.casting import Caster, Hits
from langocc.scenes.city.shading import openness_at, shade
from langocc.scenes.city.sky import Sky

_TONES = 4096
_BRIGHTEST = 16.0
_SUBPIXELS = ((-0.31, -0.12), (0.12, -0.31), (0.31, 0.12), (-0.12, 0.31))


@dataclass(frozen=True)
class RenderedImage:
    """A picture.

    Attributes:
        rgb: sRGB.
        thing: Index into `World.things` at the pixel's centre; -1 where the sky shows.
        depth_m: Distance along the optical axis; inf where the sky shows.
    """

    rgb: UInt8[np.ndarray, "height width 3"]
    thing: Int32[np.ndarray, "height width"]
    depth_m: Float32[np.ndarray, "height width"]


def render_camera(
    caster: Caster,
    intrinsics: Matrix3,
    width: int,
    height: int,
    world_from_cam: Transform,
    time_s: float,
    smooth_edges: bool = True,
) -> RenderedImage:
    """Renders a camera's picture at a time.

    Args:
        caster: The world.
        intrinsics: Pinhole matrix in pixels; pixel (column, row) spans column..column + 1, so its
            centre is at column + 0.5.
        width: Pixels across.
        height: Pixels down.
        world_from_cam: Camera pose; camera axes x right, y down, z forward.
        time_s: Time of the exposure.
        smooth_edges: Average four rays in pixels on the edges of things.
    """
    view = _View(caster, Sky.of(caster.world), intrinsics, world_from_cam, time_s)
    column, row = (grid.ravel() for grid in np.meshgrid(*(_centres(n) for n in (width, height))))
    directions, forward = view.directions(column, row)
    hits = view.cast(directions)
    thing, distance = (v.reshape(height, width) for v in (hits.thing, hits.distance_m))
    openness = _openness(view, hits, (height, width))
    colour = view.colours(directions, hits, openness)
    if smooth_edges:
        edge = np.flatnonzero(_edges(thing, distance))
        colour[edge] = _averaged(view, column[edge], row[edge], openness[edge])
    return RenderedImage(
        rgb=_developed(colour, caster.world.atmosphere.exposure).reshape(height, width, 3),
        thing=thing,
        depth_m=distance * forward.reshape(height, width),
    )


@dataclass(frozen=True)
class _View:
    """A camera at a moment."""

    caster: Caster
    sky: Sky
    intrinsics: Matrix3
    world_from_cam: Transform
    time_s: float

    def directions(self, column: np.ndarray, row: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Unit directions in the world through image positions; cosine to the optical axis."""
        in_cam = np.stack([column, row, np.ones_like(column)], axis=1)
        in_cam = in_cam @ np.linalg.inv(self.intrinsics).T.astype(np.float32)
        forward = 1 / np.sqrt(np.einsum("ij,ij->i", in_cam, in_cam))
        rotation = self.world_from_cam[:3, :3].T.astype(np.float32)
        return (in_cam * forward[:, None]) @ rotation, forward

    def cast(self, directions: np.ndarray) -> Hits:
        """What the camera sees in these directions."""
        eye = self.world_from_cam[:3, 3].astype(np.float32)
        return self.caster.cast(np.broadcast_to(eye, directions.shape), directions, self.time_s)

    def colours(self, directions: np.ndarray, hits: Hits, openness: np.ndarray) -> np.ndarray:
        """Linear RGB."""
        is_sky = hits.thing < 0
        colour = np.empty_like(directions)
        colour[is_sky] = self.sky.radiance(directions[is_sky])
        met = np.flatnonzero(~is_sky)
        pixel_rad = float(1 / self.intrinsics[0, 0])
        colour[met] = shade(
            self.caster,
            self.sky,
            hits.only(met),
            directions[met],
            openness[met],
            pixel_rad,
            self.time_s,
        )
        return colour


def _centres(count: int) -> np.ndarray:
    return np.arange(count, dtype=np.float32) + 0.5


def _openness(view: _View, hits: Hits, shape: tuple[int, int]) -> np.ndarray:
    """Share of skylight at every pixel: one ray per 2 x 2 pixels, averaged over 4 x 4 of those.

    The sixteen directions of `openness_at` take turns, so that each average holds them all.
    """
    height, width = shape
    row, column = np.meshgrid(np.arange(0, height, 2), np.arange(0, width, 2), indexing="ij")
    chosen = (row * width + column).ravel()
    turn = ((row // 2) % 4 * 4 + (column // 2) % 4).ravel()
    met = np.flatnonzero(hits.thing[chosen] >= 0)
    is_open = np.ones(len(chosen), np.float32)
    is_open[met] = openness_at(view.caster, hits.only(chosen[met]), turn[met], view.time_s)
    mean = uniform_filter(is_open.reshape(row.shape), 4, mode="nearest")
    full = np.repeat(np.repeat(mean, 2, axis=0), 2, axis=1)[:height, :width]
    return (0.25 + 0.75 * full).ravel()


def _averaged(view: _View, column: np.ndarray, row: np.ndarray, openness: np.ndarray) -> np.ndarray:
    """Mean colour of four rays through each pixel."""
    total = np.zeros((len(column), 3), np.float32)
    for right, down in _SUBPIXELS:
        beside, _ = view.directions(column + np.float32(right), row + np.float32(down))
        total += np.minimum(view.colours(beside, view.cast(beside), openness), 4.0)
    return total / len(_SUBPIXELS)


def _edges(thing: np.ndarray, distance: np.ndarray) -> np.ndarray:
    """Pixels where a neighbour shows another thing or is much nearer or farther."""
    inverse = 1 / distance
    edge = np.zeros(thing.shape, bool)
    for axis in (0, 1):
        before = [slice(None)] * 2
        after = [slice(None)] * 2
        before[axis], after[axis] = slice(None, -1), slice(1, None)
        a, b = tuple(before), tuple(after)
        differs = thing[a] != thing[b]
        differs |= np.abs(inverse[a] - inverse[b]) > 0.04 * np.maximum(inverse[a], inverse[b])
        edge[a] |= differs
        edge[b] |= differs
    return edge


@cache
def _tone_curve() -> np.ndarray:
    """Display value by the square root of linear light: a film-like shoulder, then sRGB."""
    x = (np.arange(_TONES) / (_TONES - 1)) ** 2 * _BRIGHTEST
    film = x * (2.51 * x + 0.03) / (x * (2.43 * x + 0.59) + 0.14)
    film = np.clip(film, 0, 1)
    srgb = np.where(film <= 0.0031308, 12.92 * film, 1.055 * film ** (1 / 2.4) - 0.055)
    return (255 * srgb + 0.5).astype(np.uint8)


def _developed(colour: np.ndarray, exposure: float) -> np.ndarray:
    """Display bytes (sRGB) of linear light."""
    level = np.sqrt(np.clip(colour * np.float32(0.62 * exposure / _BRIGHTEST), 0, 1))
    return _tone_curve()[(level * (_TONES - 1)).astype(np.int32)]
