# SPDX-License-Identifier: Apache-2.0
"""From nuScenes tables to the key-frame index.

Two kinds of trouble: tables that do not fit together are an error; a key frame that lacks an image
or has an impossible number is left out, counted, and the rest is used.
"""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import msgspec
import numpy as np
from jaxtyping import Bool, Float64, Int32, Int64

from langocc.errors import DataError
from langocc.geometry.rigid import rotations_from_quaternions
from langocc.scenes import tables as t
from langocc.scenes.index import KeyFrameIndex

NUSCENES_CAMERAS = (
    "CAM_FRONT_LEFT",
    "CAM_FRONT",
    "CAM_FRONT_RIGHT",
    "CAM_BACK_LEFT",
    "CAM_BACK",
    "CAM_BACK_RIGHT",
)
"""The network's camera order. Source: method.md section 1."""

Target = TypeVar("Target")


def build_index(folder: Path) -> KeyFrameIndex:
    """Reads the tables of one version.

    Args:
        folder: The version's folder, `.../v1.0-trainval`.

    Raises:
        DataError: a table is missing, damaged, lacks a column, repeats a token or refers to a token
            that is not there; or no key frame is left.
    """
    rig = _read_rig(folder)
    keys = _read_keys(folder)
    records = _read_records(folder, rig, keys)
    global_from_ego = _read_poses(folder, records)
    faults = _faults(rig, records, global_from_ego)
    keep = ~np.any([*faults.values(), np.zeros(len(keys.tokens), dtype=bool)], axis=0)
    if not keep.any():
        raise DataError(f"{folder}: no usable key frame; {'; '.join(faults) or 'no samples'}")
    kept = np.flatnonzero(keep).tolist()
    return KeyFrameIndex(
        scenes=keys.scenes,
        logs=keys.logs,
        scene_start=np.searchsorted(keys.scene_of[keep], np.arange(len(keys.scenes) + 1)).astype(
            np.int32
        ),
        channels=rig.channels,
        has_lidar=rig.has_lidar,
        tokens=[keys.tokens[key] for key in kept],
        timestamps_us=keys.timestamps_us[keep],
        filenames=[name for key in kept for name in records.filenames[key]],
        lidar_tokens=[records.lidar_tokens[key] for key in kept],
        taken_us=records.taken_us[keep],
        sizes=records.sizes[keep],
        global_from_ego=global_from_ego[keep],
        calibrations=records.calibrations[keep],
        ego_from_sensor=rig.ego_from_sensor,
        intrinsics=rig.intrinsics,
        dropped={
            why: [keys.tokens[key] for key in np.flatnonzero(rows)] for why, rows in faults.items()
        },
    )


@dataclass(frozen=True)
class _Rig:
    """Cameras, then the LiDAR, and all calibrations."""

    channels: list[str]
    has_lidar: bool
    rows: dict[str, int]
    tokens: list[str]
    columns: list[int | None]
    ego_from_sensor: Float64[np.ndarray, "calibration 4 4"]
    intrinsics: Float64[np.ndarray, "calibration 3 3"]


def _read_rig(folder: Path) -> _Rig:
    sensors = t.read_table(folder, t.Sensor)
    calibrated = t.read_table(folder, t.CalibratedSensor)
    for entry in calibrated.values():
        _follow(folder, entry, "sensor_token", sensors)
    names = [sensors[entry.sensor_token].channel for entry in calibrated.values()]
    used = [sensor for sensor in sensors.values() if sensor.channel in set(names)]
    cameras = [sensor.channel for sensor in used if sensor.modality == "camera"]
    if set(cameras) == set(NUSCENES_CAMERAS):
        cameras = list(NUSCENES_CAMERAS)
    if not cameras:
        raise DataError(f"{t.table_path(folder, t.Sensor)}: no calibrated camera among the sensors")
    lidars = [sensor.channel for sensor in used if sensor.modality == "lidar"]
    channels = cameras + lidars[:1]
    columns = {channel: column for column, channel in enumerate(channels)}
    return _Rig(
        channels=channels,
        has_lidar=bool(lidars),
        rows={token: row for row, token in enumerate(calibrated)},
        tokens=list(calibrated),
        columns=[columns.get(name) for name in names],
        ego_from_sensor=_transforms(calibrated.values()),
        intrinsics=_numbers([c.camera_intrinsic for c in calibrated.values()], (3, 3), empty=0.0),
    )


@dataclass(frozen=True)
class _Keys:
    """Samples in order of scene and time."""

    scenes: list[str]
    logs: list[str]
    tokens: list[str]
    scene_of: Int32[np.ndarray, " key"]
    timestamps_us: Int64[np.ndarray, " key"]


def _read_keys(folder: Path) -> _Keys:
    logs = t.read_table(folder, t.Log)
    scenes = t.read_table(folder, t.Scene)
    samples = t.read_table(folder, t.Sample)
    for scene in scenes.values():
        _follow(folder, scene, "log_token", logs)
    for sample in samples.values():
        _follow(folder, sample, "scene_token", scenes)
    number = {token: row for row, token in enumerate(scenes)}
    ordered = sorted(samples.values(), key=lambda s: (number[s.scene_token], s.timestamp))
    return _Keys(
        scenes=[scene.name for scene in scenes.values()],
        logs=[logs[scene.log_token].logfile for scene in scenes.values()],
        tokens=[sample.token for sample in ordered],
        scene_of=np.array([number[sample.scene_token] for sample in ordered], dtype=np.int32),
        timestamps_us=np.array([sample.timestamp for sample in ordered], dtype=np.int64),
    )


@dataclass(frozen=True)
class _Records:
    """Key-frame rows of sample_data by key frame and sensor; calibration -1: no record."""

    filenames: list[list[str]]
    pose_tokens: list[list[str]]
    lidar_tokens: list[str]
    calibrations: Int32[np.ndarray, "key sensor"]
    taken_us: Int64[np.ndarray, "key sensor"]
    sizes: Int32[np.ndarray, "key sensor 2"]


def _read_records(folder: Path, rig: _Rig, keys: _Keys) -> _Records:
    row = {token: key for key, token in enumerate(keys.tokens)}
    shape = len(keys.tokens), len(rig.channels)
    found = _Records(
        filenames=[[""] * shape[1] for _ in range(shape[0])],
        pose_tokens=[[""] * shape[1] for _ in range(shape[0])],
        lidar_tokens=[""] * shape[0],
        calibrations=np.full(shape, -1, dtype=np.int32),
        taken_us=np.zeros(shape, dtype=np.int64),
        sizes=np.zeros((*shape, 2), dtype=np.int32),
    )
    for records in t.read_chunks(folder, t.SampleData):
        for entry in [entry for entry in records if entry.is_key_frame]:
            key = _follow(folder, entry, "sample_token", row)
            calibration = _follow(folder, entry, "calibrated_sensor_token", rig.rows)
            column = rig.columns[calibration]
            if column is None:  # radar, a second LiDAR
                continue
            if found.calibrations[key, column] >= 0:
                raise DataError(
                    f"{t.table_path(folder, t.SampleData)}: record {entry.token!r} is a second "
                    f"{rig.channels[column]} of sample {entry.sample_token!r}, or a repeated token"
                )
            found.filenames[key][column] = entry.filename
            found.pose_tokens[key][column] = entry.ego_pose_token
            found.calibrations[key, column] = calibration
            found.taken_us[key, column] = entry.timestamp
            found.sizes[key, column] = entry.width or 0, entry.height or 0
            if rig.has_lidar and column == len(rig.channels) - 1:
                found.lidar_tokens[key] = entry.token
    return found


def _read_poses(folder: Path, records: _Records) -> Float64[np.ndarray, "key sensor 4 4"]:
    """Pose of each record; identity where there is no record."""
    wanted = {token for tokens in records.pose_tokens for token in tokens if token}
    row: dict[str, int] = {}
    transforms = [np.eye(4)[None]]
    path = t.table_path(folder, t.EgoPose)
    for chunk in t.read_chunks(folder, t.EgoPose):
        poses = [pose for pose in chunk if pose.token in wanted]
        for pose in poses:
            if pose.token in row:
                raise DataError(f"{path}: two records have the token {pose.token!r}")
            row[pose.token] = len(row) + 1
        transforms.append(_transforms(poses))
    if missing := wanted - row.keys():
        raise DataError(
            f"{path}: no record has the token {min(missing)!r} that sample_data.json refers to "
            f"({len(missing)} such tokens); are the tables of one version?"
        )
    rows = [row.get(token, 0) for tokens in records.pose_tokens for token in tokens]
    shape = *records.calibrations.shape, 4, 4
    return np.concatenate(transforms)[np.array(rows, dtype=np.int64)].reshape(shape)


def _faults(
    rig: _Rig, records: _Records, global_from_ego: Float64[np.ndarray, "key sensor 4 4"]
) -> dict[str, Bool[np.ndarray, " key"]]:
    """What is wrong -> which key frames have it."""
    has_record = records.calibrations >= 0
    is_camera = np.arange(len(rig.channels)) < len(rig.channels) - rig.has_lidar
    is_finite = np.all(np.isfinite(rig.ego_from_sensor), axis=(1, 2))
    focal_px = rig.intrinsics[:, [0, 1], [0, 1]]
    is_pinhole = np.all(np.isfinite(rig.intrinsics), axis=(1, 2)) & np.all(focal_px > 0, axis=1)
    of_record = records.calibrations
    checks = {
        "sample_data.json: no key-frame image": has_record | ~is_camera,
        "sample_data.json: image width or height is missing or 0": (
            np.all(records.sizes > 0, axis=2) | ~has_record | ~is_camera
        ),
        "ego_pose.json: pose is not finite, or its rotation is 0": (
            np.all(np.isfinite(global_from_ego), axis=(2, 3))
        ),
        "calibrated_sensor.json: extrinsics are not finite, or the rotation is 0": (
            is_finite[of_record] | ~has_record
        ),
        "calibrated_sensor.json: focal length is not > 0": (
            is_pinhole[of_record] | ~has_record | ~is_camera
        ),
    }
    faults = {}
    for what, is_good in checks.items():
        for column, channel in enumerate(rig.channels):
            if not is_good[:, column].all():
                faults[f"{what} ({channel})"] = ~is_good[:, column]
    return faults


def _follow(folder: Path, entry: t.Record, column: str, target: dict[str, Target]) -> Target:
    """What a record's `column` refers to."""
    token = getattr(entry, column)
    if token not in target:
        raise DataError(
            f"{t.table_path(folder, type(entry))}: record {entry.token!r}: {column} refers to "
            f"{token!r}, which is not there; are the tables of one version?"
        )
    return target[token]


def _transforms(
    entries: Collection[t.EgoPose | t.CalibratedSensor],
) -> Float64[np.ndarray, "entry 4 4"]:
    """Rigid transforms; not finite where the numbers are not, or where the rotation is 0."""
    transforms = np.tile(np.eye(4), (len(entries), 1, 1))
    quaternions = _numbers([entry.rotation for entry in entries], (4,))
    transforms[:, :3, :3] = rotations_from_quaternions(quaternions)
    transforms[:, :3, 3] = _numbers([entry.translation for entry in entries], (3,))
    return transforms


def _numbers(
    raw: list[msgspec.Raw], shape: tuple[int, ...], empty: float = np.nan
) -> Float64[np.ndarray, " entry *shape"]:
    """Arrays of JSON text; NaN where there are not `shape` numbers, `empty` for an empty list."""
    try:
        together = msgspec.json.decode(b"[" + b",".join(raw) + b"]")
        return np.array(together, dtype=np.float64).reshape(len(raw), *shape)
    except (TypeError, ValueError):  # one of them is not like the others
        return np.stack([_numbers_of(text, shape, empty) for text in raw])


def _numbers_of(
    raw: msgspec.Raw, shape: tuple[int, ...], empty: float
) -> Float64[np.ndarray, "*shape"]:
    numbers = msgspec.json.decode(raw)
    try:
        return np.array(numbers, dtype=np.float64).reshape(shape)
    except (TypeError, ValueError):
        return np.full(shape, empty if numbers == [] else np.nan)
