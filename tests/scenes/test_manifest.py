"""A rig manifest: frames as written, both ways, and what is refused."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml

from langocc.errors import ConfigError, DataError
from langocc.geometry.rigid import rigid_from_quaternion
from langocc.scenes.lidar import read_points
from langocc.scenes.manifest import load_manifest
from langocc.scenes.manifest_writer import write_manifest
from langocc.scenes.opening import frames_of, open_dataset
from scenes.nuscenes_kit import write_nuscenes
from scenes.rig_kit import HEIGHT, WIDTH, rig_content, write_rig


@pytest.mark.parametrize("cameras", [1, 2, 12])
def test_frames_are_as_written(tmp_path: Path, cameras: int) -> None:
    dataset = open_dataset(write_rig(tmp_path, rig_content(cameras)))
    assert dataset.splits == {"train": ("a",), "val": ("b",), "test": ()}
    frames = list(dataset.frames("train"))
    assert [frame.token for frame in frames] == ["a-000000", "a-000001", "a-000002"]
    assert list(frames[0].cameras) == [f"cam{at}" for at in range(cameras)]
    camera = frames[2].cameras["cam0"]
    assert (camera.width, camera.height, camera.timestamp_us) == (WIDTH, HEIGHT, 200_000)
    assert camera.image_path == tmp_path / "cam0.png"
    assert camera.global_from_ego[:3, 3].tolist() == [2, 0, 0]
    assert camera.intrinsics.tolist() == [[16, 0, 16], [0, 16, 9], [0, 0, 1]]
    ahead = camera.ego_from_cam @ [0, 0, 1, 1]  # 1 m before the camera, which looks ahead
    np.testing.assert_allclose(ahead[:3], [1.5, 0, 1.5], atol=1e-12)
    assert all(frame.lidar is None for frame in frames)
    assert dataset.position("b-000001") == ("b", 1)


def test_an_image_may_have_its_own_time_and_pose(tmp_path: Path) -> None:
    def edit(content: dict) -> None:
        pose = {"translation_m": [7, 8, 9], "rotation_wxyz": [0.6, 0.0, 0.0, 0.8]}
        shot = {"path": "cam1.png", "timestamp_us": 12, "global_from_ego": pose}
        content["scenes"][0]["frames"][0]["images"]["cam1"] = shot

    camera = next(open_dataset(write_rig(tmp_path, damage=edit)).frames()).cameras["cam1"]
    assert camera.timestamp_us == 12
    expected = rigid_from_quaternion([0.6, 0.0, 0.0, 0.8], [7.0, 8.0, 9.0])
    np.testing.assert_allclose(camera.global_from_ego, expected)


def test_a_single_frame_needs_no_pose_and_yaml_will_do(tmp_path: Path) -> None:
    content = rig_content(frames=1, scenes=("only",))
    del content["scenes"][0]["frames"][0]["global_from_ego"]
    del content["scenes"][0]["split"]
    write_rig(tmp_path, content)
    (tmp_path / "rig.json").unlink()
    (tmp_path / "rig.yaml").write_text(yaml.safe_dump(json.loads(json.dumps(content))))
    dataset = open_dataset(tmp_path / "rig.yaml")
    (frame,) = frames_of(dataset, "train")
    np.testing.assert_array_equal(frame.global_from_ego, np.eye(4))
    (same,) = frames_of(dataset, "val")  # no scene names a split
    assert same.token == frame.token
    dataset = open_dataset(write_rig(tmp_path / "split"))
    assert {frame.scene for frame in frames_of(dataset, "val")} == {"b"}


def test_lidar_of_some_frames(tmp_path: Path) -> None:
    points = np.arange(10, dtype="<f4").reshape(2, 5)

    def edit(content: dict) -> None:
        points.tofile(tmp_path / "sweep.bin")
        pose = {"translation_m": [0, 0, 1.8], "rotation_wxyz": [1, 0, 0, 0]}
        content["ego_from_lidar"] = pose
        content["scenes"][0]["frames"][1]["lidar"] = "sweep.bin"

    without, with_lidar, _ = open_dataset(write_rig(tmp_path, damage=edit)).frames("train")
    assert without.lidar is None
    assert with_lidar.lidar is not None
    assert with_lidar.lidar.ego_from_lidar[2, 3] == 1.8
    np.testing.assert_array_equal(read_points(with_lidar.lidar), points)


@pytest.mark.parametrize("name", ["rig.json", "rig.yaml"])
def test_nuscenes_comes_back_from_its_manifest(tmp_path: Path, name: str) -> None:
    before = open_dataset(write_nuscenes(tmp_path / "nuscenes"), work=tmp_path / "work")
    write_manifest(before, tmp_path / "own" / name)
    after = open_dataset(tmp_path / "own")
    assert before.splits == {k: v for k, v in after.splits.items() if k in before.splits}
    pairs = list(zip(before.frames(), after.frames(), strict=True))
    assert len(pairs) == 6
    for one, other in pairs:
        assert (one.token, one.scene, one.timestamp_us) == (
            other.token,
            other.scene,
            other.timestamp_us,
        )
        np.testing.assert_allclose(one.global_from_ego, other.global_from_ego, atol=1e-12)
        assert list(one.cameras) == list(other.cameras)
        for a, b in zip(one.cameras.values(), other.cameras.values(), strict=True):
            assert a.image_path.samefile(b.image_path)
            assert a.timestamp_us == b.timestamp_us
            np.testing.assert_allclose(a.ego_from_cam, b.ego_from_cam, atol=1e-12)
            np.testing.assert_allclose(a.global_from_ego, b.global_from_ego, atol=1e-12)
            np.testing.assert_array_equal(a.intrinsics, b.intrinsics)
        assert one.lidar is not None
        assert other.lidar is not None
        assert one.lidar.points_path.samefile(other.lidar.points_path)
        np.testing.assert_allclose(one.lidar.ego_from_lidar, other.lidar.ego_from_lidar, atol=1e-12)


def test_some_cameras_without_lidar(tmp_path: Path) -> None:
    before = open_dataset(write_nuscenes(tmp_path / "nuscenes"), work=tmp_path / "work")
    kept = ["CAM_BACK", "CAM_FRONT"]
    write_manifest(before, tmp_path / "own" / "rig.json", cameras=kept, lidar=False)
    frame = next(open_dataset(tmp_path / "own").frames())
    assert list(frame.cameras) == kept
    assert frame.lidar is None
    with pytest.raises(ConfigError, match=r"expected some of .*, found CAM_TOP"):
        write_manifest(before, tmp_path / "own" / "rig.json", cameras=["CAM_TOP"])
    with pytest.raises(ConfigError, match=r"expected the name rig.json or .*, found 'mine.json'"):
        write_manifest(before, tmp_path / "mine.json")


def _camera(content: dict) -> dict:
    return content["cameras"]["cam0"]


def _frame(content: dict) -> dict:
    return content["scenes"][0]["frames"][1]


def _pose(content: dict) -> dict:
    return _frame(content)["global_from_ego"]


MISTAKES: dict[str, tuple[Callable[[dict], object], str]] = {
    "missing image": (
        lambda c: _frame(c)["images"].update(cam0="gone.png"),
        r"scenes\[0\].frames\[1\].images.cam0: expected a file, found none at .*gone.png",
    ),
    "no image of a camera": (
        lambda c: _frame(c)["images"].pop("cam1"),
        r"frames\[1\].images: expected one image of each camera \(cam0, cam1\), found cam0",
    ),
    "non-unit quaternion": (
        lambda c: _pose(c).update(rotation_wxyz=[1, 1, 0, 0]),
        r"frames\[1\].*rotation_wxyz: expected a quaternion of length 1, found .* length 1.414",
    ),
    "unknown distortion": (
        lambda c: _camera(c).update(distortion={"model": "fish", "coefficients": []}),
        r"cameras.cam0.distortion: expected one of none, fisheye, radial_tangential, found 'fish'",
    ),
    "unknown distortion as a word": (
        lambda c: _camera(c).update(distortion="omnidirectional"),
        r"cameras.cam0.distortion: expected one of none, .*, found 'omnidirectional'",
    ),
    "too few coefficients": (
        lambda c: _camera(c).update(distortion={"model": "fisheye", "coefficients": [0.1]}),
        r"cameras.cam0.distortion: expected 4 finite coefficients of the model fisheye, found",
    ),
    "coefficients of pixels": (
        lambda c: _camera(c).update(
            distortion={"model": "fisheye", "coefficients": [-1e6, 0.0, 0.0, 0.0]}
        ),
        r"cameras.cam0.distortion: expected coefficients under which the image grows",
    ),
    "views of a pinhole": (
        lambda c: _camera(c).update(views=[{"wide_deg": 60.0}]),
        r"cameras.cam0.views: expected them for distorted images only",
    ),
    "a missing distorted image": (
        lambda c: (
            _camera(c).update(distortion={"model": "fisheye", "coefficients": [0.0] * 4}),
            _frame(c)["images"].update(cam0="gone.png"),
        ),
        r"scenes\[0\].frames\[1\].images.cam0: expected a file, found none at .*gone.png",
    ),
    "negative time": (
        lambda c: c["scenes"][0]["frames"][0].update(timestamp_us=-1),
        r"frames\[0\].timestamp_us: expected microseconds >= 0, found -1",
    ),
    "same time twice": (
        lambda c: c["scenes"][0]["frames"][2].update(timestamp_us=100_000),
        r"frames\[2\].timestamp_us: expected more than the 100000 before it, found 100000",
    ),
    "NaN in a pose": (
        lambda c: _pose(c).update(translation_m=[0, float("nan"), 0]),
        r"translation_m: expected 3 finite numbers, found \[0.0, nan, 0.0\]",
    ),
    "NaN in intrinsics": (
        lambda c: _camera(c)["intrinsics"].update(fx=float("nan")),
        r"cameras.cam0.intrinsics: expected finite fx, .*, found \(nan",
    ),
    "no camera": (
        lambda c: c.update(cameras={}),
        "cameras: expected at least one camera, found none",
    ),
    "scaled matrix": (
        lambda c: _camera(c)["ego_from_cam"]["matrix"][0].__setitem__(2, 100.0),
        r"cameras.cam0.ego_from_cam.matrix: expected a rotation",
    ),
    "both forms of a pose": (
        lambda c: _pose(c).update(matrix=np.eye(4).tolist()),
        "expected matrix or translation_m and rotation_wxyz, not both",
    ),
    "no pose": (
        lambda c: _frame(c).pop("global_from_ego"),
        r"frames\[1\].global_from_ego: expected a vehicle pose",
    ),
    "misspelt field": (
        lambda c: _camera(c).update(breadth=3),
        r"unknown field `breadth` - at `\$.cameras",
    ),
    "text for a number": (
        lambda c: _camera(c).update(width="32"),
        r"Expected `int`, got `str` - at `\$.cameras\[...\].width`",
    ),
    "scene twice": (
        lambda c: c["scenes"][1].update(name="a"),
        "scenes: expected a name once, found 'a' twice",
    ),
    "a path for a token": (
        lambda c: _frame(c).update(token="../x"),
        r"frames\[1\].*expected a name of letters.*'../x'",
    ),
    "LiDAR without its pose": (
        lambda c: _frame(c).update(lidar="cam0.png"),
        "ego_from_lidar: expected the pose of the LiDAR",
    ),
    "another format": (lambda c: c.update(format=2), "format: expected 1, found 2"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_are_named(tmp_path: Path, name: str) -> None:
    damage, message = MISTAKES[name]
    folder = write_rig(tmp_path, damage=damage)
    with pytest.raises(DataError, match=message) as caught:
        open_dataset(folder)
    assert str(folder / "rig.json") in str(caught.value)


def test_files_that_are_no_manifest(tmp_path: Path) -> None:
    (tmp_path / "rig.json").write_text("{")
    with pytest.raises(DataError, match=r"rig.json: not JSON"):
        open_dataset(tmp_path)
    (tmp_path / "rig.json").write_text(json.dumps([]))
    with pytest.raises(DataError, match=r"rig.json: Expected `object`, got `array`"):
        open_dataset(tmp_path)
    (tmp_path / "rig.yaml").write_text("a: 1")
    with pytest.raises(DataError, match=r"expected one manifest, found rig.json, rig.yaml"):
        open_dataset(tmp_path)
    with pytest.raises(DataError, match="no such manifest"):
        load_manifest(tmp_path / "none.json")
