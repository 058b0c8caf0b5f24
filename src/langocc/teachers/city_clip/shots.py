# SPDX-License-Identifier: Apache-2.0
"""Pictures of city scenes: what the vehicle's cameras see, and a closer look at what is rare."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from langocc.geometry.rigid import Matrix3, Transform
from langocc.teachers.city_clip.lexicon import SKY, class_id, kind_of
from langocc.teachers.city_clip.regions import View
from langocc.teachers.city_clip.views import SceneTask

if TYPE_CHECKING:
    from langocc.scenes.city.world import World

_DURATION_S = 20.0
_NEAR_M, _FAR_M = 4.0, 28.0
"""Distances from which a closer look is taken."""


def city_views(task: SceneTask) -> list[View]:
    """Pictures from a drive: test scenes as the cameras are, training scenes turned and zoomed.

    Every second picture of a training scene looks at a boxed thing of a class drawn evenly, from
    where the drive passes it, so that rare things are seen as well.
    """
    from langocc.scenes.city.casting import Caster
    from langocc.scenes.city.layout import build_world
    from langocc.scenes.city.render import render_camera

    world = build_world(task.seed, task.scene_index, _DURATION_S)
    caster = Caster(world)
    kinds = tuple(dict.fromkeys([*(kind_of(thing) for thing in world.things), SKY]))
    kind_of_thing = np.array([kinds.index(kind_of(t)) for t in world.things] + [len(kinds) - 1])
    generator = np.random.default_rng([task.seed, task.scene_index, 0])
    views = []
    for intrinsics, world_from_cam, time_s in _cameras(task, world, generator):
        image = render_camera(caster, intrinsics, task.width, task.height, world_from_cam, time_s)
        kind = kind_of_thing[image.thing].astype(np.int16)
        views.append(View(image.rgb, image.thing, kind, image.depth_m, kinds))
    return views


def _cameras(
    task: SceneTask, world: "World", generator: np.random.Generator
) -> Iterator[tuple[Matrix3, Transform, float]]:
    """Intrinsics, pose and time of each picture."""
    from langocc.scenes.city.rig import cameras

    rig = cameras(task.width, task.height)
    times_s = generator.uniform(0, world.duration_s, task.views)
    for index in range(task.views):
        camera = rig[index % len(rig)]
        if task.is_test:
            time_s = float(times_s[index // len(rig)])
            yield camera.intrinsics, world.world_from_ego(time_s) @ camera.ego_from_cam, time_s
            continue
        intrinsics = camera.intrinsics.copy()
        intrinsics[:2, :2] *= np.exp(generator.uniform(-0.25, 0.4))
        closer = _closer_look(world, generator) if index % 2 else None
        if closer is not None:
            yield intrinsics, *closer
            continue
        time_s = float(times_s[index])
        world_from_cam = world.world_from_ego(time_s) @ camera.ego_from_cam
        yield intrinsics, world_from_cam @ _turned(generator.uniform(-0.35, 0.35)), time_s


def _closer_look(world: "World", generator: np.random.Generator) -> tuple[Transform, float] | None:
    """Pose and time of a camera that drives past something and is turned towards it."""
    if not world.movers:
        return None
    classes = [class_id(kind_of(world.things[mover.thing])) for mover in world.movers]
    for _ in range(8):
        wanted = generator.choice(np.unique(classes))
        mover = world.movers[generator.choice(np.flatnonzero(classes == wanted))]
        for time_s in generator.uniform(0, world.duration_s, 12).tolist():
            world_from_ego = world.world_from_ego(time_s)
            there = np.linalg.inv(world_from_ego) @ mover.world_from_thing(time_s)[:, 3]
            if _NEAR_M < np.hypot(there[0], there[1]) < _FAR_M:
                yaw = np.arctan2(there[1], there[0]) + generator.uniform(-0.4, 0.4)
                return world_from_ego @ _level_camera(yaw, generator.uniform(1.2, 2.0)), time_s
    return None


def _level_camera(yaw: float, height_m: float) -> Transform:
    """Camera in the ego frame at a height, looking level at an angle left of forward, radians."""
    c, s = np.cos(yaw), np.sin(yaw)
    ego_from_cam = np.eye(4)
    ego_from_cam[:3, :3] = np.array([[s, 0, c], [-c, 0, s], [0, -1, 0]])
    ego_from_cam[2, 3] = height_m
    return ego_from_cam


def _turned(angle: float) -> Transform:
    """A turn to the side in camera axes (y points down), radians."""
    turned = np.eye(4)
    c, s = np.cos(angle), np.sin(angle)
    turned[0, 0], turned[0, 2], turned[2, 0], turned[2, 2] = c, s, -s, c
    return turned
