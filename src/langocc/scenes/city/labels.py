# SPDX-License-Identifier: Apache-2.0
"""Occ3D labels of a scene's key frames: semantics and both masks."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8

from langocc.geometry.grid import OCC3D_GRID
from langocc.geometry.rigid import invert_rigid
from langocc.scenes.city.keyframes import KeyFrame
from langocc.scenes.city.lidar import Sweep
from langocc.scenes.city.occupancy import semantic_grid
from langocc.scenes.city.surfaces import (
    SurfacePoints,
    joined,
    occ3d_ids,
    sample_near,
    sample_surfaces,
    uncovered,
)
from langocc.scenes.city.visibility import camera_mask, lidar_coverage
from langocc.scenes.city.world import Mover, Still, World

_REACH_M = float(np.hypot(*OCC3D_GRID.upper_m[:2]))
"""From the vehicle to the far corner of its grid."""


@dataclass(frozen=True)
class Occ3dLabel:
    """What `labels.npz` holds; see formats.md section 2."""

    semantics: UInt8[np.ndarray, "x y z"]
    mask_lidar: UInt8[np.ndarray, "x y z"]
    mask_camera: UInt8[np.ndarray, "x y z"]


class SceneLabeller:
    """Labels the key frames of one scene; what they share is made once."""

    def __init__(self, world: World, keys: Sequence[KeyFrame], sweeps: Sequence[Sweep]) -> None:
        """Samples the surfaces near the drive and joins the sweeps.

        Args:
            world: The scene.
            keys: Its key frames.
            sweeps: The sweep of each key frame.
        """
        drive_m = np.stack([key.world_from_ego[:3, 3] for key in keys])
        self._world = world
        self._class_of_thing = occ3d_ids(world)
        sampled = [sample_surfaces(m.mesh, self._class_of_thing) for m in world.movers]
        boxed = list(zip(world.movers, sampled, strict=True))
        static = uncovered(sample_near(world.static, self._class_of_thing, drive_m, _REACH_M))
        parked = [s.moved(m.world_from_thing(0.0)) for m, s in boxed if _stands(m)]
        self._still = joined([static, *parked])
        self._moving = [(m, s) for m, s in boxed if not _stands(m)]
        self._coverage = lidar_coverage(world, sweeps, [key.time_s for key in keys])

    def label(self, key: KeyFrame, sweep: Sweep) -> Occ3dLabel:
        """The labels of a key frame, in its ego frame (x forward, y left, z up)."""
        ego_from_world = invert_rigid(key.world_from_ego)
        semantics = semantic_grid([part.moved(ego_from_world) for part in self._parts(key, sweep)])
        mask_lidar = self._coverage.mask(ego_from_world, self._world.movers, key.time_s, sweep)
        ego_from_cams = [ego_from_world @ e.world_from_cam for e in key.exposures]
        seen = camera_mask(semantics, [e.camera for e in key.exposures], ego_from_cams)
        return Occ3dLabel(
            semantics, mask_lidar.astype(np.uint8), (seen & mask_lidar).astype(np.uint8)
        )

    def _parts(self, key: KeyFrame, sweep: Sweep) -> list[SurfacePoints]:
        """Points near the vehicle at the key time, world frame; each part sorted by class."""
        here = key.world_from_ego[:2, 3].astype(np.float32)
        x, y = self._still.points[:, 0] - here[0], self._still.points[:, 1] - here[1]
        near = (np.abs(x) < _REACH_M) & (np.abs(y) < _REACH_M)
        still = SurfacePoints(self._still.points[near], self._still.occ3d_id[near])
        moving = [s.moved(m.world_from_thing(key.time_s)) for m, s in self._moving]
        hits = SurfacePoints(sweep.points_world, self._class_of_thing[sweep.thing])
        return [still, joined([hits, *moving])]


def _stands(mover: Mover) -> bool:
    return isinstance(mover.world_from_thing, Still)
