"""nerfstudio's transforms.json as a manifest: the same rays in the world, and what is refused."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from langocc import cli
from langocc.errors import DataError
from langocc.scenes.opening import open_dataset
from langocc.scenes.rig_check import outlook, suspicions
from langocc.scenes.transforms_import import ImportPlan, import_transforms

FLIP = np.diag([1.0, -1.0, -1.0, 1.0])


def opengl_pose(position: tuple[float, float, float], yaw_deg: float) -> np.ndarray:
    """A level camera of nerfstudio: x right, y up, z back; the world's z is up."""
    c, s = np.cos(np.deg2rad(yaw_deg)), np.sin(np.deg2rad(yaw_deg))
    pose = np.eye(4)
    pose[:3, :3] = np.array([[s, 0.0, -c], [-c, 0.0, -s], [0.0, 1.0, 0.0]])
    pose[:3, 3] = position
    return pose


def write_transforms(folder: Path, **changes: object) -> tuple[Path, list[np.ndarray]]:
    """Two cameras in folders of their own, three moments, heading 30 degrees left of x."""
    poses, frames = [], []
    for camera, turn in (("left", 60.0), ("ahead", 0.0)):
        (folder / camera).mkdir(parents=True, exist_ok=True)
        for at in range(3):
            Image.new("RGB", (32, 18)).save(folder / camera / f"{at:03d}.png")
            pose = opengl_pose((3.0 + at, 4.0, 7.0), 30.0 + turn)
            poses.append(pose)
            file = f"{camera}/{at:03d}.png"
            frames.append({"file_path": file, "transform_matrix": pose.tolist()})
    content = {"camera_model": "OPENCV", "fl_x": 16.0, "fl_y": 15.0, "cx": 16.0, "cy": 9.0}
    content |= {"w": 32, "h": 18, "frames": frames}
    content |= changes
    (folder / "transforms.json").write_text(json.dumps(content))
    return folder / "transforms.json", poses


def test_images_keep_their_place_in_the_world(tmp_path: Path, capsys) -> None:
    _, poses = write_transforms(tmp_path / "nerf")
    arguments = ["import-rig", str(tmp_path / "nerf"), "--out", str(tmp_path / "own")]
    options = ["--cameras", "folders", "--metres", "2", "--height", "1.6", "--val", "0.3"]
    assert cli.run([*arguments, *options]) == 0
    assert "2 cameras, 3 moments" in capsys.readouterr().out
    dataset = open_dataset(tmp_path / "own")
    assert dataset.splits == {"train": ("drive",), "val": ("drive-val",), "test": ()}
    frames = list(dataset.frames())
    assert [f.timestamp_us for f in frames] == [0, 100_000, 200_000]
    for at, frame in enumerate(frames):
        for name, pose in (("left", poses[at]), ("ahead", poses[3 + at])):
            camera = frame.cameras[name]
            world = pose @ FLIP
            world[:3, 3] *= 2
            np.testing.assert_allclose(
                camera.global_from_ego @ camera.ego_from_cam, world, atol=1e-9
            )
            assert camera.intrinsics[1, 1] == 15
            assert camera.image_path.samefile(tmp_path / "nerf" / name / f"{at:03d}.png")
    left, ahead = (outlook(frames[0].cameras[name]) for name in ("left", "ahead"))
    assert left.yaw_deg == pytest.approx(0, abs=1e-6)  # the vehicle heads where the first looks
    assert ahead.yaw_deg == pytest.approx(-60)
    assert left.height_m == pytest.approx(1.6)
    assert suspicions(frames[0].cameras) == []


def test_one_camera_with_times_and_a_fisheye_lens(tmp_path: Path) -> None:
    lens = {"camera_model": "OPENCV_FISHEYE", "k1": 0.1, "k2": 0.0, "k3": 0.0, "k4": 0.0}
    path, _ = write_transforms(tmp_path, **lens)
    content = json.loads(path.read_text())
    content["frames"] = [
        frame | {"time": 0.5 * at} for at, frame in enumerate(content["frames"][:3])
    ]
    path.write_text(json.dumps(content))
    rig = import_transforms(path, tmp_path, ImportPlan())
    assert list(rig.cameras) == ["camera"]
    assert rig.cameras["camera"].distortion.model == "fisheye"
    assert rig.cameras["camera"].distortion.coefficients == [0.1, 0.0, 0.0, 0.0]
    assert [f.timestamp_us for f in rig.scenes[0].frames] == [0, 500_000, 1_000_000]


REFUSED = {
    "no frames": ({"frames": []}, "expected nerfstudio's `frames`"),
    "model": ({"camera_model": "EQUIRECTANGULAR"}, "camera_model: expected one of OPENCV"),
    "no width": ({"w": None}, "expected the number `w`, found None"),
    "no image": (
        {"frames": [{"file_path": "gone.png", "transform_matrix": np.eye(4).tolist()}]},
        r"frames\[0\].file_path: expected an image, found none at 'gone.png'",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_mistakes_are_named(tmp_path: Path, name: str) -> None:
    changes, message = REFUSED[name]
    path, _ = write_transforms(tmp_path, **changes)
    with pytest.raises(DataError, match=message):
        import_transforms(path, tmp_path, ImportPlan())


def test_frames_that_do_not_fit_together(tmp_path: Path) -> None:
    path, _ = write_transforms(tmp_path)
    content = json.loads(path.read_text())
    content["frames"].pop()
    path.write_text(json.dumps(content))
    with pytest.raises(DataError, match="as many images in every folder, found left 3, ahead 2"):
        import_transforms(path, tmp_path, ImportPlan("folders"))
    content["frames"][1]["fl_x"] = 17.0
    path.write_text(json.dumps(content))
    with pytest.raises(DataError, match=r"expected one calibration, found another at 001.png"):
        import_transforms(path, tmp_path, ImportPlan())
    content["frames"][1]["transform_matrix"][0] = [9, 9, 9, 0]
    path.write_text(json.dumps(content))
    with pytest.raises(DataError, match=r"frames\[1\].transform_matrix.* expected a rotation"):
        import_transforms(path, tmp_path, ImportPlan())
    path.write_text("{")
    with pytest.raises(DataError, match="not JSON"):
        import_transforms(path, tmp_path, ImportPlan())
