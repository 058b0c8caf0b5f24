# SPDX-License-Identifier: Apache-2.0
"""What every scene of the city must keep: ground, clearances, boxes, smooth drives, all classes."""

import functools
import hashlib

import numpy as np
import pytest

from langocc.geometry.rigid import invert_rigid
from langocc.scenes.city.casting import Caster
from langocc.scenes.city.categories import CATEGORY
from langocc.scenes.city.clearance import EGO_MIDDLE_M, EGO_SIZE_M
from langocc.scenes.city.layout import build_world
from langocc.scenes.city.materials.textures import TEXTURES
from langocc.scenes.city.world import Still

DURATION_S = 8.0
SCENES = range(6)


@functools.cache
def world_of(scene):
    return build_world(7, scene, DURATION_S)


def digest(world):
    sha = hashlib.sha256(repr((world.things, world.description, world.atmosphere)).encode())
    for mesh in (world.static, *(m.mesh for m in world.movers)):
        for values in vars(mesh).values():
            sha.update(np.ascontiguousarray(values).tobytes())
    for time_s in (0.0, 0.37, 5.0):
        for pose in (world.world_from_ego, *(m.world_from_thing for m in world.movers)):
            sha.update(pose(time_s).tobytes())
    return sha.hexdigest()


def test_the_same_seed_gives_the_same_bytes_and_another_seed_another_world():
    assert digest(build_world(7, 1, DURATION_S)) == digest(world_of(1))
    assert digest(build_world(8, 1, DURATION_S)) != digest(world_of(1))


def test_all_sixteen_classes_appear():
    seen = set()
    for scene in SCENES:
        world = world_of(scene)
        owners = {*world.static.thing.tolist(), *(m.thing for m in world.movers)}
        seen |= {CATEGORY[world.things[i].category].occ3d_id for i in owners}
    assert seen == set(range(1, 17))


@pytest.mark.parametrize("scene", SCENES)
def test_meshes_are_whole(scene):
    world = world_of(scene)
    for mesh in (world.static, *(m.mesh for m in world.movers)):
        assert np.isfinite(mesh.vertices).all()
        assert np.isfinite(mesh.uv_m).all()
        assert mesh.faces.min() >= 0
        assert mesh.faces.max() < len(mesh.vertices)
        assert mesh.texture.min() >= 0
        assert mesh.texture.max() < len(TEXTURES)
        assert mesh.albedo.min() >= 0
        assert mesh.albedo.max() <= 1
    assert world.static.thing.max() < len(world.things)


@pytest.mark.parametrize("scene", SCENES)
def test_boxes_contain_their_meshes_tightly(scene):
    world = world_of(scene)
    for mover in world.movers:
        assert np.all(mover.mesh.thing == mover.thing)
        length, width, height = world.things[mover.thing].size_m
        low, high = mover.mesh.vertices.min(axis=0), mover.mesh.vertices.max(axis=0)
        np.testing.assert_allclose(high, [length / 2, width / 2, height], atol=1e-6)
        np.testing.assert_allclose(low, [-length / 2, -width / 2, 0], atol=1e-6)


@pytest.mark.parametrize("scene", SCENES)
def test_there_is_ground_everywhere_around_the_drive(scene):
    world, generator = world_of(scene), np.random.default_rng(scene)
    way = np.stack([world.world_from_ego(t)[:3, 3] for t in np.linspace(0, DURATION_S, 9)])
    middle = way[generator.integers(0, len(way), 4000)]
    angle, reach = generator.uniform(0, 2 * np.pi, 4000), 80 * np.sqrt(generator.random(4000))
    origins = middle + np.stack([reach * np.cos(angle), reach * np.sin(angle), 0 * reach], axis=1)
    origins[:, 2] += 60
    down = np.tile(np.float32([0, 0, -1]), (4000, 1))
    hits = Caster(world).cast(origins.astype(np.float32), down, 0.0)
    assert np.isfinite(hits.distance_m).all()


@pytest.mark.parametrize("scene", SCENES)
def test_the_ego_drives_on_the_road_smoothly(scene):
    world = world_of(scene)
    times = np.arange(0, DURATION_S, 0.02)
    poses = np.stack([world.world_from_ego(float(t)) for t in times])
    velocity = np.diff(poses[:, :3, 3], axis=0) / 0.02
    speed = np.linalg.norm(velocity, axis=1)
    assert speed.max() <= 15.0
    assert np.abs(np.diff(speed)).max() < 0.02 * 8  # m/s in 20 ms: 8 m/s2 at the very most
    yaw = np.unwrap(np.arctan2(poses[:, 1, 0], poses[:, 0, 0]))
    assert np.abs(np.diff(yaw)).max() / 0.02 < 1.0
    tilt = np.degrees(np.arccos(poses[:, 2, 2]))
    assert tilt.max() < 6.0
    np.testing.assert_allclose(
        poses[:, :3, :3] @ poses[:, :3, :3].transpose(0, 2, 1),
        np.broadcast_to(np.eye(3), (len(poses), 3, 3)),
        atol=1e-9,
    )
    caster, down = Caster(world), np.float32([[0, 0, -1]])
    for time_s, pose in zip(times[::50], poses[::50], strict=True):
        above = (pose[:3, 3] + [0, 0, 0.9]).astype(np.float32)[None]
        hits = caster.cast(above, down, float(time_s))
        assert world.things[hits.thing[0]].category == "flat.driveable_surface"
        np.testing.assert_allclose(hits.distance_m, 0.9, atol=0.03)


@pytest.mark.parametrize("scene", SCENES)
def test_nothing_drives_through_the_ego(scene):
    world = world_of(scene)
    for time_s in np.arange(0, DURATION_S + 0.1, 0.5):
        ego_from_world = invert_rigid(world.world_from_ego(float(time_s)))
        for mover in world.movers:
            corners = outline(world.things[mover.thing].size_m)
            ego_from_thing = ego_from_world @ mover.world_from_thing(float(time_s))
            placed = (corners @ ego_from_thing[:3, :3].T + ego_from_thing[:3, 3])[:, :2]
            inside = np.abs(placed - [EGO_MIDDLE_M, 0]) < np.array(EGO_SIZE_M[:2]) / 2 + 0.05
            assert not np.any(inside.all(axis=1)), world.things[mover.thing]


def outline(size_m, step_m=0.25):
    """Points around a box's footprint."""
    half_x, half_y = size_m[0] / 2, size_m[1] / 2
    x = np.append(np.arange(-half_x, half_x, step_m), half_x)
    y = np.append(np.arange(-half_y, half_y, step_m), half_y)
    sides = [(a, b) for a in x for b in (-half_y, half_y)]
    sides += [(a, b) for a in (-half_x, half_x) for b in y]
    return np.array([(a, b, 0.0) for a, b in sides])


def test_traffic_moves_parks_and_waits():
    distances = []
    for scene in SCENES:
        for mover in world_of(scene).movers:
            if world_of(scene).things[mover.thing].category.startswith("vehicle"):
                start, end = (mover.world_from_thing(t)[:2, 3] for t in (0.0, DURATION_S))
                still = isinstance(mover.world_from_thing, Still)
                distances.append((still, float(np.linalg.norm(end - start))))
    parked = [d for still, d in distances if still]
    driven = [d for still, d in distances if not still]
    assert max(parked) == 0
    assert np.quantile(driven, 0.8) > 25
    assert min(driven) < 2  # someone waits at a light


def test_scenes_differ_and_some_turn():
    descriptions = {world_of(scene).description for scene in SCENES}
    assert len(descriptions) >= 5
    turned = []
    for scene in SCENES:
        first, last = (world_of(scene).world_from_ego(t)[:2, 0] for t in (0.0, DURATION_S))
        turned.append(np.degrees(np.arccos(np.clip(first @ last, -1, 1))))
    assert max(turned) > 60
    assert min(turned) < 10


@pytest.mark.parametrize("wrong", [(-1, 0, 5.0), (0, -1, 5.0), (0, 0, 0.5), (0, 0, 100.0)])
def test_wrong_arguments_are_refused(wrong):
    with pytest.raises(ValueError, match="expected"):
        build_world(*wrong)
