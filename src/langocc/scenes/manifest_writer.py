# SPDX-License-Identifier: Apache-2.0
"""Any dataset as a rig manifest: an example to start from, and a way to leave cameras out."""

import os
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
import yaml

from langocc.errors import ConfigError, DataError
from langocc.files import replacing
from langocc.geometry.rigid import Transform, quaternion_from_rotation
from langocc.scenes.dataset import Dataset, Split
from langocc.scenes.frame import Camera, Frame
from langocc.scenes.rig_file import (
    FORMAT,
    NAMES,
    Pinhole,
    Pose,
    Rig,
    RigCamera,
    RigFrame,
    RigScene,
    Shot,
)


def write_manifest(
    dataset: Dataset, path: Path, *, cameras: Sequence[str] = (), lidar: bool = True
) -> None:
    """Writes the manifest of a dataset; its images stay where they are.

    Args:
        dataset: Frames that all have one calibration.
        path: `FOLDER/rig.json` or `FOLDER/rig.yaml`; the paths in it count from FOLDER.
        cameras: Cameras to keep, in this order; all when empty.
        lidar: Name the LiDAR sweeps, too.

    Raises:
        ConfigError: another file name, or a camera that is not there.
        DataError: the dataset is empty, or its calibration changes: a manifest has one.
        OSError: the folder cannot be written.
    """
    _check_name(path)
    save_rig(rig_of(dataset, path.parent, cameras, lidar=lidar), path)


def save_rig(rig: Rig, path: Path) -> None:
    """Writes a manifest; its paths count from its folder.

    Raises:
        ConfigError: another file name than `rig.json` or `rig.yaml`.
        OSError: the folder cannot be written.
    """
    _check_name(path)
    content = msgspec.to_builtins(rig)
    with replacing(path) as temporary:
        if path.suffix == ".json":
            temporary.write_bytes(msgspec.json.format(msgspec.json.encode(content)) + b"\n")
        else:
            text = yaml.safe_dump(content, sort_keys=False, default_flow_style=None)
            temporary.write_text(text, encoding="utf-8")


def _check_name(path: Path) -> None:
    if path.name not in NAMES:
        raise ConfigError(f"{path}: expected the name {' or '.join(NAMES)}, found {path.name!r}")


def rig_of(
    dataset: Dataset, folder: Path, cameras: Sequence[str] = (), *, lidar: bool = True
) -> Rig:
    """The manifest of a dataset, with paths that count from `folder`. Errors: `write_manifest`."""
    first = next(dataset.frames(), None)
    if first is None:
        raise DataError(f"{dataset.root}: no frames to write a manifest of")
    names = list(cameras) or list(first.cameras)
    if unknown := [name for name in names if name not in first.cameras]:
        there = ", ".join(first.cameras)
        raise ConfigError(f"cameras: expected some of {there}, found {', '.join(unknown)}")
    for frame in dataset.frames():
        _check_calibration(first, frame, names)
    split_of: dict[str, Split] = {
        name: split for split, scenes in dataset.splits.items() for name in scenes
    }
    scenes = [
        RigScene(
            name, [_frame(frame, names, folder, lidar) for frame in frames], split_of.get(name)
        )
        for name, frames in dataset.scenes.items()
    ]
    sweep = next((f.lidar for f in dataset.frames() if lidar and f.lidar is not None), None)
    return Rig(
        FORMAT,
        {name: _camera(first.cameras[name]) for name in names},
        scenes,
        None if sweep is None else _pose(sweep.ego_from_lidar),
    )


def _check_calibration(first: Frame, frame: Frame, names: Sequence[str]) -> None:
    for name in names:
        one, other = first.cameras[name], frame.cameras[name]
        is_same = (one.width, one.height) == (other.width, other.height)
        for a, b in ((one.intrinsics, other.intrinsics), (one.ego_from_cam, other.ego_from_cam)):
            is_same = is_same and np.allclose(a, b, atol=1e-9)
        if not is_same:
            raise DataError(
                f"camera {name}: expected one calibration, found another in frame {frame.token} "
                f"than in {first.token}; write a manifest for each"
            )


def _frame(frame: Frame, names: Sequence[str], folder: Path, lidar: bool) -> RigFrame:
    images: dict[str, str | Shot] = {}
    for name in names:
        camera = frame.cameras[name]
        pose = _pose(camera.global_from_ego)
        images[name] = Shot(_relative(camera.image_path, folder), camera.timestamp_us, pose)
    sweep = None
    if lidar and frame.lidar is not None:
        pose = _pose(frame.lidar.global_from_ego)
        path = _relative(frame.lidar.points_path, folder)
        sweep = Shot(path, frame.lidar.timestamp_us, pose)
    pose = _pose(frame.global_from_ego)
    return RigFrame(frame.timestamp_us, images, pose, sweep, frame.token)


def _camera(camera: Camera) -> RigCamera:
    (fx, _, cx), (_, fy, cy), _ = camera.intrinsics.tolist()
    pinhole = Pinhole(fx, fy, cx, cy)
    return RigCamera(camera.width, camera.height, pinhole, _pose(camera.ego_from_cam))


def _pose(transform: Transform) -> Pose:
    return Pose(transform[:3, 3].tolist(), quaternion_from_rotation(transform[:3, :3]))


def _relative(path: Path, folder: Path) -> str:
    return Path(os.path.relpath(path.resolve(), folder.resolve())).as_posix()
