# SPDX-License-Identifier: Apache-2.0
"""One turn of the LiDAR: what its beams hit.

All beams are cast at the key time: the sweep is what nuScenes' would be after perfect compensation
of the ego's and everyone's motion, so that points, boxes and voxels of a key frame agree exactly.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Int32

from langocc.geometry.grid import VoxelGrid
from langocc.geometry.rigid import Transform, transform_points
from langocc.scenes.city.casting import Caster
from langocc.scenes.city.rig import EGO_FROM_LIDAR, LIDAR_BEAMS, lidar_directions

MAX_RANGE_M = 100.0
_MIN_RANGE_M = 1.0
_REFERENCE_RANGE_M = 20.0  # intensity of a white wall is full up to here


@dataclass(frozen=True)
class Sweep:
    """The returns of one turn, in firing order; beams that met nothing are left out.

    Attributes:
        points: x, y, z in the LiDAR frame (metres), intensity 0..255, ring 0..31: a `.pcd.bin` row.
        points_world: The same points in the world frame, metres.
        thing: Which thing each point is on (index into `World.things`).
        origin_world: The LiDAR, world frame, metres.
    """

    points: Float32[np.ndarray, "point 5"]
    points_world: Float32[np.ndarray, "point 3"]
    thing: Int32[np.ndarray, " point"]
    origin_world: Float32[np.ndarray, " 3"]

    def is_inside(self, grid: VoxelGrid) -> Bool[np.ndarray, " point"]:
        """Whether each point lies inside a grid of the ego frame."""
        in_lidar = self.points[:, :3].astype(np.float64)
        return grid.contains(transform_points(EGO_FROM_LIDAR, in_lidar))


def scan(caster: Caster, world_from_ego: Transform, time_s: float) -> Sweep:
    """Scans the world once with the vehicle at `world_from_ego`.

    Returns from nearer than 1 m or farther than 100 m are dropped, as on the real sensor.
    """
    world_from_lidar = world_from_ego @ EGO_FROM_LIDAR
    directions_lidar = lidar_directions()
    directions = directions_lidar @ world_from_lidar[:3, :3].T.astype(np.float32)
    origin = world_from_lidar[:3, 3].astype(np.float32)
    hits = caster.cast(np.broadcast_to(origin, directions.shape).copy(), directions, time_s)

    kept = np.flatnonzero((hits.distance_m > _MIN_RANGE_M) & (hits.distance_m < MAX_RANGE_M))
    range_m, normal, albedo = hits.distance_m[kept], hits.normal[kept], hits.albedo[kept]
    facing = -np.einsum("ij,ij->i", normal, directions[kept])
    falloff = np.minimum(1.0, (_REFERENCE_RANGE_M / range_m) ** 2)
    intensity = np.floor(255 * albedo.mean(axis=1) * np.clip(facing, 0, 1) * falloff)
    ring = (kept % LIDAR_BEAMS).astype(np.float32)
    xyz = directions_lidar[kept] * range_m[:, None]
    points = np.column_stack([xyz, intensity, ring]).astype(np.float32)
    return Sweep(points, hits.point[kept], hits.thing[kept], origin)
