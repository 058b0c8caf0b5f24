# SPDX-License-Identifier: Apache-2.0
"""Info pickles give the dataset that the tables give."""

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from langocc.errors import DataError
from langocc.geometry.rigid import invert_rigid, rigid_from_quaternion
from langocc.interop.info_pickles import load_infos
from langocc.scenes.frame import Frame
from langocc.scenes.nuscenes import load


def infos_of_tables(root: Path) -> list[dict[str, Any]]:
    """What BEVDet-style code makes of the tables, newest first."""

    def table(name: str) -> dict[str, dict]:
        records = json.loads((root / "v1.0-mini" / f"{name}.json").read_text())
        return {record["token"]: record for record in records}

    sensors, calibrations, poses = table("sensor"), table("calibrated_sensor"), table("ego_pose")
    scenes, samples = table("scene"), table("sample")
    infos = []
    for sample in sorted(samples.values(), key=lambda sample: -sample["timestamp"]):
        data = {}
        for record in table("sample_data").values():
            if record["sample_token"] == sample["token"] and record["is_key_frame"]:
                calibration = calibrations[record["calibrated_sensor_token"]]
                channel = sensors[calibration["sensor_token"]]["channel"]
                data[channel] = record, calibration, poses[record["ego_pose_token"]]
        sweep, lidar, pose = data.pop("LIDAR_TOP")
        infos.append(
            {
                "token": sample["token"],
                "timestamp": sample["timestamp"],
                "scene_name": scenes[sample["scene_token"]]["name"],
                "scene_token": sample["scene_token"],
                "lidar_path": f"./data/nuscenes/{sweep['filename']}",
                "lidar_idx": sweep["token"],
                "lidar2ego_translation": lidar["translation"],
                "lidar2ego_rotation": lidar["rotation"],
                "ego2global_translation": pose["translation"],
                "ego2global_rotation": pose["rotation"],
                "sweeps": [],
                "cams": {name: cam_of(name, *entry) for name, entry in data.items()},
                "gt_boxes": np.zeros((2, 9)),
                "gt_names": np.array(["car", "truck"]),
                "valid_flag": np.array([True, False]),
                "ann_infos": ([np.zeros(9)], [3]),
            }
        )
    return infos


def cam_of(name: str, record: dict, calibration: dict, pose: dict) -> dict[str, Any]:
    ego_from_cam = rigid_from_quaternion(calibration["rotation"], calibration["translation"])
    return {
        "data_path": f"/disk/samples/of/mine/{record['filename']}",
        "type": name,
        "sample_data_token": record["token"],
        "sensor2ego_translation": calibration["translation"],
        "sensor2ego_rotation": calibration["rotation"],
        "ego2global_translation": pose["translation"],
        "ego2global_rotation": pose["rotation"],
        "timestamp": record["timestamp"],
        "sensor2lidar_rotation": invert_rigid(ego_from_cam)[:3, :3],
        "cam_intrinsic": np.array(calibration["camera_intrinsic"]),
    }


def write_infos(path: Path, infos: list[dict[str, Any]]) -> Path:
    path.write_bytes(pickle.dumps({"infos": infos, "metadata": {"version": "v1.0-mini"}}))
    return path


def assert_same(a: Frame, b: Frame) -> None:
    assert (a.token, a.scene, a.timestamp_us) == (b.token, b.scene, b.timestamp_us)
    np.testing.assert_array_equal(a.global_from_ego, b.global_from_ego)
    assert list(a.cameras) == list(b.cameras)
    for one, other in zip(a.cameras.values(), b.cameras.values(), strict=True):
        assert one.image_path == other.image_path
        assert (one.width, one.height) == (other.width, other.height)
        assert one.timestamp_us == other.timestamp_us
        np.testing.assert_array_equal(one.intrinsics, other.intrinsics)
        np.testing.assert_array_equal(one.ego_from_cam, other.ego_from_cam)
        np.testing.assert_array_equal(one.global_from_ego, other.global_from_ego)
    assert a.lidar is not None
    assert b.lidar is not None
    assert (a.lidar.points_path, a.lidar.token) == (b.lidar.points_path, b.lidar.token)
    assert (a.lidar.columns, a.lidar.timestamp_us) == (b.lidar.columns, b.lidar.timestamp_us)
    np.testing.assert_array_equal(a.lidar.ego_from_lidar, b.lidar.ego_from_lidar)
    np.testing.assert_array_equal(a.lidar.global_from_ego, b.lidar.global_from_ego)


def test_the_real_key_frame(real_root: Path, tmp_path: Path):
    path = write_infos(tmp_path / "train.pkl", infos_of_tables(real_root))
    tables, pickles = load(real_root, work=tmp_path), load_infos({"train": path}, real_root)
    (a,), (b,) = tables.frames("train"), pickles.frames("train")
    assert_same(a, b)
    assert pickles.version == "v1.0-mini"


@pytest.fixture
def infos(tmp_path: Path) -> list[dict[str, Any]]:
    """Two scenes of two key frames, written by hand; images are 32 x 18."""
    made = []
    for number in range(4):
        cams = {}
        for at, name in enumerate(("CAM_B", "CAM_A")):
            file = tmp_path / "samples" / name / f"{number}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (32, 18)).save(file)
            record = {"filename": f"samples/{name}/{number}.png", "token": "", "timestamp": number}
            calibration = {
                "translation": [1.0, float(at), 2.0],
                "rotation": [0.5, -0.5, 0.5, -0.5],
                "camera_intrinsic": [[20.0, 0, 16], [0, 20, 9], [0, 0, 1]],
            }
            cams[name] = cam_of(
                name,
                record,
                calibration,
                {"translation": [number, 0, 0], "rotation": [1.0, 0.0, 0.0, 0.0]},
            )
        pose = {"translation": [0.0, 0.0, 0.0], "rotation": [1.0, 0.0, 0.0, 0.0]}
        made.append(
            {
                "token": f"t{number}",
                "timestamp": (3 - number) * 500_000,
                "scene_name": f"scene-{number // 2}",
                "lidar_path": f"samples/LIDAR_TOP/{number}.pcd.bin",
                "lidar_idx": f"l{number}",
                "cams": cams,
            }
            | {
                f"{a}_{key}": value
                for a in ("lidar2ego", "ego2global")
                for key, value in pose.items()
            }
        )
    return made


def test_frames_are_in_order_of_time_within_scenes(tmp_path: Path, infos: list):
    train = write_infos(tmp_path / "train.pkl", infos[:2])
    val = write_infos(tmp_path / "val.pkl", infos[2:])
    dataset = load_infos({"train": train, "val": val}, tmp_path)
    assert dataset.splits == {"train": ("scene-0",), "val": ("scene-1",)}
    assert [f.token for f in dataset.frames("train")] == ["t1", "t0"]
    assert [f.token for f in dataset.frames("val")] == ["t3", "t2"]
    frame = dataset.frame("t2")
    assert list(frame.cameras) == ["CAM_B", "CAM_A"]
    assert frame.lidar is None  # no such file
    camera = frame.cameras["CAM_A"]
    assert (camera.width, camera.height) == (32, 18)
    assert camera.ego_from_cam[1, 3] == 1.0
    assert camera.global_from_ego[0, 3] == 2.0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda info: info.pop("token"), "info 1: no field 'token'"),
        (lambda info: info["cams"].pop("CAM_A"), "info 1: cams: no field 'CAM_A'"),
        (lambda info: info["cams"]["CAM_A"].pop("cam_intrinsic"), "info 1: cams: CAM_A: no field"),
        (lambda info: info.update(ego2global_translation=[0, np.nan, 0]), "finite numbers"),
        (lambda info: info.update(ego2global_rotation=[0.0, 0, 0, 0]), "ego2global_rotation: quat"),
        (lambda info: info["cams"]["CAM_A"]["cam_intrinsic"].fill(0), "focal lengths > 0"),
        (lambda info: info.update(timestamp="noon"), "timestamp: expected microseconds"),
        (lambda info: info.update(lidar_path="a.bin"), "lidar_path: expected .*samples"),
        (lambda info: info.update(lidar_path="samples/../../x"), "lidar_path: expected .*samples"),
        (lambda info: info.update(token="t0"), "the token 't0' twice"),
        (lambda info: info.update(scene_name=3), "scene_name: expected text, got 3"),
    ],
)
def test_damaged_infos_are_named(
    tmp_path: Path, infos: list, change: Callable[[dict], object], message: str
):
    change(infos[1])
    path = write_infos(tmp_path / "train.pkl", infos)
    with pytest.raises(DataError, match=message):
        load_infos({"train": path}, tmp_path)


def test_other_pickles_are_refused(tmp_path: Path, infos: list):
    path = tmp_path / "train.pkl"
    for content in ([], {"infos": infos}, {"infos": [], "metadata": {"version": "v1.0-mini"}}):
        path.write_bytes(pickle.dumps(content))
        with pytest.raises(DataError, match=r"info|version"):
            load_infos({"train": path}, tmp_path)
    infos[0]["evil"] = Path("x")
    write_infos(path, infos)
    with pytest.raises(DataError, match="refused: it names pathlib"):
        load_infos({"train": path}, tmp_path)
