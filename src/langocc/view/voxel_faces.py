# SPDX-License-Identifier: Apache-2.0
"""Voxels as cubes in files: which faces are open, and PLY meshes of them."""

from pathlib import Path

import numpy as np
from jaxtyping import Bool, UInt8

from langocc.files import replacing
from langocc.geometry.grid import VoxelGrid

SIDES = ((0, 1), (0, -1), (1, 1), (1, -1), (2, 1), (2, -1))
"""Axis and direction of a cube's faces, in the order of the bits of `open_faces`."""


def open_faces(is_occupied: Bool[np.ndarray, "x y z"]) -> UInt8[np.ndarray, "x y z"]:
    """Bit i of a voxel: it is occupied and nothing is behind its face `SIDES[i]`.

    Outside the grid is free.
    """
    padded = np.pad(is_occupied, 1)
    bits = np.zeros(is_occupied.shape, np.uint8)
    for bit, (axis, side) in enumerate(SIDES):
        is_free = ~np.roll(padded, -side, axis)[1:-1, 1:-1, 1:-1]
        bits |= (is_occupied & is_free).astype(np.uint8) << bit
    return bits


def write_ply(
    path: Path,
    is_occupied: Bool[np.ndarray, "x y z"],
    colours: UInt8[np.ndarray, "x y z 3"],
    grid: VoxelGrid,
) -> None:
    """Writes the open faces of voxels as a coloured mesh, binary little endian PLY.

    Vertices are in the ego frame, metres; each face has four of its own, so that colours meet
    sharply. Normals point outwards.

    Args:
        path: The file; whole or not there.
        is_occupied: Voxels to write; none gives a mesh without faces.
        colours: Their colours.
        grid: Where they are.

    Raises:
        OSError: the disk is full or the folder cannot be written.
    """
    import trimesh
    from trimesh.exchange.ply import export_ply

    bits = open_faces(is_occupied)
    corners, paint = [], []
    for bit, (axis, side) in enumerate(SIDES):
        cells = np.argwhere(bits >> bit & 1)
        corners.append(cells[:, None] + _quad(axis, side))
        paint.append(colours[tuple(cells.T)])
    quads = np.concatenate(corners) * grid.edges_m + np.asarray(grid.lower_m)
    first = np.arange(len(quads))[:, None, None] * 4
    halves = np.array([[0, 1, 2], [0, 2, 3]])
    mesh = trimesh.Trimesh(
        quads.reshape(-1, 3),
        (first + halves).reshape(-1, 3),
        vertex_colors=np.concatenate(paint).repeat(4, axis=0),
        process=False,
    )
    data = export_ply(mesh, encoding="binary", vertex_normal=False)
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def _quad(axis: int, side: int) -> np.ndarray:
    """Corners of a face of the unit cube, counter-clockwise as seen from outside."""
    first, second = (axis + 1) % 3, (axis + 2) % 3
    steps = np.zeros((4, 3))
    steps[:, axis] = side > 0
    steps[[1, 2], first] = 1
    steps[[2, 3], second] = 1
    return steps if side > 0 else steps[::-1]
