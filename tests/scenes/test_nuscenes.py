# SPDX-License-Identifier: Apache-2.0
"""nuScenes tables become frames; later reads come from the index."""

import json
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from nuscenes_kit import CAMERAS, SWEEP_POINTS, edit_table, write_nuscenes

import langocc.scenes.nuscenes as nuscenes_module
from langocc.errors import DataError
from langocc.geometry.rigid import rigid_from_quaternion
from langocc.scenes.index import fingerprint, read_index, write_index
from langocc.scenes.keyframes import NUSCENES_CAMERAS, build_index
from langocc.scenes.lidar import read_points
from langocc.scenes.nuscenes import load
from langocc.scenes.splits import official_splits


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_nuscenes(tmp_path / "nuscenes")


def records(root: Path, table: str) -> dict[str, dict]:
    content = json.loads((root / "v1.0-mini" / f"{table}.json").read_text())
    return {record["token"]: record for record in content}


def test_frames_are_the_tables_records(root: Path):
    dataset = load(root)
    poses, calibrations = records(root, "ego_pose"), records(root, "calibrated_sensor")
    data = records(root, "sample_data")
    frames = list(dataset.frames())
    assert [f.token for f in frames] == [
        f"{scene}-{number}" for scene in ("scene-0061", "scene-0103") for number in range(3)
    ]
    for frame in frames:
        assert tuple(frame.cameras) == NUSCENES_CAMERAS
        for channel, camera in frame.cameras.items():
            record = data[f"d-{frame.token}-{channel}-True"]
            pose, calibration = poses[record["ego_pose_token"]], calibrations[f"c-{channel}"]
            assert camera.image_path == root / record["filename"]
            assert (camera.width, camera.height) == (32, 18)
            assert camera.timestamp_us == record["timestamp"]
            np.testing.assert_array_equal(camera.intrinsics, calibration["camera_intrinsic"])
            for transform, source in (
                (camera.ego_from_cam, calibration),
                (camera.global_from_ego, pose),
            ):
                expected = rigid_from_quaternion(source["rotation"], source["translation"])
                np.testing.assert_allclose(transform, expected, rtol=0, atol=1e-15)
        assert frame.lidar is not None
        assert frame.lidar.token == f"d-{frame.token}-LIDAR_TOP-True"
        assert read_points(frame.lidar).shape == (SWEEP_POINTS, 5)
        np.testing.assert_array_equal(frame.global_from_ego, frame.lidar.global_from_ego)
        assert not np.array_equal(frame.global_from_ego, frame.cameras["CAM_FRONT"].global_from_ego)


def test_the_real_key_frame(real_root: Path, tmp_path: Path):
    dataset = load(real_root, work=tmp_path)
    frame = dataset.frame("ca9a282c9e77460f8360f564131a8af5")
    assert dataset.splits["train"] == ("scene-0061",)
    assert frame.timestamp_us == 1532402927647951
    front = frame.cameras["CAM_FRONT"]
    assert front.intrinsics[0, 0] == 1266.417203046554
    assert front.image_path.is_file()
    assert front.ego_from_cam[:3, 3].tolist() == [
        1.7007912397384644, 0.01594563201069832, 1.5109575986862183,
    ]  # fmt: skip
    # The front camera looks forward, the LiDAR stands above the rear axle's front.
    assert front.ego_from_cam[0, 2] == pytest.approx(1.0, abs=1e-3)
    assert frame.lidar is not None
    points = read_points(frame.lidar)
    assert points.shape[1] == 5
    assert len(points) > 30_000
    assert frame.lidar.ego_from_lidar[2, 3] == pytest.approx(1.84, abs=0.01)


def test_later_reads_come_from_the_index(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    first = load(root, work=tmp_path / "work")
    monkeypatch.setattr(nuscenes_module, "build_index", lambda tables: pytest.fail("built again"))
    second = load(root, work=tmp_path / "work")
    for a, b in zip(first.frames(), second.frames(), strict=True):
        assert a.token == b.token
        assert a.cameras.keys() == b.cameras.keys()
        for name in a.cameras:
            np.testing.assert_array_equal(
                a.cameras[name].global_from_ego, b.cameras[name].global_from_ego
            )
            assert a.cameras[name].image_path == b.cameras[name].image_path
    assert not list((tmp_path / "work").rglob("*.part"))


def test_changed_tables_are_read_again(root: Path, tmp_path: Path):
    load(root, work=tmp_path / "work")
    edit_table(root, "scene", lambda scenes: [{**s, "name": s["name"] + "x"} for s in scenes])
    assert list(load(root, work=tmp_path / "work").scenes) == ["scene-0061x", "scene-0103x"]


def test_a_touched_table_is_another_table(root: Path):
    tables = root / "v1.0-mini"
    before = fingerprint(tables)
    os.utime(tables / "sample.json", ns=(1, 1))
    assert fingerprint(tables) != before


@pytest.mark.parametrize("damage", ["cut", "other format", "garbage", "wrong axes"])
def test_a_damaged_index_is_built_again(root: Path, tmp_path: Path, damage: str):
    load(root, work=tmp_path)
    path, state = tmp_path / "index" / "v1.0-mini.msgpack", fingerprint(root / "v1.0-mini")
    content = path.read_bytes()
    assert read_index(path, state) is not None
    if damage == "wrong axes":
        index = build_index(root / "v1.0-mini")
        object.__setattr__(index, "taken_us", index.taken_us.ravel())
        write_index(path, state, index)
    else:
        path.write_bytes(
            {
                "cut": content[:-100],
                "other format": content.replace(b"\xa6format\x01", b"\xa6format\x7f"),
                "garbage": b"\x00" * 100,
            }[damage]
        )
        assert path.read_bytes() != content
    assert read_index(path, state) is None
    assert len(list(load(root, work=tmp_path).frames())) == 6
    assert path.read_bytes() == content


def test_positions_and_slices(root: Path):
    dataset = load(root)
    assert dataset.position("scene-0103-2") == ("scene-0103", 2)
    assert dataset.frame("scene-0103-2").scene == "scene-0103"
    frames = dataset.scenes["scene-0061"]
    assert [f.token for f in frames[1:]] == ["scene-0061-1", "scene-0061-2"]
    assert frames[-1].token == "scene-0061-2"
    with pytest.raises(IndexError):
        frames[3]
    with pytest.raises(DataError, match="no frame has the token 'nobody'"):
        dataset.frame("nobody")


def test_a_dataset_travels_to_another_process(root: Path):
    dataset = pickle.loads(pickle.dumps(load(root)))
    assert dataset.frame("scene-0103-1").cameras["CAM_BACK"].width == 32


def test_other_cameras_keep_the_tables_order(tmp_path: Path):
    cameras = ("CAM_REAR", "CAM_MAIN")
    root = write_nuscenes(tmp_path, cameras=cameras, has_lidar=False)
    frame = next(load(root).frames())
    assert tuple(frame.cameras) == cameras
    assert frame.lidar is None
    np.testing.assert_array_equal(frame.global_from_ego, frame.cameras["CAM_REAR"].global_from_ego)


def test_a_missing_sweep_leaves_the_frame_without_lidar(root: Path):
    path = next((root / "samples" / "LIDAR_TOP").iterdir())
    token = path.name.split("__")[0]
    path.unlink()
    frame = load(root).frame(token)
    assert frame.lidar is None
    assert frame.global_from_ego[1, 3] == pytest.approx(200.06)  # still the LiDAR's pose
    assert load(root, present_only=False).frame(token).lidar is not None


def test_missing_images_leave_key_frames_out(root: Path):
    for path in (root / "samples" / "CAM_BACK").glob("scene-0061-[01]*"):
        path.unlink()
    dataset = load(root)
    assert [f.token for f in dataset.scenes["scene-0061"]] == ["scene-0061-2"]
    assert dataset.position("scene-0061-2") == ("scene-0061", 0)
    assert len(list(load(root, present_only=False).frames())) == 6
    for path in root.glob("samples/CAM_BACK/*"):
        path.unlink()
    with pytest.raises(DataError, match=r"none of the 6 key frames .*CAM_BACK/.*blobs"):
        load(root)


def test_versions(tmp_path: Path):
    write_nuscenes(tmp_path, version="v1.0-mini")
    write_nuscenes(tmp_path, version="v1.0-test", scenes=("scene-0077",))
    with pytest.raises(DataError, match=r"several versions, v1\.0-mini, v1\.0-test; name one"):
        load(tmp_path)
    with pytest.raises(DataError, match=r"no version 'v1\.0-tset'; there are v1\.0-mini"):
        load(tmp_path, version="v1.0-tset")
    dataset = load(tmp_path, version="v1.0-test")
    assert dataset.splits == {"train": (), "val": (), "test": ("scene-0077",)}
    write_nuscenes(tmp_path, version="v1.0-trainval", scenes=("scene-0001", "scene-0003"))
    dataset = load(tmp_path)
    assert dataset.version == "v1.0-trainval"
    assert dataset.splits["train"] == ("scene-0001",)
    assert dataset.splits["val"] == ("scene-0003",)


def test_official_splits():
    full, mini = official_splits("v1.0-trainval"), official_splits("v1.0-mini")
    assert {split: len(names) for split, names in full.items()} == {
        "train": 700, "val": 150, "test": 150,
    }  # fmt: skip
    names = [name for scenes in full.values() for name in scenes]
    assert len(set(names)) == 1000
    assert {split: len(names) for split, names in mini.items()} == {"train": 8, "val": 2}
    # Two scenes that mini trains on, 0553 and 0796, are in the full val split.
    assert set(mini["train"]) - set(full["train"]) == {"scene-0553", "scene-0796"}
    assert {"scene-0553", "scene-0796", *mini["val"]} <= set(full["val"])


def test_splits_of_the_root_win(root: Path):
    splits = {"train": ["scene-0103"], "test": ["scene-0061", "scene-9999"]}
    (root / "splits.json").write_text(json.dumps(splits))
    dataset = load(root)
    assert dataset.splits == {"train": ("scene-0103",), "test": ("scene-0061",)}
    assert [f.token for f in dataset.frames("test")] == [f"scene-0061-{n}" for n in range(3)]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"train": ["a"], "val": ["a"]}', "'a' is in train and again in val"),
        ('{"training": []}', "expected .*train"),
        ('{"train": [', "expected .*truncated"),
    ],
)
def test_wrong_splits_are_refused(root: Path, content: str, message: str):
    (root / "splits.json").write_text(content)
    with pytest.raises(DataError, match=rf"splits\.json: .*{message}|splits\.json: {message}"):
        load(root)


def test_the_published_tree(tmp_path: Path):
    write_nuscenes(tmp_path / "nuscenes")
    (tmp_path / "gts").mkdir()
    (tmp_path / "retrieval_benchmark_release").mkdir()
    (tmp_path / "splits.json").write_text('{"train": ["scene-0103"]}')
    dataset = load(tmp_path)
    folders = dataset.folders
    frame = dataset.frame("scene-0103-1")
    assert folders.occ3d_label(frame) == tmp_path / "gts/scene-0103/scene-0103-1/labels.npz"
    assert folders.retrieval == tmp_path / "retrieval_benchmark_release"
    assert folders.work == tmp_path / "langocc"
    assert (tmp_path / "langocc/index/v1.0-mini.msgpack").is_file()
    assert dataset.splits == {"train": ("scene-0103",)}
    assert folders.lidarseg_label("v1.0-mini", "t") == (
        tmp_path / "nuscenes/lidarseg/v1.0-mini/t_lidarseg.bin"
    )
    assert len(CAMERAS) == len(frame.cameras)
