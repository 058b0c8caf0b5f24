# SPDX-License-Identifier: Apache-2.0
"""nerfstudio's `transforms.json` as a rig manifest.

There, every image has a pose of its own in a world whose z is up, with camera axes x right, y up,
z back, in any unit. Here, cameras hang on a vehicle that stands on z = 0.
"""

import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np

from langocc.errors import DataError
from langocc.geometry.rigid import Transform, invert_rigid, rigid
from langocc.scenes.rig_file import (
    FORMAT,
    Distortion,
    Pinhole,
    Pose,
    Rig,
    RigCamera,
    RigFrame,
    RigScene,
    Shot,
    transform_of,
)

Cameras = Literal["one", "folders"]
"""`one`: each image is a moment of one camera. `folders`: each folder of images is a camera, and
the nth images of all folders belong together."""

_OPENCV_FROM_OPENGL = np.diag([1.0, -1.0, -1.0, 1.0])

_NO_LENS = ("PINHOLE", "SIMPLE_PINHOLE")
_FISHEYE = ("OPENCV_FISHEYE", "FISHEYE")


@dataclass(frozen=True)
class ImportPlan:
    """What a `transforms.json` does not say.

    Attributes:
        cameras: Which images belong to one camera.
        metres: Length of its unit, metres.
        height_m: Height of the first camera above the ground.
        rate_hz: Moments a second, where images carry no `time`.
        val: Share of the moments, the last ones, that becomes a validation scene.
        scene: Name of the drive.
    """

    cameras: Cameras = "one"
    metres: float = 1.0
    height_m: float = 1.5
    rate_hz: float = 10.0
    val: float = 0.0
    scene: str = "drive"


@dataclass(frozen=True)
class _Image:
    """One image of the file."""

    path: Path
    global_from_cam: Transform
    time_s: float | None
    calibration: RigCamera


def import_transforms(path: Path, folder: Path, plan: ImportPlan) -> Rig:
    """The manifest of a `transforms.json`, with paths that count from `folder`.

    The vehicle stands upright below the first camera and heads where that looks at first; at other
    moments it moves, pitches and rolls with the camera.

    Raises:
        DataError: the file, the field, what was expected and what was found.
    """
    content = _read(path)
    images = [_image(path, at, content, plan) for at in range(len(content["frames"]))]
    groups = _groups(path, images, plan.cameras)
    names = list(groups)
    first = groups[names[0]][0].global_from_cam
    global_from_ego = _standing_below(path, first, plan.height_m)
    ego_from_cam = {
        name: invert_rigid(global_from_ego) @ group[0].global_from_cam
        for name, group in groups.items()
    }
    cameras = {name: _camera(group[0], ego_from_cam[name]) for name, group in groups.items()}
    frames = [
        _frame({name: group[at] for name, group in groups.items()}, at, ego_from_cam, folder, plan)
        for at in range(len(groups[names[0]]))
    ]
    if any(after.timestamp_us <= before.timestamp_us for before, after in pairwise(frames)):
        raise DataError(f"{path}: frames: expected a growing `time`, or none")
    return Rig(FORMAT, cameras, _scenes(frames, plan))


def _frame(
    moment: Mapping[str, _Image],
    at: int,
    ego_from_cam: Mapping[str, Transform],
    folder: Path,
    plan: ImportPlan,
) -> RigFrame:
    """One moment; each image has the vehicle pose that puts its camera where the file says."""
    poses = {
        name: _pose(image.global_from_cam @ invert_rigid(ego_from_cam[name]))
        for name, image in moment.items()
    }
    images: dict[str, str | Shot] = {}
    for name, image in moment.items():
        file = Path(os.path.relpath(image.path, folder)).as_posix()
        images[name] = Shot(file, global_from_ego=poses[name])
    reference = next(iter(moment))
    time_s = moment[reference].time_s
    time_us = round(1e6 * (at / plan.rate_hz if time_s is None else time_s))
    return RigFrame(time_us, images, poses[reference])


def _scenes(frames: list[RigFrame], plan: ImportPlan) -> list[RigScene]:
    held = min(math.ceil(len(frames) * plan.val), len(frames) - 1)
    scenes = [RigScene(plan.scene, frames[: len(frames) - held], "train")]
    if held:
        scenes.append(RigScene(f"{plan.scene}-val", frames[-held:], "val"))
    return scenes


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: not JSON: {error}") from None
    frames = content.get("frames") if isinstance(content, dict) else None
    if not isinstance(frames, list) or not frames or not all(isinstance(f, dict) for f in frames):
        raise DataError(f"{path}: expected nerfstudio's `frames`, a list of images, found none")
    return content


def _image(path: Path, at: int, content: Mapping[str, Any], plan: ImportPlan) -> _Image:
    """One image; what it does not say itself, the file says for all."""
    frame, place = content["frames"][at], f"{path}: frames[{at}]"
    file = frame.get("file_path")
    if not isinstance(file, str) or not (path.parent / file).is_file():
        raise DataError(f"{place}.file_path: expected an image, found none at {file!r}")
    matrix = frame.get("transform_matrix")
    if not isinstance(matrix, list):
        raise DataError(f"{place}.transform_matrix: expected 4 x 4 numbers, found {matrix!r}")
    if len(matrix) == 3:
        matrix = [*matrix, [0.0, 0.0, 0.0, 1.0]]
    world = transform_of(Pose(matrix=matrix), f"{place}.transform_matrix")
    world = world @ _OPENCV_FROM_OPENGL
    world[:3, 3] *= plan.metres
    time_s = frame.get("time")
    is_time = isinstance(time_s, int | float) and not isinstance(time_s, bool)
    if time_s is not None and not (is_time and 0 <= time_s < math.inf):
        raise DataError(f"{place}.time: expected seconds >= 0, found {time_s!r}")
    return _Image(path.parent / file, world, time_s, _calibration(place, {**content, **frame}))


def _calibration(place: str, values: Mapping[str, Any]) -> RigCamera:
    """Size, intrinsics and distortion, without extrinsics."""

    def number(name: str, otherwise: float | None = None) -> float:
        value = values.get(name, otherwise)
        if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value):
            raise DataError(f"{place}: expected the number `{name}`, found {value!r}")
        return float(value)

    width, height = (round(number(name)) for name in ("w", "h"))
    if "fl_x" not in values and "camera_angle_x" in values:
        focal = width / 2 / math.tan(number("camera_angle_x") / 2)
    else:
        focal = number("fl_x")
    pinhole = Pinhole(
        focal, number("fl_y", focal), number("cx", width / 2), number("cy", height / 2)
    )
    model = values.get("camera_model", "OPENCV")
    bend: str | Distortion = "none"
    if model in _FISHEYE:
        bend = Distortion("fisheye", [number(f"k{i}", 0.0) for i in range(1, 5)])
    elif model in ("OPENCV", "SIMPLE_RADIAL", "RADIAL", "PERSPECTIVE"):
        terms = [number(name, 0.0) for name in ("k1", "k2", "p1", "p2", "k3")]
        bend = Distortion("radial_tangential", terms) if any(terms) else "none"
    elif model not in _NO_LENS:
        known = ", ".join(("OPENCV", "RADIAL", *_FISHEYE, *_NO_LENS))
        raise DataError(f"{place}: camera_model: expected one of {known}, found {model!r}")
    return RigCamera(width, height, pinhole, Pose(matrix=np.eye(4).tolist()), bend)


def _groups(path: Path, images: Sequence[_Image], cameras: Cameras) -> dict[str, list[_Image]]:
    """Images by camera, each in order of time and name."""
    groups: dict[str, list[_Image]] = {}
    for image in images:
        name = image.path.parent.name if cameras == "folders" else "camera"
        groups.setdefault(name, []).append(image)
    for group in groups.values():
        group.sort(key=lambda image: (image.time_s or 0.0, image.path.name))
    counts = {name: len(group) for name, group in groups.items()}
    if len(set(counts.values())) > 1:
        found = ", ".join(f"{name} {count}" for name, count in counts.items())
        raise DataError(f"{path}: expected as many images in every folder, found {found}")
    for name, group in groups.items():
        if other := next((i for i in group if i.calibration != group[0].calibration), None):
            raise DataError(
                f"{path}: camera {name}: expected one calibration, found another at "
                f"{other.path.name} than at {group[0].path.name}"
            )
    return groups


def _standing_below(path: Path, global_from_cam: Transform, height_m: float) -> Transform:
    """Pose of a vehicle that stands upright below a camera and heads where that looks."""
    ahead = global_from_cam[:2, 2]
    length = float(np.linalg.norm(ahead))
    if length < 0.1:
        raise DataError(f"{path}: expected a first image that looks ahead, found one up or down")
    c, s = ahead / length
    rotation = np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])
    return rigid(rotation, global_from_cam[:3, 3] - [0.0, 0.0, height_m])


def _camera(image: _Image, ego_from_cam: Transform) -> RigCamera:
    given = image.calibration
    pose = _pose(ego_from_cam)
    return RigCamera(given.width, given.height, given.intrinsics, pose, given.distortion)


def _pose(transform: Transform) -> Pose:
    return Pose(matrix=transform.tolist())
