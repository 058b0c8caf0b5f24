"""Pixels of other times as rays of the key frame: recorded arrays and closed forms."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from langocc.errors import DataError
from langocc.features.rays import cast_pixels, scene_geometry
from langocc.features.sources import project
from langocc.geometry.rigid import invert_rigid, rigid_from_quaternion, transform_points
from langocc.scenes.frame import Camera, Frame


def recorded_frames(results) -> list[Frame]:
    frames = []
    for info in results["render_frames"]:
        cameras = {}
        for name in results["cam_names"]:
            cam = info["cams"][name]
            cameras[name] = Camera(
                image_path=Path(name),
                width=1600,
                height=900,
                intrinsics=np.array(cam["cam_intrinsic"], dtype=np.float64),
                ego_from_cam=rigid_from_quaternion(
                    cam["sensor2ego_rotation"], cam["sensor2ego_translation"]
                ),
                global_from_ego=rigid_from_quaternion(
                    cam["ego2global_rotation"], cam["ego2global_translation"]
                ),
                timestamp_us=0,
            )
        pose = rigid_from_quaternion(info["ego2global_rotation"], info["ego2global_translation"])
        frames.append(Frame(info["token"], results["scene_name"], 0, cameras, pose))
    return frames


@pytest.fixture(scope="module")
def recorded(parity_dir):
    arrays = np.load(parity_dir / "data.npz")
    results = json.loads(str(arrays["results_json"][0]))
    return arrays, results, recorded_frames(results)


@pytest.mark.parity
def test_transforms_equal_the_recorded_ones(recorded):
    """Recorded in float32 at 1,700 m from the origin: 1.2e-4 m is half a step there."""
    arrays, results, frames = recorded
    key = frames[int(arrays["zero_index"][0])]
    key_from_cam = scene_geometry(frames).key_from_cam(int(arrays["zero_index"][0]), range(3))
    np.testing.assert_allclose(key_from_cam, arrays["cam2ego_lidar_t"], atol=2.5e-4)
    for index, info in enumerate(results["render_frames"]):
        ego_from_lidar = rigid_from_quaternion(
            info["lidar2ego_rotation"], info["lidar2ego_translation"]
        )
        key_from_lidar = invert_rigid(key.global_from_ego) @ frames[index].global_from_ego
        np.testing.assert_allclose(
            key_from_lidar @ ego_from_lidar, arrays["lidar2ego_l_t"][index], atol=2.5e-4
        )


@pytest.mark.parity
@pytest.mark.parametrize(("scale", "crop_top", "name"), [(1, 0, ""), (0.22, 7, "_scaled022_crop7")])
def test_projection_equals_the_recorded_one(recorded, scale, crop_top, name):
    arrays, results, frames = recorded
    points = np.random.default_rng(0).uniform(-30, 30, size=(200, 3))
    for index, (info, frame) in enumerate(zip(results["render_frames"], frames, strict=True)):
        global_from_lidar = frame.global_from_ego @ rigid_from_quaternion(
            info["lidar2ego_rotation"], info["lidar2ego_translation"]
        )
        points_global = transform_points(global_from_lidar, points)
        for number, camera in enumerate(frame.cameras.values()):
            row_col, depth_m = project(points_global, camera)
            image_from_lidar = arrays["lidar2img" + name][index, number].astype(np.float64)
            expected = transform_points(image_from_lidar, points)
            near = expected[:, 2] > 2.0
            assert near.sum() > 20
            np.testing.assert_allclose(depth_m[near], expected[near, 2], atol=1e-3)
            # float32 matrix entries near 2,000: a few tenths of a pixel at the image's far sides
            col = row_col[near, 1] * scale
            row = row_col[near, 0] * scale - crop_top
            np.testing.assert_allclose(
                np.stack([col, row], 1),
                expected[near, :2] / expected[near, 2:],
                rtol=2e-3,
                atol=0.2,
            )


@pytest.mark.parity
def test_rays_and_their_order_equal_the_recorded_ones(recorded):
    """Depth filter first, then a permutation of the pool; intrinsics of the key frame."""
    arrays, _, frames = recorded
    key, geometry = int(arrays["zero_index"][0]), scene_geometry(frames)
    pixels = np.concatenate([arrays[f"ray_pixels_{t}"] for t in range(3)]).astype(np.float32)
    depths = np.concatenate([arrays[f"ray_depths_{t}"] for t in range(3)])
    cameras = np.concatenate([arrays[f"ray_cams_{t}"] for t in range(3)]).astype(np.int64)
    features = np.concatenate([arrays[f"ray_features_{t}"] for t in range(3)])
    times = np.repeat(np.arange(3), 40)
    valid = np.flatnonzero((depths >= 0.05) & (depths < 40.0))
    drawn = valid[np.random.RandomState(123).permutation(len(valid))[:64]]
    origins, directions = cast_pixels(
        pixels[drawn],
        times[drawn],
        cameras[drawn],
        geometry.key_from_cam(key, range(3)),
        geometry.unprojected_by(key, range(3), "key"),
        arrays["ray_bda"].astype(np.float64),
    )
    expected = arrays["ray_dataset_cols0to23"]
    np.testing.assert_array_equal(expected[:, 0], times[drawn])
    np.testing.assert_array_equal(expected[:, 1], cameras[drawn])
    np.testing.assert_array_equal(arrays["ray_coor"], pixels[drawn])
    np.testing.assert_array_equal(expected[:, 8:], features[drawn])
    np.testing.assert_allclose(origins, expected[:, 2:5], atol=2.5e-4)
    np.testing.assert_allclose(directions, expected[:, 5:8], atol=1e-6)


def test_ray_through_a_projected_point_meets_it(drive):
    """project() and cast_pixels() are each other's inverse, across times and with a flip."""
    frames = drive.scenes["scene-a"]
    key, other, geometry = frames[1], frames[4], scene_geometry(frames)
    flip = np.diag([-1.0, 1.0, 1.0])
    points_key = np.random.default_rng(0).uniform((-20, -20, 0), (30, 20, 4), size=(300, 3))
    points_global = transform_points(key.global_from_ego, points_key)
    met = 0
    for number, camera in enumerate(other.cameras.values()):
        row_col, depth_m = project(points_global, camera)
        seen = depth_m > 0.5
        met += seen.sum()
        count = int(seen.sum())
        origins, directions = cast_pixels(
            row_col[seen],
            np.zeros(count, dtype=np.int64),
            np.full(count, number),
            geometry.key_from_cam(1, [4]),
            geometry.unprojected_by(1, [4], "own"),
            flip,
        )
        np.testing.assert_allclose(np.linalg.norm(directions, axis=1), 1.0, rtol=1e-12)
        to_point = points_key[seen] @ flip.T - origins
        distance = np.linalg.norm(to_point, axis=1, keepdims=True)
        np.testing.assert_allclose(to_point / distance, directions, atol=1e-9)
    assert met > 100


def test_intrinsics_quirk_takes_the_key_frames_matrices(drive):
    frames = list(drive.scenes["scene-a"])
    cameras = {
        name: replace(camera, intrinsics=2 * camera.intrinsics)
        for name, camera in frames[3].cameras.items()
    }
    geometry = scene_geometry([frames[0], replace(frames[3], cameras=cameras)])
    own = geometry.unprojected_by(0, [0, 1], "own")
    quirk = geometry.unprojected_by(0, [0, 1], "key")
    np.testing.assert_array_equal(own[1], 2 * own[0])
    np.testing.assert_array_equal(quirk, [own[0], own[0]])


def test_frames_with_other_cameras_are_refused(drive):
    frames = list(drive.scenes["scene-a"])
    fewer = dict(list(frames[1].cameras.items())[:2])
    with pytest.raises(DataError, match=r"scene-a-1: expected the cameras CAM_0, CAM_1, CAM_2"):
        scene_geometry([frames[0], replace(frames[1], cameras=fewer)])
