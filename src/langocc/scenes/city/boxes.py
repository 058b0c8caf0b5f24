# SPDX-License-Identifier: Apache-2.0
"""Boxes of a scene: which are annotated when, how visible, how many points, doing what."""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
from jaxtyping import Bool, Float32, Float64, Int32

from langocc.geometry.rigid import Transform, invert_rigid
from langocc.scenes.city.plan import ScenePlan
from langocc.scenes.city.rig import CityCamera
from langocc.scenes.city.tables import (
    Instance,
    SampleAnnotation,
    attribute_token,
    category_token,
    pose_columns,
    token,
)
from langocc.scenes.city.world import Mover, Still, World

MAX_RANGE_M = 80.0
"""Boxes farther from the vehicle than this are not annotated."""

_PROBES = 96  # surface points of an object that are looked for in the images
_STANDING_M_PER_S = 0.2
_VISIBILITY_EDGES = (0.4, 0.6, 0.8)


@dataclass(frozen=True)
class Sighting:
    """A box in a key frame.

    Attributes:
        mover: Index into `World.movers`.
        sample_token: The key frame.
        world_from_thing: Where it stands at the key time.
        lidar_points: Returns of the sweep that lie on it.
        visible: Part of it that the six images show, 0..1.
        speed_m_per_s: At the key time.
    """

    mover: int
    sample_token: str
    world_from_thing: Transform
    lidar_points: int
    visible: float
    speed_m_per_s: float


def probe_points(world: World, rng: np.random.Generator) -> Float32[np.ndarray, "mover probe 3"]:
    """Random surface points of each mover, in its own frame."""
    probes = np.zeros((len(world.movers), _PROBES, 3), dtype=np.float32)
    for index, mover in enumerate(world.movers):
        corners = mover.mesh.vertices[mover.mesh.faces]
        edges = corners[:, 1:] - corners[:, :1]
        area = np.linalg.norm(np.cross(edges[:, 0], edges[:, 1]), axis=1)
        face = rng.choice(len(area), _PROBES, p=area / area.sum())
        a, b = rng.random((2, _PROBES, 1))
        a, b = np.where(a + b > 1, 1 - a, a), np.where(a + b > 1, 1 - b, b)
        probes[index] = corners[face, 0] + a * edges[face, 0] + b * edges[face, 1]
    return probes


def shown_probes(
    world: World,
    probes: Float32[np.ndarray, "mover probe 3"],
    camera: CityCamera,
    world_from_cam: Transform,
    time_s: float,
    thing: Int32[np.ndarray, "height width"],
    depth_m: Float32[np.ndarray, "height width"],
) -> Bool[np.ndarray, "mover probe"]:
    """Which probes an image shows: their object is at their pixel, or nothing is in front of them.

    Args:
        world: Whose movers.
        probes: Points in the movers' frames.
        camera: Intrinsics and size.
        world_from_cam: At the exposure.
        time_s: Of the exposure.
        thing: Thing at each pixel.
        depth_m: Along the optical axis, at each pixel.
    """
    cam_from_world = invert_rigid(world_from_cam)
    cam_from_thing = np.array([cam_from_world @ m.world_from_thing(time_s) for m in world.movers])
    owner = np.array([m.thing for m in world.movers])[:, None]
    points = np.einsum("mij,mpj->mpi", cam_from_thing[:, :3, :3], probes)
    points += cam_from_thing[:, None, :3, 3]
    pixel = points @ camera.intrinsics.T
    pixel = np.floor(pixel[..., :2] / np.maximum(points[..., 2:], 0.1)).clip(-1, 1e6).astype(int)
    u, v = pixel[..., 0], pixel[..., 1]
    shown = (points[..., 2] > 0.1) & (u >= 0) & (u < camera.width) & (v >= 0) & (v < camera.height)
    u, v = np.where(shown, u, 0), np.where(shown, v, 0)
    return shown & ((thing[v, u] == owner) | (depth_m[v, u] > points[..., 2]))


def sightings(
    world: World,
    sample_token: str,
    world_from_ego: Transform,
    time_s: float,
    point_thing: Int32[np.ndarray, " point"],
    visible: Float64[np.ndarray, " mover"],
) -> list[Sighting]:
    """The boxes of a key frame: in range, and hit by the LiDAR or shown by a camera."""
    points_of_thing = np.bincount(point_thing, minlength=len(world.things))
    found = []
    for index, mover in enumerate(world.movers):
        pose = mover.world_from_thing(time_s)
        lidar_points = int(points_of_thing[mover.thing])
        distance_m = np.linalg.norm(pose[:3, 3] - world_from_ego[:3, 3])
        if distance_m <= MAX_RANGE_M and (lidar_points or visible[index] > 0):
            speed = _speed_m_per_s(mover, time_s)
            found.append(
                Sighting(index, sample_token, pose, lidar_points, float(visible[index]), speed)
            )
    return found


def annotate(
    world: World,
    plan: ScenePlan,
    frames: Sequence[Sequence[Sighting]],
    global_from_world: Transform,
) -> tuple[list[Instance], list[SampleAnnotation]]:
    """Instance and annotation records of a scene, chained through time.

    Args:
        world: Whose movers.
        plan: Which scene it is.
        frames: Sightings of each key frame, in time order.
        global_from_world: From the scene's frame to that of the tables.
    """
    by_mover: dict[int, list[Sighting]] = {}
    for frame in frames:
        for sighting in frame:
            by_mover.setdefault(sighting.mover, []).append(sighting)
    instances, annotations = [], []
    for mover, seen in sorted(by_mover.items()):
        thing = world.things[world.movers[mover].thing]
        instance = plan.token("instance", mover)
        chain = ["", *(token(instance, sighting.sample_token) for sighting in seen), ""]
        instances.append(
            Instance(instance, category_token(thing.category), len(seen), chain[1], chain[-2])
        )
        for place, sighting in enumerate(seen, start=1):
            before, mine, after = chain[place - 1 : place + 2]
            record = _annotation(world, sighting, global_from_world, instance)
            linked = msgspec.structs.replace(record, token=mine, prev=before, next=after)
            annotations.append(linked)
    return instances, annotations


def _annotation(
    world: World, sighting: Sighting, global_from_world: Transform, instance: str
) -> SampleAnnotation:
    """The record of a box, not yet in its chain."""
    mover = world.movers[sighting.mover]
    thing = world.things[mover.thing]
    length_m, width_m, height_m = thing.size_m
    centre = sighting.world_from_thing @ np.array([0, 0, height_m / 2, 1])
    return SampleAnnotation(
        token="",
        sample_token=sighting.sample_token,
        instance_token=instance,
        attribute_tokens=_attributes(thing.category, mover, sighting),
        visibility_token=_visibility_token(sighting.visible),
        translation=(global_from_world @ centre)[:3].tolist(),
        size=[width_m, length_m, height_m],
        rotation=pose_columns(global_from_world @ sighting.world_from_thing)[1],
        num_lidar_pts=sighting.lidar_points,
        num_radar_pts=0,
        prev="",
        next="",
    )


def _speed_m_per_s(mover: Mover, time_s: float) -> float:
    if isinstance(mover.world_from_thing, Still):
        return 0.0
    before, after = (mover.world_from_thing(time_s + dt)[:3, 3] for dt in (-0.05, 0.05))
    return float(np.linalg.norm(after - before) / 0.1)


def _attributes(category: str, mover: Mover, sighting: Sighting) -> list[str]:
    """The attribute nuScenes gives to such an object; none for cones and barriers."""
    is_moving = sighting.speed_m_per_s > _STANDING_M_PER_S
    if category in ("vehicle.bicycle", "vehicle.motorcycle"):
        name = "cycle.with_rider" if is_moving else "cycle.without_rider"
    elif category.startswith("vehicle."):
        is_parked = isinstance(mover.world_from_thing, Still)
        name = f"vehicle.{'moving' if is_moving else 'parked' if is_parked else 'stopped'}"
    elif category.startswith("human.pedestrian"):
        name = f"pedestrian.{'moving' if is_moving else 'standing'}"
    else:
        return []
    return [attribute_token(name)]


def _visibility_token(visible: float) -> str:
    return str(1 + int(np.searchsorted(_VISIBILITY_EDGES, visible, side="right")))
