# SPDX-License-Identifier: Apache-2.0
"""Voxels as cubes on a flat canvas: visible faces, drawn from far to near.

Cells of a grid have an exact order: whatever the eye, a cell further along x (then y, then z) never
covers a nearer one, so no depth buffer is needed.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int64, UInt8
from PIL import Image, ImageDraw

from langocc.geometry.grid import VoxelGrid

NEAR_M = 0.4
"""Faces with a corner nearer than this to the image plane are left out, metres."""

_LIGHT = {(0, 1): 0.86, (0, -1): 0.74, (1, 1): 0.68, (1, -1): 0.62, (2, 1): 1.0, (2, -1): 0.5}
"""Brightness of a face by axis and side: light from above and a little from ahead."""

_EDGE = 0.82
"""Brightness of a face's outline over the face's own."""


@dataclass(frozen=True)
class Eye:
    """A pinhole camera.

    Attributes:
        cam_from_ego: Camera axes x right, y down, z forward; metres.
        intrinsics: Pixels.
        width: Pixels.
        height: Pixels.
    """

    cam_from_ego: Float64[np.ndarray, "4 4"]
    intrinsics: Float64[np.ndarray, "3 3"]
    width: int
    height: int

    @property
    def position_m(self) -> Float64[np.ndarray, " 3"]:
        """Where it is, ego frame."""
        return -self.cam_from_ego[:3, :3].T @ self.cam_from_ego[:3, 3]


def look_at(
    position_m: tuple[float, float, float],
    target_m: tuple[float, float, float],
    size: tuple[int, int],
    field_of_view_deg: float,
) -> Eye:
    """An eye at a place of the ego frame that looks at another; z is up in the picture.

    Args:
        position_m: Where the eye is.
        target_m: What is in the middle of the picture.
        size: Width and height, pixels.
        field_of_view_deg: Across the width.
    """
    forward = np.asarray(target_m, float) - position_m
    forward /= np.linalg.norm(forward)
    right = np.cross(forward, [0.0, 0.0, 1.0])
    right /= np.linalg.norm(right)
    rotation = np.stack([right, np.cross(forward, right), forward])
    cam_from_ego = np.eye(4)
    cam_from_ego[:3, :3] = rotation
    cam_from_ego[:3, 3] = -rotation @ np.asarray(position_m, float)
    width, height = size
    focal = width / 2 / np.tan(np.radians(field_of_view_deg) / 2)
    intrinsics = np.array([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1.0]])
    return Eye(cam_from_ego, intrinsics, width, height)


def draw_voxels(
    image: Image.Image,
    eye: Eye,
    grid: VoxelGrid,
    is_shown: Bool[np.ndarray, "x y z"],
    colours: UInt8[np.ndarray, "x y z 3"],
    alpha: int = 255,
    smooth: int = 2,
    max_distance_m: float = np.inf,
    is_lit: bool = True,
) -> Image.Image:
    """The picture with voxels drawn over it.

    Args:
        image: Background, of the eye's size.
        eye: From where.
        grid: Where the voxels are.
        is_shown: Voxels to draw; they also hide what is behind them.
        colours: Their colours.
        alpha: 255 covers the background; less lets it shine through.
        smooth: Drawn this many times larger and shrunk.
        max_distance_m: Voxels further from the eye are left out.
        is_lit: Faces are shaded and outlined; otherwise colours stay exactly as they are.
    """
    quads, paint = _visible_quads(eye, grid, is_shown, colours, max_distance_m, is_lit)
    size = (eye.width * smooth, eye.height * smooth)
    canvas = Image.new("RGBA", size)
    pen = ImageDraw.Draw(canvas)
    large = (np.ptp(quads, axis=1).max(axis=1) * smooth > 5) & is_lit
    points = (quads * smooth).reshape(len(quads), 8).tolist()
    edges = (paint * _EDGE).astype(np.uint8).tolist()
    for corners, fill, edge, has_edge in zip(points, paint.tolist(), edges, large, strict=True):
        outline = (*edge, 255) if has_edge else (*fill, 255)
        pen.polygon(corners, fill=(*fill, 255), outline=outline)
    layer = canvas.resize((eye.width, eye.height), Image.Resampling.BOX)
    if alpha < 255:
        cover = np.asarray(layer.getchannel("A")) * (alpha / 255)
        layer.putalpha(Image.fromarray(cover.astype(np.uint8)))
    return Image.alpha_composite(image.convert("RGBA"), layer).convert("RGB")


def _visible_quads(
    eye: Eye,
    grid: VoxelGrid,
    is_shown: Bool[np.ndarray, "x y z"],
    colours: UInt8[np.ndarray, "x y z 3"],
    max_distance_m: float,
    is_lit: bool,
) -> tuple[Float64[np.ndarray, "quad 4 2"], UInt8[np.ndarray, "quad 3"]]:
    """Corners in pixels and colours of faces, from far to near."""
    at = (eye.position_m - np.asarray(grid.lower_m)) / grid.edges_m  # in cells
    padded = np.pad(is_shown, 1)
    open_sky = 1.0 - 0.06 * _taller_neighbours(padded)
    cells, corners, paint = [], [], []
    for (axis, side), light in _LIGHT.items():
        neighbour = np.roll(padded, -side, axis)[1:-1, 1:-1, 1:-1]
        found = np.argwhere(is_shown & ~neighbour)
        plane = found[:, axis] + (side > 0)
        found = found[side * (at[axis] - plane) > 0]
        x, y, z = found.T
        cells.append(found)
        corners.append(_corners(found, axis, side))
        shade = light * (open_sky[x, y, z] if (axis, side) == (2, 1) else 1.0) if is_lit else 1.0
        paint.append((colours[x, y, z] * np.reshape(shade, (-1, 1))).astype(np.uint8))
    cell, corner, colour = (np.concatenate(parts) for parts in (cells, corners, paint))
    pixels, depth_m, distance_m = _project(eye, grid, corner)
    keep = (depth_m.min(axis=1) > NEAR_M) & (distance_m < max_distance_m)
    keep &= (pixels.max(axis=1) > 0).all(axis=1)
    keep &= (pixels.min(axis=1) < (eye.width, eye.height)).all(axis=1)
    far = np.abs(cell[keep] + 0.5 - at)
    order = np.lexsort((-far[:, 2], -far[:, 1], -far[:, 0]))
    return pixels[keep][order], colour[keep][order]


def _taller_neighbours(padded: Bool[np.ndarray, "..."]) -> Int64[np.ndarray, "x y z"]:
    """How many of the eight cells around the one above are occupied: it stands in their shade."""
    above = np.roll(padded, -1, axis=2).astype(np.int64)
    around = sum(np.roll(above, (dx, dy), axis=(0, 1)) for dx in (-1, 0, 1) for dy in (-1, 0, 1))
    return np.asarray(around)[1:-1, 1:-1, 1:-1]


def _corners(
    cells: Int64[np.ndarray, "quad 3"], axis: int, side: int
) -> Float64[np.ndarray, "quad 4 3"]:
    """Corners of one face of each cell, in cells, around the face."""
    first, second = (a for a in range(3) if a != axis)
    steps = np.zeros((4, 3))
    steps[:, axis] = side > 0
    steps[[1, 2], first] = 1
    steps[[2, 3], second] = 1
    return cells[:, None] + steps


def _project(
    eye: Eye, grid: VoxelGrid, corners: Float64[np.ndarray, "quad 4 3"]
) -> tuple[
    Float64[np.ndarray, "quad 4 2"], Float64[np.ndarray, "quad 4"], Float64[np.ndarray, " quad"]
]:
    """Pixels, depths and distance of the first corner, metres."""
    points = corners * grid.edges_m + np.asarray(grid.lower_m)
    cam = points @ eye.cam_from_ego[:3, :3].T + eye.cam_from_ego[:3, 3]
    depth_m = cam[..., 2]
    pixels = cam @ eye.intrinsics.T
    pixels = pixels[..., :2] / np.maximum(depth_m, 1e-6)[..., None]
    return pixels, depth_m, np.linalg.norm(cam[:, 0], axis=1)
