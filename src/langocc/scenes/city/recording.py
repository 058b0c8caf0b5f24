# SPDX-License-Identifier: Apache-2.0
"""One scene: drives through its world, writes what the sensors see and what is true.

Files are written in place without ceremony: a scene counts only when its part is stored, and one
without it is written again, to the same bytes.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import msgspec
import numpy as np
from jaxtyping import UInt8, UInt16
from PIL import Image

from langocc.files import replacing
from langocc.geometry.grid import OCC3D_GRID
from langocc.geometry.rigid import invert_rigid
from langocc.scenes.city.bev import map_picture
from langocc.scenes.city.boxes import probe_points, shown_probes, sightings
from langocc.scenes.city.casting import Caster
from langocc.scenes.city.categories import CATEGORY
from langocc.scenes.city.folders import CityFolders
from langocc.scenes.city.keyframes import KeyFrame, key_frames
from langocc.scenes.city.labels import SceneLabeller
from langocc.scenes.city.layout import build_world
from langocc.scenes.city.lidar import Sweep, scan
from langocc.scenes.city.parts import image_name, map_name, scene_part, sensor_token, sweep_name
from langocc.scenes.city.plan import ScenePlan
from langocc.scenes.city.render import render_camera
from langocc.scenes.city.retrieval import candidate_texts, points_file, points_in_images
from langocc.scenes.city.rig import LIDAR_CHANNEL
from langocc.scenes.city.world import Still, World

_JPEG_QUALITY = 90


def write_scene(plan: ScenePlan, folders: CityFolders, frame_done: Callable[[], None]) -> None:
    """Writes all files of a scene, its part last.

    Args:
        plan: Which scene of which city.
        folders: Where.
        frame_done: Called after each key frame.

    Raises:
        OSError: a file cannot be written.
    """
    world = build_world(plan.settings.seed, plan.index, plan.duration_s)
    _Recording(plan, folders, _remembering_poses(world)).run(frame_done)


class _Recording:
    """What the key frames of a scene share."""

    def __init__(self, plan: ScenePlan, folders: CityFolders, world: World) -> None:
        self.plan, self.folders, self.world = plan, folders, world
        self.caster = Caster(world)
        self.keys = key_frames(plan, world)
        self.probes = probe_points(world, np.random.default_rng((plan.settings.seed, plan.index)))
        self.lidarseg_id, self.panoptic_id = _point_labels(world)

    def run(self, frame_done: Callable[[], None]) -> None:
        """Writes the scene."""
        sweeps = [scan(self.caster, key.world_from_ego, key.time_s) for key in self.keys]
        labeller = SceneLabeller(self.world, self.keys, sweeps)
        boxes, texts = [], []
        for key, sweep in zip(self.keys, sweeps, strict=True):
            visible = self._write_images(key)
            label = labeller.label(key, sweep)
            path = _ready(self.folders.occupancy(self.plan.name, key.token))
            np.savez_compressed(path, **vars(label))
            self._write_sweep(key, sweep)
            texts.append(self._write_matching_points(key, sweep))
            boxes.append(
                sightings(
                    self.world, key.token, key.world_from_ego, key.time_s, sweep.thing, visible
                )
            )
            frame_done()
        self._write_map()
        self._write_things(sweeps)
        part = scene_part(self.plan, self.world, self.keys, boxes, texts)
        with replacing(self.folders.part(self.plan.name)) as path:
            path.write_bytes(msgspec.json.encode(part))

    def _write_images(self, key: KeyFrame) -> np.ndarray:
        """Renders the six images; returns the visible part of each mover, 0..1."""
        shown = np.zeros(self.probes.shape[:2], dtype=bool)
        for exposure in key.exposures:
            camera, pose, time_s = exposure.camera, exposure.world_from_cam, exposure.time_s
            image = render_camera(
                self.caster, camera.intrinsics, camera.width, camera.height, pose, time_s
            )
            path = _ready(self.folders.nuscenes / image_name(self.plan, exposure))
            Image.fromarray(image.rgb).save(path, format="JPEG", quality=_JPEG_QUALITY)
            shown |= shown_probes(
                self.world, self.probes, camera, pose, time_s, image.thing, image.depth_m
            )
        return shown.mean(axis=1)

    def _write_sweep(self, key: KeyFrame, sweep: Sweep) -> None:
        sweep.points.tofile(_ready(self.folders.nuscenes / sweep_name(self.plan, key)))
        lidar_token = sensor_token(self.plan, LIDAR_CHANNEL, key.token)
        self.lidarseg_id[sweep.thing].tofile(_ready(self.folders.lidarseg(lidar_token)))
        panoptic = _ready(self.folders.panoptic(lidar_token))
        np.savez_compressed(panoptic, data=self.panoptic_id[sweep.thing])

    def _write_matching_points(self, key: KeyFrame, sweep: Sweep) -> dict[str, int]:
        """Writes the indices of points in the images; returns the texts the sweep offers."""
        texts = candidate_texts(self.world.things, sweep.thing, sweep.is_inside(OCC3D_GRID))
        if texts:
            rig = [exposure.camera for exposure in key.exposures]
            cam_from_worlds = [invert_rigid(e.world_from_cam) for e in key.exposures]
            indices = points_in_images(sweep.points_world, rig, cam_from_worlds)
            np.save(_ready(self.folders.retrieval / points_file(key.token)), indices)
        return texts

    def _write_map(self) -> None:
        path = _ready(self.folders.nuscenes / map_name(self.plan))
        Image.fromarray(map_picture(self.world)).save(path, format="PNG")

    def _write_things(self, sweeps: Sequence[Sweep]) -> None:
        """Writes what the scene's things are, and which thing each LiDAR point lies on."""
        things = msgspec.json.encode(
            {"description": self.world.description, "things": list(self.world.things)}
        )
        _ready(self.folders.things(self.plan.name)).write_bytes(msgspec.json.format(things) + b"\n")
        point_things = {
            key.token: sweep.thing.astype(np.uint16)
            for key, sweep in zip(self.keys, sweeps, strict=True)
        }
        path = self.folders.point_things(self.plan.name)
        np.savez_compressed(path, allow_pickle=False, **point_things)


def _remembering_poses(world: World) -> World:
    """The same world; poses of the last few times are kept, since images, boxes, labels ask."""
    movers = [
        m
        if isinstance(m.world_from_thing, Still)
        else replace(m, world_from_thing=lru_cache(16)(m.world_from_thing))
        for m in world.movers
    ]
    return replace(world, movers=tuple(movers))


def _point_labels(
    world: World,
) -> tuple[UInt8[np.ndarray, " thing"], UInt16[np.ndarray, " thing"]]:
    """Each thing's lidarseg id and panoptic id (1000 x lidarseg id + number of the instance)."""
    lidarseg_id = np.array([CATEGORY[t.category].lidarseg_id for t in world.things], dtype=np.uint8)
    panoptic_id = 1000 * lidarseg_id.astype(np.uint16)
    counted = np.zeros(len(CATEGORY), dtype=np.uint16)
    for mover in world.movers:
        category = lidarseg_id[mover.thing]
        counted[category] += 1
        panoptic_id[mover.thing] += min(counted[category], 999)
    return lidarseg_id, panoptic_id


def _ready(path: Path) -> Path:
    """The path, its folder made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return path
