# SPDX-License-Identifier: Apache-2.0
"""Points spread evenly over a scene's surfaces: the exact stand-in for Occ3D's accumulated sweeps.

Made once per scene and sorted by class, so that a key frame only has to move them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import trimesh
from jaxtyping import Bool, Float32, Float64, Int64, UInt8
from scipy.spatial import KDTree

from langocc.geometry.rigid import Transform
from langocc.scenes.city.categories import CATEGORY
from langocc.scenes.city.world import Mesh, World
from langocc.scenes.occ3d import OCC3D_CLASSES

SPACING_M = 0.13
"""Between points: three a voxel's edge (0.4 m), so that no surface slips through."""

_LONGEST_EDGE_M = 8.0
_BELOW_M, _ABOVE_M = 3.0, 7.5  # the grid's 1 m and 5.4 m, and hills
_COLUMN_M = 0.2
_LAYER_M = 0.5
_GROUND_IDS = [
    OCC3D_CLASSES.index(name) for name in ("driveable_surface", "other_flat", "sidewalk", "terrain")
]


@dataclass(frozen=True)
class SurfacePoints:
    """Points and the Occ3D class of each."""

    points: Float32[np.ndarray, "point 3"]
    occ3d_id: UInt8[np.ndarray, " point"]

    def moved(self, b_from_a: Transform) -> "SurfacePoints":
        """The same points in another frame."""
        points = self.points @ b_from_a[:3, :3].T.astype(np.float32)
        return SurfacePoints(points + b_from_a[:3, 3].astype(np.float32), self.occ3d_id)


def occ3d_ids(world: World) -> UInt8[np.ndarray, " thing"]:
    """Occ3D class of each thing of the world."""
    return np.array([CATEGORY[t.category].occ3d_id for t in world.things], dtype=np.uint8)


def sample_surfaces(mesh: Mesh, thing_occ3d_id: UInt8[np.ndarray, " thing"]) -> SurfacePoints:
    """Points `SPACING_M` apart or less, at least one per face, in the mesh's frame."""
    return _sample(mesh.vertices[mesh.faces], thing_occ3d_id[mesh.thing])


def sample_near(
    mesh: Mesh,
    thing_occ3d_id: UInt8[np.ndarray, " thing"],
    drive_m: Float64[np.ndarray, "position 3"],
    reach_m: float,
) -> SurfacePoints:
    """As `sample_surfaces`, of what label grids can meet.

    Args:
        mesh: In the world frame.
        thing_occ3d_id: Occ3D class of each thing.
        drive_m: Positions of the vehicle, metres.
        reach_m: Farthest horizontal distance of interest from one of them, metres.
    """
    corners, occ3d_id = mesh.vertices[mesh.faces], thing_occ3d_id[mesh.thing]
    low, high = drive_m[:, 2].min() - _BELOW_M, drive_m[:, 2].max() + _ABOVE_M
    tree = KDTree(drive_m[:, :2])

    def near(corners: Float64[np.ndarray, "face 3 3"]) -> Bool[np.ndarray, " face"]:
        middle = corners[..., :2].mean(axis=1)
        radius_m = np.linalg.norm(corners[..., :2] - middle[:, None], axis=2).max(axis=1)
        distance_m = tree.query(middle)[0]
        z = corners[..., 2]
        level = (z.max(axis=1) > low) & (z.min(axis=1) < high)
        return level & (distance_m < reach_m + radius_m)

    kept = near(corners)
    corners, occ3d_id = corners[kept], occ3d_id[kept]
    edge_m = np.linalg.norm(corners - np.roll(corners, 1, axis=1), axis=2).max(axis=1)
    is_long = edge_m > _LONGEST_EDGE_M  # cut them, or a road would be sampled to its far end
    pieces, source = _cut(corners[is_long])
    inside = near(pieces)
    corners = np.concatenate([corners[~is_long], pieces[inside]])
    occ3d_id = np.concatenate([occ3d_id[~is_long], occ3d_id[is_long][source[inside]]])
    surfaces = _sample(corners, occ3d_id)
    level = (surfaces.points[:, 2] > low) & (surfaces.points[:, 2] < high)
    return SurfacePoints(surfaces.points[level], surfaces.occ3d_id[level])


def _cut(
    corners: Float64[np.ndarray, "face 3 3"],
) -> tuple[Float64[np.ndarray, "piece 3 3"], Int64[np.ndarray, " piece"]]:
    """Long faces in pieces, and the face each piece is of."""
    vertices, faces = corners.reshape(-1, 3), np.arange(3 * len(corners)).reshape(-1, 3)
    cut = trimesh.remesh.subdivide_to_size(
        vertices, faces, _LONGEST_EDGE_M, max_iter=16, return_index=True
    )
    return cut[0][cut[1]], cut[-1].astype(np.int64)


def _sample(
    corners: Float64[np.ndarray, "face 3 3"], occ3d_id: UInt8[np.ndarray, " face"]
) -> SurfacePoints:
    """Points on triangles, sorted by class: rows along one edge, beside another."""
    order = np.argsort(occ3d_id, kind="stable")
    corners, occ3d_id = corners[order], occ3d_id[order]
    # Rows start at the widest corner, where edges are nearest to a right angle.
    sides = np.linalg.norm(np.roll(corners, -1, axis=1) - np.roll(corners, 1, axis=1), axis=2)
    turned = (sides.argmax(axis=1)[:, None] + np.arange(3)) % 3
    corners = np.take_along_axis(corners, turned[:, :, None], axis=1)
    edge_a, edge_b = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    face, a = _spread(np.ones(len(corners)), np.linalg.norm(edge_a, axis=1))
    length_b_m = np.linalg.norm(edge_b, axis=1)[face] * (1 - a)
    row, b = _spread(1 - a, length_b_m)
    face, a = face[row], a[row]
    points = corners[face, 0] + a[:, None] * edge_a[face] + b[:, None] * edge_b[face]
    return SurfacePoints(points.astype(np.float32), occ3d_id[face])


def _spread(
    extent: Float64[np.ndarray, " line"], length_m: Float64[np.ndarray, " line"]
) -> tuple[Int64[np.ndarray, " point"], Float64[np.ndarray, " point"]]:
    """Places on lines, `SPACING_M` apart or less: index of the line, position in 0..extent."""
    count = np.maximum(np.ceil(length_m / SPACING_M), 1).astype(np.int64)
    line = np.repeat(np.arange(len(count)), count)
    first = np.cumsum(count) - count
    place = np.arange(len(line)) - first[line]
    return line, (place + 0.5) / count[line] * extent[line]


def uncovered(surfaces: SurfacePoints) -> SurfacePoints:
    """Without ground that lies just under other ground, such as the land below a sidewalk.

    In each upright column of 0.2 m only the class of the highest ground stays, down to 0.5 m below;
    nothing could ever see the rest, but it would have its say in what a voxel is.
    """
    ground = np.flatnonzero(np.isin(surfaces.occ3d_id, _GROUND_IDS))
    z, occ3d_id = surfaces.points[ground, 2], surfaces.occ3d_id[ground]
    column = np.floor(surfaces.points[ground, :2] / _COLUMN_M).astype(np.int64)
    column -= column.min(axis=0, initial=0)
    column = column[:, 0] * (column[:, 1].max(initial=0) + 1) + column[:, 1]
    highest = np.full(column.max(initial=0) + 1, -np.inf, dtype=np.float32)
    np.maximum.at(highest, column, z)
    class_on_top = np.zeros(len(highest), dtype=np.uint8)
    on_top = z == highest[column]
    class_on_top[column[on_top]] = occ3d_id[on_top]
    is_covered = (occ3d_id != class_on_top[column]) & (z > highest[column] - _LAYER_M)
    kept = np.ones(len(surfaces.points), dtype=bool)
    kept[ground[is_covered]] = False
    return SurfacePoints(surfaces.points[kept], surfaces.occ3d_id[kept])


def joined(parts: Sequence[SurfacePoints]) -> SurfacePoints:
    """All points of the parts, sorted by class."""
    points = np.concatenate([part.points for part in parts])
    occ3d_id = np.concatenate([part.occ3d_id for part in parts])
    order = np.argsort(occ3d_id, kind="stable")
    return SurfacePoints(points[order], occ3d_id[order])
