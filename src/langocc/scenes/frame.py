# SPDX-License-Identifier: Apache-2.0
"""Frames: one moment of a calibrated multi-camera vehicle, whatever dataset it comes from."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from langocc.geometry.rigid import Matrix3, Transform


@dataclass(frozen=True)
class Camera:
    """One image and where it was taken. Pinhole, undistorted.

    Attributes:
        image_path: The image file.
        width: Image width, pixels.
        height: Image height, pixels.
        intrinsics: 3 x 3 pinhole matrix, pixels.
        ego_from_cam: Extrinsics, metres; camera axes x right, y down, z forward.
        global_from_ego: Vehicle pose at this camera's exposure time, metres.
        timestamp_us: Exposure time, microseconds.
    """

    image_path: Path
    width: int
    height: int
    intrinsics: Matrix3
    ego_from_cam: Transform
    global_from_ego: Transform
    timestamp_us: int


@dataclass(frozen=True)
class Lidar:
    """One LiDAR sweep.

    Attributes:
        points_path: float32 rows; the first three columns are x, y, z in the LiDAR frame, metres.
        columns: Numbers per row (5 in nuScenes: x, y, z, intensity, ring).
        ego_from_lidar: Extrinsics, metres.
        global_from_ego: Vehicle pose at the sweep's time, metres.
        timestamp_us: Time of the sweep, microseconds.
        token: The sensor record's own token (nuScenes lidarseg and panoptic labels use it).
    """

    points_path: Path
    columns: int
    ego_from_lidar: Transform
    global_from_ego: Transform
    timestamp_us: int
    token: str


@dataclass(frozen=True)
class Frame:
    """A key frame. Whatever can make Frames can train.

    Attributes:
        token: Unique name.
        scene: Name of the scene (drive) it belongs to.
        timestamp_us: Key time, microseconds.
        cameras: By name, in the order in which the network sees them.
        global_from_ego: Vehicle pose at the key time: the LiDAR's if there is one, else that of the
            reference camera (the first).
        lidar: The sweep at the key time, if the vehicle has a LiDAR and the file is there.
    """

    token: str
    scene: str
    timestamp_us: int
    cameras: Mapping[str, Camera]
    global_from_ego: Transform
    lidar: Lidar | None = None
