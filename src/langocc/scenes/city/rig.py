# SPDX-License-Identifier: Apache-2.0
"""The vehicle's sensors: six cameras and one spinning LiDAR, placed and timed as on nuScenes' cars.

The LiDAR turns clockwise once in 50 ms, from behind on the left round the front, and its time is
the end of the turn: the key time. Each camera fires when the beam has passed its middle, so the
front left image is 43 ms older than the sweep and the back left one half a millisecond.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32

from langocc.geometry.rigid import Matrix3, Transform, rigid

LIDAR_CHANNEL = "LIDAR_TOP"
LIDAR_BEAMS = 32
LIDAR_COLUMNS = 1085
LIDAR_LOWEST_DEG, LIDAR_HIGHEST_DEG = -30.67, 10.67
LIDAR_TURN_S = 0.05
_LIDAR_START_DEG = 94.4  # left of forward: where a turn begins
_EXPOSURE_S = 0.0015  # the image's time is the middle of an exposure that the beam's passing starts
_FULL_WIDTH_PX = 1600


@dataclass(frozen=True)
class CameraSpec:
    """A camera of the vehicle, its intrinsics those of a 1600 px wide image.

    Attributes:
        channel: nuScenes name.
        position_m: In the ego frame (x forward, y left, z up, from the rear axle on the ground).
        yaw_deg: Viewing direction, left of forward.
        focal_px: Focal length at 1600 px of width.
    """

    channel: str
    position_m: tuple[float, float, float]
    yaw_deg: float
    focal_px: float


CAMERA_SPECS = (
    CameraSpec("CAM_FRONT_LEFT", (1.52, 0.49, 1.51), 55.0, 1260.0),
    CameraSpec("CAM_FRONT", (1.70, 0.0, 1.51), 0.0, 1260.0),
    CameraSpec("CAM_FRONT_RIGHT", (1.52, -0.49, 1.51), -55.0, 1260.0),
    CameraSpec("CAM_BACK_LEFT", (1.03, 0.48, 1.57), 110.0, 1260.0),
    CameraSpec("CAM_BACK", (0.03, 0.0, 1.58), 180.0, 810.0),
    CameraSpec("CAM_BACK_RIGHT", (1.03, -0.48, 1.57), -110.0, 1260.0),
)


@dataclass(frozen=True)
class CityCamera:
    """A camera at an image size.

    Attributes:
        channel: nuScenes name.
        width: Pixels.
        height: Pixels.
        intrinsics: Pinhole matrix, pixels; the middle of the first pixel is at (0.5, 0.5).
        ego_from_cam: Camera axes x right, y down, z forward; metres.
        delay_us: Exposure time minus key time, microseconds (negative: before the key time).
    """

    channel: str
    width: int
    height: int
    intrinsics: Matrix3
    ego_from_cam: Transform
    delay_us: int


def cameras(width: int, height: int) -> tuple[CityCamera, ...]:
    """The six cameras, in the order in which the network sees them."""
    return tuple(_camera(spec, width, height) for spec in CAMERA_SPECS)


def _camera(spec: CameraSpec, width: int, height: int) -> CityCamera:
    focal_px = spec.focal_px * width / _FULL_WIDTH_PX
    intrinsics = np.array([[focal_px, 0, width / 2], [0, focal_px, height / 2], [0, 0, 1.0]])
    ego_from_cam = rigid(_yaw(spec.yaw_deg) @ _FORWARD_FROM_CAM, spec.position_m)
    turned = (_LIDAR_START_DEG - spec.yaw_deg) % 360 / 360
    delay_s = LIDAR_TURN_S * (turned - 1) + _EXPOSURE_S
    return CityCamera(spec.channel, width, height, intrinsics, ego_from_cam, round(delay_s * 1e6))


def _yaw(angle_deg: float) -> Matrix3:
    """Rotation about z."""
    c, s = np.cos(np.radians(angle_deg)), np.sin(np.radians(angle_deg))
    return np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])


_FORWARD_FROM_CAM = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])

EGO_FROM_LIDAR: Transform = rigid(_yaw(-90.0), (0.94, 0.0, 1.84))
"""LiDAR axes: x right, y forward, z up."""


def lidar_directions() -> Float32[np.ndarray, "beam_of_column 3"]:
    """Unit directions of one turn in the LiDAR frame: column by column, lowest beam first."""
    elevation = np.radians(np.linspace(LIDAR_LOWEST_DEG, LIDAR_HIGHEST_DEG, LIDAR_BEAMS))
    left_of_forward = _LIDAR_START_DEG - 360 * np.arange(LIDAR_COLUMNS) / LIDAR_COLUMNS
    azimuth = np.radians(90 + left_of_forward)[:, None]  # from the LiDAR's x axis
    flat, up = np.cos(elevation), np.broadcast_to(np.sin(elevation), (LIDAR_COLUMNS, LIDAR_BEAMS))
    directions = np.stack([np.cos(azimuth) * flat, np.sin(azimuth) * flat, up], axis=-1)
    return directions.reshape(-1, 3).astype(np.float32)
