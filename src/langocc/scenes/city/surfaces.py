# SPDX-License-Identifier: Apache-2.0
"""Points spread evenly over a scene's surfaces: the exact stand-in for Occ3D's accumulated sweeps.

Made once per scene and sorted by class, so that a key frame only has to move them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import trimesh
from jaxtyping import Float32, Float64, Int64, UInt8
from scipy.spatial import KDTree

from langocc.geometry.rigid import Transform
from langocc.scenes.city.categories import CATEGORY
from langocc.scenes.city.world import Mesh, World

SPACING_M = 0.13
"""Between points: three a voxel's edge (0.4 m), so that no surface slips through."""

_LONGEST_EDGE_M = 8.0


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


def sample_surfaces(
    mesh: Mesh,
    thing_occ3d_id: UInt8[np.ndarray, " thing"],
    near_m: Float64[np.ndarray, "position 3"] | None = None,
    reach_m: float = 0.0,
) -> SurfacePoints:
    """Points `SPACING_M` apart or less, at least one per face, in the mesh's frame.

    Args:
        mesh: The surfaces.
        thing_occ3d_id: Occ3D class of each thing.
        near_m: Only surfaces near one of these positions (metres); None: all.
        reach_m: How near, metres.
    """
    corners, occ3d_id = mesh.vertices[mesh.faces], thing_occ3d_id[mesh.thing]
    if near_m is not None:  # long faces are cut, or a road would be sampled to its far end
        cut = trimesh.remesh.subdivide_to_size(
            mesh.vertices, mesh.faces, _LONGEST_EDGE_M, max_iter=16, return_index=True
        )
        corners, occ3d_id = cut[0][cut[1]], occ3d_id[cut[-1]]
        distance_m = KDTree(near_m).query(corners.mean(axis=1))[0]
        kept = distance_m < reach_m + _LONGEST_EDGE_M
        corners, occ3d_id = corners[kept], occ3d_id[kept]
    order = np.argsort(occ3d_id, kind="stable")
    return _sample(corners[order], occ3d_id[order])


def _sample(
    corners: Float64[np.ndarray, "face 3 3"], occ3d_id: UInt8[np.ndarray, " face"]
) -> SurfacePoints:
    """Points on triangles, in the order of the triangles: rows along one edge, beside another."""
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


def joined(parts: Sequence[SurfacePoints]) -> SurfacePoints:
    """All points of the parts, sorted by class."""
    points = np.concatenate([part.points for part in parts])
    occ3d_id = np.concatenate([part.occ3d_id for part in parts])
    order = np.argsort(occ3d_id, kind="stable")
    return SurfacePoints(points[order], occ3d_id[order])
