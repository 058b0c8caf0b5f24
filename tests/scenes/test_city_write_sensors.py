# SPDX-License-Identifier: Apache-2.0
"""The sensors' geometry and timing, the sweep, and the walk of rays through voxels."""

import numpy as np
import pytest
from city_world_kit import test_world

from langocc.geometry.grid import OCC3D_GRID, VoxelGrid
from langocc.scenes.city.casting import Caster
from langocc.scenes.city.lidar import scan
from langocc.scenes.city.rig import LIDAR_BEAMS, LIDAR_COLUMNS, cameras, lidar_directions
from langocc.scenes.city.traversal import crossed_voxels


def test_beams_span_nuscenes_angles_and_turn_clockwise():
    directions = lidar_directions().astype(np.float64)
    elevation = np.degrees(np.arcsin(directions[:, 2])).reshape(LIDAR_COLUMNS, LIDAR_BEAMS)
    np.testing.assert_allclose(elevation[:, 0], -30.67, atol=1e-3)
    np.testing.assert_allclose(elevation[:, -1], 10.67, atol=1e-3)
    azimuth = np.unwrap(np.arctan2(directions[::LIDAR_BEAMS, 1], directions[::LIDAR_BEAMS, 0]))
    np.testing.assert_allclose(np.diff(azimuth), -2 * np.pi / LIDAR_COLUMNS, atol=1e-6)


def test_cameras_fire_as_the_beam_passes_them():
    rig = {camera.channel: camera for camera in cameras(1600, 900)}
    assert list(rig) == [
        "CAM_FRONT_LEFT",
        "CAM_FRONT",
        "CAM_FRONT_RIGHT",
        "CAM_BACK_LEFT",
        "CAM_BACK",
        "CAM_BACK_RIGHT",
    ]
    in_time = sorted(rig.values(), key=lambda camera: camera.delay_us)
    clockwise = ("FRONT_LEFT", "FRONT", "FRONT_RIGHT", "BACK_RIGHT", "BACK", "BACK_LEFT")
    assert [camera.channel.removeprefix("CAM_") for camera in in_time] == list(clockwise)
    assert all(-50_000 < camera.delay_us <= 0 for camera in in_time)
    # A beam column at the middle of each image is fired 1.5 ms before the image.
    for camera in in_time:
        forward = camera.ego_from_cam[:3, 2]
        in_lidar = np.array([-forward[1], forward[0], 0.0])  # LiDAR x is right, y forward
        column = np.argmax(lidar_directions()[::LIDAR_BEAMS] @ in_lidar)
        passed_us = 50_000 * (column / LIDAR_COLUMNS - 1)
        assert camera.delay_us - passed_us == pytest.approx(1500, abs=60)


def test_camera_axes_and_field_of_view():
    for camera in cameras(400, 225):
        rotation = camera.ego_from_cam[:3, :3]
        np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)
        assert np.linalg.det(rotation) == pytest.approx(1)
        np.testing.assert_allclose(rotation @ [0, 1, 0], [0, 0, -1], atol=1e-12)  # y is down
        assert camera.intrinsics[0, 2] == 200
        assert camera.intrinsics[1, 2] == 112.5


def test_sweep_lies_on_the_surfaces():
    world = test_world()
    world_from_ego = np.eye(4)
    world_from_ego[:2, 3] = 1.0, -2.0
    sweep = scan(Caster(world), world_from_ego, time_s=2.0)
    assert sweep.points.shape == (len(sweep.thing), 5)
    x, y, z = sweep.points_world.T
    np.testing.assert_allclose(z[sweep.thing == 0], 0, atol=1e-4)
    car = sweep.thing == 2  # x 8..12, y 5..7 at 2 s
    assert car.sum() > 50
    assert np.all((np.abs(x[car] - 10) < 2.001) & (np.abs(y[car] - 6) < 1.001))
    right, forward, up = sweep.points[:, :3].T  # LiDAR frame -> world, by hand
    np.testing.assert_allclose(forward + 0.94 + 1.0, x, atol=1e-4)
    np.testing.assert_allclose(-right - 2.0, y, atol=1e-4)
    np.testing.assert_allclose(up + 1.84, z, atol=1e-4)
    ring, intensity = sweep.points[:, 4], sweep.points[:, 3]
    assert set(np.unique(ring)) <= set(range(32))
    assert np.all((intensity == np.floor(intensity)) & (intensity >= 0) & (intensity <= 255))
    range_m = np.linalg.norm(sweep.points[:, :3], axis=1)
    assert range_m.min() > 1
    assert range_m.max() < 100


def test_rays_cross_the_voxels_that_dense_samples_lie_in():
    rng = np.random.default_rng(0)
    directions = rng.normal(size=(120, 3))
    directions = (directions / np.linalg.norm(directions, axis=1)[:, None]).astype(np.float32)
    origins = rng.uniform([-39, -39, -0.9], [39, 39, 5.3], (120, 3)).astype(np.float32)
    length_m = rng.uniform(1, 30, 120).astype(np.float32)
    crossed = crossed_voxels(OCC3D_GRID, origins, directions, length_m)
    sampled = np.zeros_like(crossed)
    steps = np.linspace(0, 1, 20_001)
    for origin, direction, length in zip(origins, directions, length_m, strict=True):
        points = origin + direction * (steps[:, None] * length)
        points = points[OCC3D_GRID.contains(points)]
        voxel = np.floor((points - OCC3D_GRID.lower_m) / OCC3D_GRID.cell_m).astype(int)
        sampled[tuple(voxel.T)] = True
    assert not (sampled & ~crossed).any()
    # Samples 1.5 mm apart miss a corner now and then; the walk does not.
    assert (crossed & ~sampled).sum() <= 0.003 * crossed.sum()


def test_rays_end_in_the_first_blocked_voxel_and_at_the_side():
    grid = VoxelGrid((0.0, 0.0, 0.0), (8.0, 3.0, 1.0), 1.0)
    blocked = np.zeros(grid.shape, dtype=bool)
    blocked[4:, 1] = True
    origins = np.full((2, 3), 0.5, dtype=np.float32)
    origins[0, 1] = 1.5
    forward = np.array([[1, 0, 0], [1, 0, 0]], dtype=np.float32)
    unlimited_m = np.full(2, np.inf, dtype=np.float32)
    crossed = crossed_voxels(grid, origins, forward, unlimited_m, blocked)
    assert crossed[:, :, 0].T.astype(int).tolist() == [
        [1, 1, 1, 1, 1, 1, 1, 1],
        [1, 1, 1, 1, 1, 0, 0, 0],
        [0, 0, 0, 0, 0, 0, 0, 0],
    ]
    ends = crossed_voxels(grid, origins[:1], forward[:1], np.float32([2.4]))
    assert ends[:, 1, 0].astype(int).tolist() == [1, 1, 1, 0, 0, 0, 0, 0]
