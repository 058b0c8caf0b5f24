# SPDX-License-Identifier: Apache-2.0
"""Answers on the photographs of the live page: which voxel each pixel shows, found once a frame."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int32, Int64, UInt8

from langocc.geometry.grid import VoxelGrid
from langocc.scenes.frame import Frame
from langocc.view.faces import Eye
from langocc.view.live_colours import Painted
from langocc.view.pictures import eye_of, photograph

WIDTH_PX = 400
"""Of the photographs on the page."""

_COARSE = 2
"""A voxel is looked up for every so many pixels along and down."""

_FARTHEST_M = 60.0


@dataclass(frozen=True)
class Seen:
    """The photographs of a frame and the voxels before them.

    Attributes:
        photographs: By camera.
        greyed: The same with half the colour, to be painted over.
        voxels: Row of the first visible voxel that each coarse pixel shows; -1: none.
    """

    photographs: Mapping[str, UInt8[np.ndarray, "height width 3"]]
    greyed: Mapping[str, UInt8[np.ndarray, "height width 3"]]
    voxels: Mapping[str, Int32[np.ndarray, "rows columns"]]

    def heated(self, painted: Painted) -> dict[str, UInt8[np.ndarray, "height width 3"]]:
        """Greyed photographs with the answer over them; what is cold stays a photograph."""
        cover = np.where(painted.strength > 0, 77 + 153 * painted.strength, 0).astype(np.int32)
        cover = np.append(cover, 0)  # of pixels that show no voxel: their number is -1
        paint = painted.colours.astype(np.int32) * cover[:-1, None]
        heated = {}
        for name, plain in self.greyed.items():
            voxel = self.voxels[name].repeat(_COARSE, axis=0).repeat(_COARSE, axis=1)
            voxel = voxel[: plain.shape[0], : plain.shape[1]]
            row, column = np.nonzero(cover[voxel])
            hot = voxel[row, column]
            picture = plain.copy()
            below = picture[row, column] * (256 - cover[hot, None])
            picture[row, column] = (below + paint[hot]) >> 8
            heated[name] = picture
        return heated


def seen(frame: Frame, index: Int64[np.ndarray, "voxel 3"], grid: VoxelGrid) -> Seen:
    """What the cameras of a frame see of some voxels.

    Args:
        frame: The frame.
        index: Cells of the visible voxels.
        grid: Whose cells.

    Raises:
        DataError: an image is missing or damaged.
    """
    numbers = np.full(grid.shape, -1, np.int32)
    numbers[tuple(index.T)] = np.arange(len(index), dtype=np.int32)
    photographs, voxels = {}, {}
    for name, camera in frame.cameras.items():
        photographs[name] = np.asarray(photograph(camera, WIDTH_PX))
        voxels[name] = first_voxels(eye_of(frame, name, WIDTH_PX), numbers, grid)
    greyed = {name: _greyed(picture) for name, picture in photographs.items()}
    return Seen(photographs, greyed, voxels)


def first_voxels(
    eye: Eye, numbers: Int32[np.ndarray, "x y z"], grid: VoxelGrid
) -> Int32[np.ndarray, "rows columns"]:
    """Number of the first numbered cell along the ray of every coarse pixel; -1 where none is.

    Rays are followed in steps of half a cell's shortest edge, so a corner that is cut by less
    may be missed.
    """
    down, across = np.meshgrid(
        np.arange(0, eye.height, _COARSE) + _COARSE / 2,
        np.arange(0, eye.width, _COARSE) + _COARSE / 2,
        indexing="ij",
    )
    (fx, _, cx), (_, fy, cy), _ = eye.intrinsics
    rays = np.stack([(across - cx) / fx, (down - cy) / fy, np.ones_like(down)], axis=-1)
    rays = (rays / np.linalg.norm(rays, axis=-1, keepdims=True)) @ eye.cam_from_ego[:3, :3]
    edges_m = np.asarray(grid.edges_m)
    half = 0.5 * edges_m.min() / edges_m  # of the shortest edge, in cells
    step = (half * rays.reshape(-1, 3)).astype(np.float32)
    start = ((eye.position_m - np.asarray(grid.lower_m)) / edges_m).astype(np.float32)
    found = np.full(len(step), -1, np.int32)
    going = np.arange(len(step))
    place = start + step
    shape = np.array(grid.shape)
    for _ in range(int(_FARTHEST_M / edges_m.min() * 2)):
        if not len(going):
            break
        cell = np.floor(place).astype(np.int32)
        is_inside = _inside(cell, shape)
        x, y, z = np.where(is_inside[:, None], cell, 0).T
        number = np.where(is_inside, numbers[x, y, z], -1)
        found[going] = number
        is_leaving = ~is_inside & _is_past(place, step, shape)
        stays = (number < 0) & ~is_leaving
        going, place, step = going[stays], place[stays] + step[stays], step[stays]
    return found.reshape(down.shape)


def _inside(cell: Int32[np.ndarray, "ray 3"], shape: np.ndarray) -> Bool[np.ndarray, " ray"]:
    return np.asarray(((cell >= 0) & (cell < shape)).all(axis=1))


def _is_past(place: np.ndarray, step: np.ndarray, shape: np.ndarray) -> Bool[np.ndarray, " ray"]:
    """Outside along an axis, and on the way further out."""
    is_beyond = ((place < 0) & (step <= 0)) | ((place >= shape) & (step >= 0))
    return np.asarray(is_beyond.any(axis=1))


def _greyed(picture: UInt8[np.ndarray, "height width 3"]) -> UInt8[np.ndarray, "height width 3"]:
    """Half as colourful."""
    grey = picture.mean(axis=2, keepdims=True)
    return ((picture + grey) / 2).astype(np.uint8)
