# SPDX-License-Identifier: Apache-2.0
"""What a rig sees, and the mistakes that people make when they write one down."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64

from langocc.geometry.rigid import (
    Transform,
    invert_rigid,
    quaternion_from_rotation,
    rotation_from_quaternion,
    transform_points,
)
from langocc.scenes.frame import Camera

RING_M = 20.0
"""Radius of the ring around the vehicle on which overlap is measured, metres."""

RING_HEIGHT_M = 1.0

_FAR_M = 20.0
"""No camera is further than this from its vehicle's origin: such numbers are centimetres."""

_STEEP_DEG = 60.0


@dataclass(frozen=True)
class Outlook:
    """Where a camera of a vehicle looks.

    Attributes:
        wide_deg: Horizontal field of view, degrees.
        high_deg: Vertical field of view, degrees.
        yaw_deg: Direction of the optical axis, degrees; 0 ahead, 90 left.
        pitch_deg: Rise of the optical axis above the horizon, degrees.
        roll_deg: Turn about the optical axis, degrees; 0: upright, 180: upside down.
        height_m: Above the ego frame's ground (z = 0), metres.
    """

    wide_deg: float
    high_deg: float
    yaw_deg: float
    pitch_deg: float
    roll_deg: float
    height_m: float


def outlook(camera: Camera) -> Outlook:
    """Where a camera looks."""
    (fx, _, cx), (_, fy, cy), _ = camera.intrinsics
    wide = np.arctan(cx / fx) + np.arctan((camera.width - cx) / fx)
    high = np.arctan(cy / fy) + np.arctan((camera.height - cy) / fy)
    right, down, ahead = camera.ego_from_cam[:3, :3].T
    level = np.hypot(ahead[0], ahead[1])
    yaw = np.arctan2(ahead[1], ahead[0])
    # An upright camera's right is horizontal, its down has no part upwards.
    roll = np.arctan2(-right[2], -down[2]) if level > 1e-6 else 0.0
    angles = np.rad2deg([wide, high, yaw, np.arctan2(ahead[2], level), roll]).tolist()
    return Outlook(*angles, height_m=float(camera.ego_from_cam[2, 3]))


def ring_seen(cameras: Mapping[str, Camera], points: int = 720) -> Bool[np.ndarray, "cam point"]:
    """Which points of a ring, `RING_M` around the vehicle and 1 m high, each camera sees."""
    angle = np.linspace(0, 2 * np.pi, points, endpoint=False)
    ring = np.stack([RING_M * np.cos(angle), RING_M * np.sin(angle)], axis=1)
    ring = np.column_stack([ring, np.full(points, RING_HEIGHT_M)])
    return np.stack([_sees(camera, ring) for camera in cameras.values()])


def project(
    camera: Camera, points_ego: Float64[np.ndarray, "point 3"]
) -> tuple[Float64[np.ndarray, "point 2"], Float64[np.ndarray, " point"]]:
    """Pixels and depths (metres) of points; pixels mean nothing where the depth is not > 0."""
    points = transform_points(invert_rigid(camera.ego_from_cam), points_ego)
    depth_m = points[:, 2]
    safe = np.where(depth_m > 1e-3, depth_m, 1.0)[:, None]
    return (points @ camera.intrinsics.T)[:, :2] / safe, depth_m


def suspicions(cameras: Mapping[str, Camera]) -> list[str]:
    """What looks like a mistake, in words; empty when nothing does."""
    return [
        f"{name}: {line}" for name, camera in cameras.items() for line in _suspicions_of(camera)
    ]


def _suspicions_of(camera: Camera) -> list[str]:
    lines = []
    far_m = float(np.linalg.norm(camera.ego_from_cam[:3, 3]))
    if far_m > _FAR_M:
        lines.append(f"{far_m:.0f} m from the vehicle's origin; are these centimetres?")
    if camera.ego_from_cam[2, 3] <= 0:
        height = camera.ego_from_cam[2, 3]
        lines.append(f"{height:.2f} m above the ground (z = 0); ego z is up, 0 on the ground")
    (fx, _, cx), (_, fy, cy), _ = camera.intrinsics
    if abs(cx / camera.width - 0.5) > 0.2 or abs(cy / camera.height - 0.5) > 0.2:
        lines.append(
            f"principal point ({cx:.0f}, {cy:.0f}) is far from the middle of {camera.width} x "
            f"{camera.height} pixels; are the intrinsics those of another image size?"
        )
    if not 0.5 < fx / fy < 2:
        lines.append(f"focal lengths fx {fx:.0f} and fy {fy:.0f} differ much")
    return lines + _about_rotation(camera.ego_from_cam)


def _about_rotation(ego_from_cam: Transform) -> list[str]:
    rotation = ego_from_cam[:3, :3]
    if _is_level(rotation):
        return []
    lines = ["looks steeply up or down, or its image is not upright"]
    w, x, y, z = quaternion_from_rotation(rotation)
    # With the real part written last, the reader took x for it; either sign was possible.
    if any(_is_level(rotation_from_quaternion(q)) for q in ([z, w, x, y], [-z, w, x, y])):
        lines.append("a quaternion in the order x y z w? It would be level in the order w x y z")
    # ROS' own body axes (x forward, y left, z up) and OpenGL's (x right, y up, z back).
    body = np.array([[0, 0, 1.0], [-1, 0, 0], [0, -1, 0]])
    if _is_level(rotation @ body):
        lines.append("camera axes x forward, y left, z up? Expected x right, y down, z forward")
    elif _is_level(rotation @ np.diag([1.0, -1, -1])):
        lines.append("camera axes x right, y up, z back? Expected x right, y down, z forward")
    elif _is_level(rotation.T):
        lines.append("cam_from_ego instead of ego_from_cam? Inverted it would be level")
    return lines


def _is_level(rotation: np.ndarray) -> bool:
    """Optical axis not steep, and the image's down points down."""
    down, ahead = rotation[:, 1], rotation[:, 2]
    is_steep = abs(ahead[2]) > np.sin(np.deg2rad(_STEEP_DEG))
    return bool(not is_steep and down[2] < -0.3)


def _sees(camera: Camera, points: np.ndarray) -> np.ndarray:
    pixels, depth_m = project(camera, points)
    size = np.array([camera.width, camera.height])
    return (depth_m > 0) & ((pixels >= 0) & (pixels < size)).all(axis=1)
