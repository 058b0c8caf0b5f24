# SPDX-License-Identifier: Apache-2.0
"""The map of a scene seen from above: white where the vehicle could drive or people walk."""

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw

from langocc.geometry.rigid import Transform, rigid
from langocc.scenes.city.world import World

PIXELS_PER_M = 10
"""The devkit's resolution."""

_MARGIN_M = 100.0
_WALKED_OR_DRIVEN = ("flat.driveable_surface", "flat.sidewalk")


def global_from_world(world: World) -> Transform:
    """Moves a scene so that the map around its drive begins at (0, 0), by whole metres."""
    lowest = _drive(world).min(axis=0)
    return rigid(np.eye(3), [*np.ceil(_MARGIN_M - lowest[:2]), 0.0])


def map_picture(world: World) -> UInt8[np.ndarray, "row column"]:
    """The map: 255 on driveable surface and sidewalks, else 0; y of the global frame upwards."""
    offset = global_from_world(world)[:2, 3]
    width_m, height_m = np.ceil(_drive(world).max(axis=0)[:2] + offset + _MARGIN_M)
    size = (int(width_m * PIXELS_PER_M), int(height_m * PIXELS_PER_M))
    picture = Image.new("L", size)
    draw = ImageDraw.Draw(picture)
    walked = np.array([t.category in _WALKED_OR_DRIVEN for t in world.things])
    faces = world.static.faces[walked[world.static.thing]]
    corners = (world.static.vertices[faces][..., :2] + offset) * PIXELS_PER_M
    corners[..., 1] = size[1] - corners[..., 1]
    touching = np.all((corners.max(axis=1) >= 0) & (corners.min(axis=1) <= size), axis=1)
    for triangle in corners[touching].reshape(-1, 6).tolist():
        draw.polygon(triangle, fill=255)
    return np.asarray(picture)


def _drive(world: World) -> np.ndarray:
    """Positions along the drive, metres."""
    times_s = np.linspace(0, world.duration_s, 64)
    return np.stack([world.world_from_ego(t)[:3, 3] for t in times_s])
