# SPDX-License-Identifier: Apache-2.0
"""Occ3D's two visibility masks, by casting the sensors' rays through the voxels.

`mask_lidar`: voxels that a returning beam of any key frame's sweep of the scene crosses or ends in.
Sweeps are joined as Occ3D joins them: what stands still in the world, what has a box with its box.
`mask_camera`: those of them that a camera of the key frame sees before, and including, the first
occupied voxel. In Occ3D's own files too, mask_camera lies inside mask_lidar.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Float64, UInt8

from langocc.geometry.grid import OCC3D_GRID, VoxelGrid
from langocc.geometry.rigid import Transform, invert_rigid
from langocc.scenes.city.lidar import Sweep
from langocc.scenes.city.occupancy import voxel_index
from langocc.scenes.city.rig import CityCamera
from langocc.scenes.city.traversal import crossed_voxels
from langocc.scenes.city.world import Mover, World
from langocc.scenes.occ3d import FREE_ID

_CORNER_REACH_M = 60.0  # from the vehicle to a corner of its grid, and some
_HIT_CELL_M = 0.1  # hits nearer to each other than this count once
_RAY_SPACING = 0.01  # rad; rays 0.4 m apart at 40 m
_NEAREST_M = 0.5


@dataclass(frozen=True)
class LidarCoverage:
    """What all sweeps of a scene saw.

    Attributes:
        grid: Voxels along the drive, axes of the world frame.
        crossed: Voxels of `grid` that beams crossed.
        still_hits: Where beams ended on what has no box; world frame, metres.
        mover_hits: Mover (index into `World.movers`) -> where beams ended on it; its own frame.
    """

    grid: VoxelGrid
    crossed: Bool[np.ndarray, "x y z"]
    still_hits: Float32[np.ndarray, "point 3"]
    mover_hits: Mapping[int, Float32[np.ndarray, "_ 3"]]

    def mask(
        self, ego_from_world: Transform, movers: Sequence[Mover], time_s: float, sweep: Sweep
    ) -> Bool[np.ndarray, "x y z"]:
        """`mask_lidar` of the key ego frame at a time.

        A voxel counts as crossed when the cell of the scene's grid around its centre is. Hits of
        all sweeps count where they are to a decimetre, those of the key frame's own exactly.
        """
        seen = np.zeros(OCC3D_GRID.shape, dtype=bool)
        cell = voxel_index(self.grid, _moved(invert_rigid(ego_from_world), _CENTRES))
        seen.reshape(-1)[:] = self.crossed.reshape(-1)[cell] & (cell >= 0)
        _mark(seen, _moved(ego_from_world, sweep.points_world))
        _mark(seen, _moved(ego_from_world, self.still_hits))
        for index, hits in self.mover_hits.items():
            world_from_thing = movers[index].world_from_thing(time_s)
            _mark(seen, _moved(ego_from_world @ world_from_thing, hits))
        return seen


def lidar_coverage(
    world: World, sweeps: Sequence[Sweep], times_s: Sequence[float]
) -> LidarCoverage:
    """Joins the sweeps of a scene's key frames."""
    origins = np.stack([sweep.origin_world for sweep in sweeps]).astype(np.float64)
    grid = _grid_along(origins)
    crossed = np.zeros(grid.shape, dtype=bool)
    mover_of_thing = np.full(len(world.things), -1)
    mover_of_thing[[mover.thing for mover in world.movers]] = np.arange(len(world.movers))
    still, moving = [], {index: [] for index in range(len(world.movers))}
    for sweep, time_s in zip(sweeps, times_s, strict=True):
        ray = sweep.points_world - sweep.origin_world
        length_m = np.linalg.norm(ray, axis=1)
        origin = np.broadcast_to(sweep.origin_world, ray.shape)
        crossed |= crossed_voxels(grid, origin, ray / length_m[:, None], length_m)
        owner = mover_of_thing[sweep.thing]
        still.append(sweep.points_world[owner < 0])
        for index in np.unique(owner[owner >= 0]).tolist():
            thing_from_world = invert_rigid(world.movers[index].world_from_thing(time_s))
            moving[index].append(_moved(thing_from_world, sweep.points_world[owner == index]))
    mover_hits = {index: _thinned(np.concatenate(hits)) for index, hits in moving.items() if hits}
    return LidarCoverage(grid, crossed, _thinned(np.concatenate(still)), mover_hits)


def camera_mask(
    semantics: UInt8[np.ndarray, "x y z"],
    cameras: Sequence[CityCamera],
    ego_from_cams: Sequence[Transform],
) -> Bool[np.ndarray, "x y z"]:
    """Voxels the cameras see before, and including, the first occupied voxel.

    Rays go evenly through each image, and through every occupied voxel in it, just under its upper
    face: a street seen at a grazing angle would otherwise be met by a ray every few metres.

    Args:
        semantics: Class of each voxel of the key ego frame.
        cameras: For their fields of view.
        ego_from_cams: Each camera at its own exposure time, in the key ego frame.
    """
    occupied = semantics != FREE_ID
    targets = _CENTRES[np.flatnonzero(occupied)]
    targets[:, 2] += 0.45 * OCC3D_GRID.cell_m
    directions, origins = [], []
    for camera, ego_from_cam in zip(cameras, ego_from_cams, strict=True):
        shown = _shown_rays(camera, _moved(invert_rigid(ego_from_cam), targets))
        rays = np.concatenate([_even_rays(camera), shown])
        rays = rays @ ego_from_cam[:3, :3].T.astype(np.float32)
        directions.append(rays)
        origins.append(np.broadcast_to(ego_from_cam[:3, 3].astype(np.float32), rays.shape))
    rays = np.concatenate(directions)
    unlimited_m = np.full(len(rays), np.inf, dtype=np.float32)
    return crossed_voxels(OCC3D_GRID, np.concatenate(origins), rays, unlimited_m, occupied)


def _shown_rays(
    camera: CityCamera, points: Float32[np.ndarray, "point 3"]
) -> Float32[np.ndarray, "ray 3"]:
    """Unit rays to those points of the camera frame that are in the image."""
    points = points[points[:, 2] > _NEAREST_M]
    pixel = points @ camera.intrinsics[:2].T.astype(np.float32) / points[:, 2:]
    inside = np.all((pixel >= 0) & (pixel < [camera.width, camera.height]), axis=1)
    rays = points[inside]
    return rays / np.linalg.norm(rays, axis=1, keepdims=True)


def _even_rays(camera: CityCamera) -> Float32[np.ndarray, "ray 3"]:
    """Unit rays over a camera's image, evenly spaced in the image plane; camera frame."""
    axes = []
    for pixels, axis in ((camera.width, 0), (camera.height, 1)):
        focal_px, centre_px = camera.intrinsics[axis, axis], camera.intrinsics[axis, 2]
        first, last = -centre_px / focal_px, (pixels - centre_px) / focal_px
        axes.append(np.linspace(first, last, int(np.ceil((last - first) / _RAY_SPACING)) + 1))
    x, y = np.meshgrid(*axes)
    rays = np.stack([x, y, np.ones_like(x)], axis=-1).reshape(-1, 3)
    return (rays / np.linalg.norm(rays, axis=1, keepdims=True)).astype(np.float32)


def _grid_along(positions: Float64[np.ndarray, "position 3"]) -> VoxelGrid:
    """World-aligned voxels that hold the label grids of all positions (of the LiDAR)."""
    cell_m = OCC3D_GRID.cell_m
    reach = np.array([_CORNER_REACH_M, _CORNER_REACH_M, 8.0])
    phase = np.array(OCC3D_GRID.lower_m)  # flat ground then cuts both grids' cells alike
    lower = np.floor((positions.min(axis=0) - reach - phase) / cell_m) * cell_m + phase
    cells = np.ceil((positions.max(axis=0) + reach - lower) / cell_m)
    lower_m, upper_m = lower.tolist(), (lower + cells * cell_m).tolist()
    return VoxelGrid(tuple(lower_m), tuple(upper_m), cell_m)


def _mark(seen: Bool[np.ndarray, "x y z"], points: Float32[np.ndarray, "point 3"]) -> None:
    """Sets the voxels that points of the ego frame are in."""
    voxel = voxel_index(OCC3D_GRID, points)
    seen.reshape(-1)[voxel[voxel >= 0]] = True


def _moved(
    b_from_a: Transform, points: Float32[np.ndarray, "point 3"]
) -> Float32[np.ndarray, "point 3"]:
    """Points in another frame, in single precision (a tenth of a millimetre at a kilometre)."""
    rotation, translation = b_from_a[:3, :3].astype(np.float32), b_from_a[:3, 3].astype(np.float32)
    return points @ rotation.T + translation


def _thinned(points: Float32[np.ndarray, "point 3"]) -> Float32[np.ndarray, "kept 3"]:
    """One point per small cell, the first one."""
    cell = np.floor(points / _HIT_CELL_M).astype(np.int64)
    cell -= cell.min(axis=0)
    extent = cell.max(axis=0) + 1
    key = (cell[:, 0] * extent[1] + cell[:, 1]) * extent[2] + cell[:, 2]
    _, first = np.unique(key, return_index=True)
    return points[np.sort(first)]


_CENTRES = OCC3D_GRID.centres_m().reshape(-1, 3).astype(np.float32)
