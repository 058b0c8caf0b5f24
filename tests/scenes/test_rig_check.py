"""check-rig: the mistakes people make are named, and a right rig is left in peace."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from langocc import cli
from langocc.geometry.rigid import quaternion_from_rotation
from langocc.scenes.opening import open_dataset
from langocc.scenes.rig_check import outlook, ring_seen, suspicions
from scenes.rig_kit import HEIGHT, WIDTH, rig_content, write_rig

BODY = np.array([[0, 0, 1.0], [-1, 0, 0], [0, -1, 0]])  # body axes <- camera axes


def _turn(content: dict, change: Callable[[np.ndarray], np.ndarray]) -> None:
    pose = content["cameras"]["cam0"]["ego_from_cam"]
    matrix = np.array(pose["matrix"])
    matrix[:3, :3] = change(matrix[:3, :3])
    pose["matrix"] = matrix.tolist()


def _wrong_order(content: dict) -> None:
    camera = content["cameras"]["cam1"]
    matrix = np.array(camera["ego_from_cam"]["matrix"])
    w, x, y, z = quaternion_from_rotation(matrix[:3, :3])
    camera["ego_from_cam"] = {"translation_m": [0.5, 0, 1.5], "rotation_wxyz": [x, y, z, w]}


def _centimetres(content: dict) -> None:
    for row, metres in zip(
        content["cameras"]["cam0"]["ego_from_cam"]["matrix"], (170, 2, 151), strict=False
    ):
        row[3] = metres


MISTAKES: dict[str, tuple[Callable[[dict], object], str]] = {
    "OpenGL's axes": (
        lambda c: _turn(c, lambda r: r @ np.diag([1.0, -1, -1])),
        "cam0: camera axes x right, y up, z back?",
    ),
    "ROS' body axes": (
        lambda c: _turn(c, lambda r: r @ BODY.T),
        "cam0: camera axes x forward, y left, z up?",
    ),
    "the inverse": (
        lambda c: _turn(c, lambda r: r.T),
        "cam0: cam_from_ego instead of ego_from_cam?",
    ),
    "upside down": (
        lambda c: _turn(c, lambda r: r @ np.diag([-1.0, -1, 1])),
        "cam0: looks steeply up or down, or its image is not upright",
    ),
    "quaternion's order": (_wrong_order, "cam1: a quaternion in the order x y z w?"),
    "centimetres": (_centimetres, "cam0: 227 m from the vehicle's origin; are these centimetres?"),
    "below the ground": (
        lambda c: c["cameras"]["cam0"]["ego_from_cam"]["matrix"][2].__setitem__(3, -0.4),
        "cam0: -0.40 m above the ground",
    ),
    "intrinsics of a larger image": (
        lambda c: c["cameras"]["cam0"]["intrinsics"].update(cx=32.0, cy=18.0),
        "cam0: principal point (32, 18) is far from the middle of 32 x 18 pixels",
    ),
    "one focal length in another unit": (
        lambda c: c["cameras"]["cam0"]["intrinsics"].update(fx=160.0),
        "cam0: focal lengths fx 160 and fy 16 differ much",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_are_suspected(tmp_path: Path, name: str) -> None:
    damage, expected = MISTAKES[name]
    frame = next(open_dataset(write_rig(tmp_path, damage=damage)).frames())
    assert any(line.startswith(expected) for line in suspicions(frame.cameras)), suspicions(
        frame.cameras
    )


def test_right_rigs_are_not_suspected(tmp_path: Path, small_city: Path) -> None:
    frames = [
        next(open_dataset(write_rig(tmp_path, rig_content(12))).frames()),
        next(open_dataset(small_city).frames()),
    ]
    for frame in frames:
        assert suspicions(frame.cameras) == []


def test_outlook_and_ring_by_hand(tmp_path: Path) -> None:
    frame = next(open_dataset(write_rig(tmp_path, rig_content(2))).frames())
    seen = outlook(frame.cameras["cam0"])
    assert (seen.yaw_deg, seen.pitch_deg, seen.roll_deg) == pytest.approx((0, 0, 0), abs=1e-9)
    assert (seen.wide_deg, seen.height_m) == pytest.approx((90, 1.5))
    assert abs(outlook(frame.cameras["cam1"]).yaw_deg) == pytest.approx(180)
    ring = ring_seen(frame.cameras)
    assert ring.mean(axis=1) == pytest.approx([0.25, 0.25], abs=0.02)
    assert not (ring[0] & ring[1]).any()


def test_the_verb_says_and_draws(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    folder = write_rig(tmp_path / "rig", damage=MISTAKES["OpenGL's axes"][0])
    picture = tmp_path / "rig.png"
    assert cli.run(["check-rig", str(folder), "--out", str(picture)]) == 0
    said = capsys.readouterr().out
    assert "scenes 2 (train 1, val 1, test 0), frames 6" in said
    assert "--rays grid or random" in said
    assert "20 m around the vehicle" in said
    assert "suspicious: cam0: camera axes x right, y up, z back?" in said
    with Image.open(picture) as image:
        assert np.asarray(image).std() > 5


def test_an_image_of_another_size_is_named(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    folder = write_rig(tmp_path / "rig")
    Image.new("RGB", (2 * WIDTH, 2 * HEIGHT)).save(folder / "cam1.png")
    assert cli.run(["check-rig", str(folder), "--out", str(tmp_path / "rig.png")]) == 1
    said = capsys.readouterr().err
    assert "cam1.png: expected 32 x 18 pixels, as its record says, found 64 x 36" in said
    assert not (tmp_path / "rig.png").exists()


def test_a_fisheye_is_drawn_as_its_pinholes(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    def edit(content: dict) -> None:
        camera = content["cameras"]["cam0"]
        camera["intrinsics"] = {"fx": 10.0, "fy": 10.0, "cx": 16.0, "cy": 9.0}
        camera["distortion"] = {"model": "fisheye", "coefficients": [0, 0, 0, 0]}

    folder = write_rig(tmp_path / "rig", json.loads(json.dumps(rig_content())), edit)
    assert cli.run(["check-rig", str(folder), "--out", str(tmp_path / "rig.png")]) == 0
    said = capsys.readouterr().out
    assert "cam0-1" in said
    assert "suspicious" not in said
