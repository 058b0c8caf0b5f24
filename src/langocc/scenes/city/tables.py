# SPDX-License-Identifier: Apache-2.0
"""nuScenes v1.0 tables as they are written: every column of the 13, lidarseg and panoptic.

Source: formats.md section 1 (nuScenes devkit, docs/schema_nuscenes.md).
"""

import hashlib
from collections.abc import Iterable

import msgspec

from langocc.geometry.rigid import Transform, quaternion_from_rotation
from langocc.scenes.city.categories import CATEGORIES
from langocc.scenes.city.rig import EGO_FROM_LIDAR, LIDAR_CHANNEL, CityCamera


def token(*words: object) -> str:
    """A token as nuScenes has them, 32 hex digits; the same words make the same one."""
    return hashlib.md5("/".join(map(str, words)).encode(), usedforsecurity=False).hexdigest()


class Category(msgspec.Struct, frozen=True):
    """What an object or a point is; `index` is its lidarseg id."""

    token: str
    name: str
    description: str
    index: int


class Attribute(msgspec.Struct, frozen=True):
    """What an object is doing."""

    token: str
    name: str
    description: str


class Visibility(msgspec.Struct, frozen=True):
    """Which part of an object the six images show."""

    token: str
    level: str
    description: str


class Sensor(msgspec.Struct, frozen=True):
    """A place on the vehicle."""

    token: str
    channel: str
    modality: str


class CalibratedSensor(msgspec.Struct, frozen=True):
    """Sensor -> ego (metres, wxyz); intrinsics in pixels, empty for the LiDAR."""

    token: str
    sensor_token: str
    translation: list[float]
    rotation: list[float]
    camera_intrinsic: list[list[float]]


class Log(msgspec.Struct, frozen=True):
    """One outing; here one for each scene."""

    token: str
    logfile: str
    vehicle: str
    date_captured: str
    location: str


class Map(msgspec.Struct, frozen=True):
    """A picture of driveable surface and sidewalks, 0.1 m a pixel."""

    token: str
    log_tokens: list[str]
    category: str
    filename: str


class Scene(msgspec.Struct, frozen=True):
    """One drive."""

    token: str
    name: str
    description: str
    log_token: str
    nbr_samples: int
    first_sample_token: str
    last_sample_token: str


class Sample(msgspec.Struct, frozen=True):
    """A key frame; microseconds."""

    token: str
    timestamp: int
    scene_token: str
    prev: str
    next: str


class EgoPose(msgspec.Struct, frozen=True):
    """Ego -> global (metres, wxyz) at a time (microseconds)."""

    token: str
    translation: list[float]
    rotation: list[float]
    timestamp: int


class SampleData(msgspec.Struct, frozen=True):
    """One image or sweep."""

    token: str
    sample_token: str
    ego_pose_token: str
    calibrated_sensor_token: str
    filename: str
    fileformat: str
    width: int
    height: int
    timestamp: int
    is_key_frame: bool
    prev: str
    next: str


class Instance(msgspec.Struct, frozen=True):
    """One object through a scene."""

    token: str
    category_token: str
    nbr_annotations: int
    first_annotation_token: str
    last_annotation_token: str


class SampleAnnotation(msgspec.Struct, frozen=True):
    """An object's box (global frame, metres; size is width, length, height) in a key frame."""

    token: str
    sample_token: str
    instance_token: str
    attribute_tokens: list[str]
    visibility_token: str
    translation: list[float]
    size: list[float]
    rotation: list[float]
    num_lidar_pts: int
    num_radar_pts: int
    prev: str
    next: str


class PointLabels(msgspec.Struct, frozen=True):
    """Where the lidarseg or panoptic labels of a sweep lie."""

    token: str
    filename: str
    sample_data_token: str


ATTRIBUTES = (
    "vehicle.moving",
    "vehicle.stopped",
    "vehicle.parked",
    "cycle.with_rider",
    "cycle.without_rider",
    "pedestrian.sitting_lying_down",
    "pedestrian.standing",
    "pedestrian.moving",
)
VISIBILITY_LEVELS = ("v0-40", "v40-60", "v60-80", "v80-100")
"""Their tokens are "1" to "4"."""


def attribute_token(name: str) -> str:
    """Token of an attribute."""
    return token("attribute", name)


def category_token(name: str) -> str:
    """Token of a category."""
    return token("category", name)


def calibration_token(channel: str) -> str:
    """Token of a sensor's calibration; the vehicle never changes."""
    return token("calibrated_sensor", channel)


def constant_tables(cameras: Iterable[CityCamera]) -> dict[str, list[msgspec.Struct]]:
    """The tables that do not depend on the scenes."""
    placed = [(c.channel, "camera", c.ego_from_cam, c.intrinsics.tolist()) for c in cameras]
    placed.append((LIDAR_CHANNEL, "lidar", EGO_FROM_LIDAR, []))
    return {
        "category": [
            Category(category_token(c.name), c.name, "", c.lidarseg_id) for c in CATEGORIES
        ],
        "attribute": [Attribute(attribute_token(name), name, "") for name in ATTRIBUTES],
        "visibility": [
            Visibility(str(i), level, f"visibility of whole object is {level[1:]} %")
            for i, level in enumerate(VISIBILITY_LEVELS, start=1)
        ],
        "sensor": [Sensor(token("sensor", name), name, kind) for name, kind, _, _ in placed],
        "calibrated_sensor": [
            CalibratedSensor(
                calibration_token(name), token("sensor", name), *pose_columns(pose), intrinsics
            )
            for name, _, pose, intrinsics in placed
        ],
    }


def pose_columns(b_from_a: Transform) -> tuple[list[float], list[float]]:
    """Translation (metres) and rotation (w, x, y, z) columns of a rigid transform."""
    return b_from_a[:3, 3].tolist(), quaternion_from_rotation(b_from_a[:3, :3])


def encode_table(records: Iterable[msgspec.Struct]) -> bytes:
    """A table file: a JSON list, one record per line."""
    return b"[\n" + b",\n".join(msgspec.json.encode(record) for record in records) + b"\n]\n"
