# SPDX-License-Identifier: Apache-2.0
"""Occupancy and visibility masks in a world whose answers can be reckoned by hand."""

from dataclasses import replace

import numpy as np
import pytest
from city_world_kit import test_world

from langocc.geometry.grid import OCC3D_GRID
from langocc.geometry.rigid import rigid
from langocc.scenes.city.boxes import probe_points, shown_probes
from langocc.scenes.city.casting import Caster
from langocc.scenes.city.keyframes import KeyFrame, key_frames
from langocc.scenes.city.labels import Occ3dLabel, SceneLabeller
from langocc.scenes.city.lidar import Sweep, scan
from langocc.scenes.city.occupancy import semantic_grid, voxel_index
from langocc.scenes.city.plan import CitySettings
from langocc.scenes.city.render import render_camera
from langocc.scenes.city.surfaces import SurfacePoints
from langocc.scenes.city.visibility import camera_mask
from langocc.scenes.city.world import World

CAR, DRIVEABLE, MANMADE, FREE = 4, 11, 15, 17


@pytest.fixture(scope="module")
def world() -> World:
    """The vehicle stands off the voxel edges, turned by 0.1 rad."""
    turn = np.array(
        [[np.cos(0.1), -np.sin(0.1), 0.0], [np.sin(0.1), np.cos(0.1), 0.0], [0.0, 0.0, 1.0]]
    )
    return replace(test_world(), world_from_ego=lambda time_s: rigid(turn, (0.13, 0.07, 0.0)))


@pytest.fixture(scope="module")
def keys(world: World) -> list[KeyFrame]:
    settings = CitySettings(1, 0, 0, frames_per_scene=3, width=200, height=112)
    return key_frames(settings.scenes()[0], world)


@pytest.fixture(scope="module")
def sweeps(world: World, keys: list[KeyFrame]) -> list[Sweep]:
    caster = Caster(world)
    return [scan(caster, key.world_from_ego, key.time_s) for key in keys]


@pytest.fixture(scope="module")
def labels(world: World, keys: list[KeyFrame], sweeps: list[Sweep]) -> list[Occ3dLabel]:
    labeller = SceneLabeller(world, keys, sweeps)
    return [labeller.label(key, sweep) for key, sweep in zip(keys, sweeps, strict=True)]


def _box_sides(key: KeyFrame, lower: tuple, upper: tuple) -> dict[tuple[int, int, int], float]:
    """Voxels that the sides of an upright box of the world frame pass -> how much of them, m2."""
    step_m = 0.02
    x, y, z = (np.arange(a + step_m / 2, b, step_m) for a, b in zip(lower, upper, strict=True))
    sides = [np.stack(np.meshgrid([at], y, z), -1) for at in (lower[0], upper[0])]
    sides += [np.stack(np.meshgrid(x, [at], z), -1) for at in (lower[1], upper[1])]
    points = np.concatenate([side.reshape(-1, 3) for side in sides])
    in_ego = (points - key.world_from_ego[:3, 3]) @ key.world_from_ego[:3, :3]
    in_ego = in_ego[OCC3D_GRID.contains(in_ego)]
    voxels = np.floor((in_ego - OCC3D_GRID.lower_m) / OCC3D_GRID.cell_m).astype(int)
    found, count = np.unique(voxels, axis=0, return_counts=True)
    areas_m2 = (count * step_m**2).tolist()
    return dict(zip(map(tuple, found.tolist()), areas_m2, strict=True))


def test_building_fills_the_voxels_its_walls_pass_through(keys, labels):
    sides = _box_sides(keys[0], (10, -3, 0), (14, 3, 8))
    expected = {v: area_m2 for v, area_m2 in sides.items() if v[2] > 2}
    found = set(map(tuple, (np.argwhere(labels[0].semantics == MANMADE)).tolist()))
    found = {v for v in found if v[2] > 2}
    assert {v for v, area_m2 in expected.items() if area_m2 > 0.05} <= found
    assert len(found - set(expected)) < 0.01 * len(expected)  # slivers that 2 cm steps miss


def test_car_is_where_it_is_at_the_key_time(keys, labels):
    for key, label in zip(keys, labels, strict=True):
        middle = 5 * key.time_s
        sides = _box_sides(key, (middle - 2, 5, 0), (middle + 2, 7, 1.5))
        expected = {v for v, area_m2 in sides.items() if v[2] in (3, 4) and area_m2 > 0.05}
        found = set(map(tuple, np.argwhere(label.semantics == CAR).tolist()))
        assert len(expected) > 40
        assert expected <= found
        assert {v for v in found if v[2] in (3, 4)} <= set(sides)


def test_ground_is_one_layer_and_all_else_is_free(labels):
    semantics = labels[0].semantics
    assert (semantics[:, :, 2] != FREE).all()
    assert (semantics[:, :, 2] == DRIVEABLE).mean() > 0.99
    assert (semantics[:, :, :2] == FREE).all()
    assert set(np.unique(semantics)) == {CAR, DRIVEABLE, MANMADE, FREE}


def test_nothing_is_seen_through_the_building(labels):
    def at(x_m: float, y_m: float, z_m: float) -> tuple[int, ...]:
        return tuple(np.floor((np.array([x_m, y_m, z_m]) - OCC3D_GRID.lower_m) / 0.4).astype(int))

    for label in labels:
        assert label.mask_camera[at(6, -0.6, 1)] == 1  # before it
        assert label.mask_lidar[at(6, -0.6, 1)] == 1
        assert label.mask_camera[at(20, -1.9, 1)] == 0  # behind it
        assert label.mask_lidar[at(20, -1.9, 1)] == 0
        assert not (label.mask_camera & ~label.mask_lidar).any()
        assert (
            label.semantics.dtype == label.mask_lidar.dtype == label.mask_camera.dtype == np.uint8
        )


def test_returns_lie_in_occupied_seen_voxels(world, keys, sweeps, labels):
    class_of_thing = np.array([DRIVEABLE, MANMADE, CAR])
    for key, sweep, label in zip(keys, sweeps, labels, strict=True):
        in_ego = (sweep.points_world - key.world_from_ego[:3, 3]) @ key.world_from_ego[:3, :3]
        voxel = voxel_index(OCC3D_GRID, in_ego.astype(np.float32))
        inside = voxel >= 0
        found = label.semantics.reshape(-1)[voxel[inside]]
        assert (found != FREE).all()
        assert (found == class_of_thing[sweep.thing[inside]]).mean() > 0.99
        assert (label.mask_lidar.reshape(-1)[voxel[inside]] == 1).all()


def test_camera_mask_agrees_with_looking_from_each_voxel(keys, labels):
    """Oracle: from places in a voxel straight to the camera, in small steps."""
    rng = np.random.default_rng(0)
    semantics = labels[0].semantics
    camera = keys[0].exposures[1].camera
    mask = camera_mask(semantics, [camera], [camera.ego_from_cam])
    voxels = rng.integers(0, OCC3D_GRID.shape, (40_000, 3))
    centres = OCC3D_GRID.centres_m()[tuple(voxels.T)]
    in_cam = (centres - camera.ego_from_cam[:3, 3]) @ camera.ego_from_cam[:3, :3]
    pixel = in_cam @ camera.intrinsics.T
    pixel = pixel[:, :2] / pixel[:, 2:]
    in_image = (in_cam[:, 2] > 1) & np.all((pixel > 4) & (pixel < [196, 108]), axis=1)
    offsets = np.stack(np.meshgrid(*[(-0.19, 0.0, 0.19)] * 3, indexing="ij"), -1).reshape(-1, 3)
    centre_open = centre_missed = seen = seen_wrongly = 0
    for voxel, centre in zip(voxels[in_image], centres[in_image], strict=True):
        open_from = _open_from(semantics, voxel, centre + offsets, camera.ego_from_cam[:3, 3])
        is_seen = mask[tuple(voxel)]
        centre_open += open_from[13]
        centre_missed += open_from[13] and not is_seen
        seen += is_seen
        seen_wrongly += is_seen and not open_from.any()
    assert centre_open > 1000
    assert centre_missed <= 0.005 * centre_open  # small ones between two rays, far away
    assert seen_wrongly <= 0.005 * seen  # a gap that none of the 27 places looks through


def test_street_seen_at_a_grazing_angle_has_no_gaps(keys, labels):
    """Behind us the ground is bare; 30 m away its voxels are seen at 3 degrees."""
    rig = [exposure.camera for exposure in keys[0].exposures]
    mask = camera_mask(labels[0].semantics, rig, [camera.ego_from_cam for camera in rig])
    behind = mask[25:85, 92:108, 2]  # x -30 to -6 m, y -3.2 to 3.2 m, the layer of the ground
    assert behind.mean() > 0.995


def _open_from(
    semantics: np.ndarray, voxel: np.ndarray, places: np.ndarray, camera_m: np.ndarray
) -> np.ndarray:
    """From which places in a voxel the way to the camera is free of other occupied voxels."""
    steps = np.linspace(0, 1, 400)[:, None, None]
    path = (camera_m + steps * (places - camera_m)).reshape(-1, 3)
    passed = voxel_index(OCC3D_GRID, path.astype(np.float32))
    itself = np.ravel_multi_index(voxel, OCC3D_GRID.shape)
    is_free = (semantics.reshape(-1)[passed] == FREE) | (passed == itself)
    return is_free.reshape(len(steps), -1).all(axis=0)


def test_most_frequent_class_wins_a_voxel():
    points = np.float32([[0.1, 0.1, 0.1]] * 5 + [[41.0, 0, 0]])
    mixed = SurfacePoints(points, np.uint8([4, 4, 11, 11, 11, 4]))
    semantics = semantic_grid([mixed])
    assert (semantics != FREE).sum() == 1
    assert semantics[100, 100, 2] == DRIVEABLE


def test_visible_part_of_a_car_in_the_open_and_behind_a_building(world, keys):
    """A place on the car's far side counts as shown where its pixel shows the car."""
    assert _visible_part(world, keys[0]) > 0.9
    behind = rigid(np.eye(3), (20.0, 0.0, 0.0))
    hidden = replace(world.movers[0], world_from_thing=lambda time_s: behind)
    assert _visible_part(replace(world, movers=(hidden,)), keys[0]) == 0


def _visible_part(world: World, key: KeyFrame) -> float:
    probes = probe_points(world, np.random.default_rng(0))
    shown, caster = np.zeros(probes.shape[:2], dtype=bool), Caster(world)
    for exposure in key.exposures:
        camera, pose, time_s = exposure.camera, exposure.world_from_cam, exposure.time_s
        size = camera.width, camera.height
        image = render_camera(caster, camera.intrinsics, *size, pose, time_s)
        shown |= shown_probes(world, probes, camera, pose, time_s, image.thing, image.depth_m)
    return float(shown.mean())
