# SPDX-License-Identifier: Apache-2.0
"""The rig manifest as a file: what one may write in `rig.json` or `rig.yaml`, and reading it."""

import json
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import yaml

from langocc.errors import DataError
from langocc.geometry.rigid import Transform, rigid, rigid_from_quaternion
from langocc.scenes.dataset import Split

FORMAT = 1
"""Number that a manifest carries; raised whenever the meaning of a field changes."""

NAMES = ("rig.json", "rig.yaml", "rig.yml")
"""What a manifest is called in its folder."""


class _Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A mapping of the file: unknown fields are errors, not surprises."""


class Pose(_Entry, frozen=True):
    """A rigid transform: translation and rotation, or a matrix."""

    translation_m: list[float] | None = None
    """x, y, z, metres."""
    rotation_wxyz: list[float] | None = None
    """Unit quaternion, the real part first."""
    matrix: list[list[float]] | None = None
    """4 x 4, metres, instead of the two above."""


class Pinhole(_Entry, frozen=True):
    """Focal lengths and principal point, pixels of the image as stored."""

    fx: float
    fy: float
    cx: float
    cy: float


class Distortion(_Entry, frozen=True):
    """How a lens bends; its images are remapped to pinholes once."""

    model: str
    """`fisheye` (Kannala-Brandt, as OpenCV's) or `radial_tangential` (OpenCV's first five)."""
    coefficients: list[float]
    """k1 k2 k3 k4 of a fisheye; k1 k2 p1 p2 and perhaps k3 otherwise."""


class View(_Entry, frozen=True):
    """A virtual pinhole camera that looks into a distorted image."""

    yaw_deg: float = 0.0
    """To the left of the optical axis."""
    pitch_deg: float = 0.0
    """Above the optical axis."""
    wide_deg: float = 90.0
    """Horizontal field of view."""


class RigCamera(_Entry, frozen=True):
    """One camera of the vehicle."""

    width: int
    height: int
    intrinsics: Pinhole
    ego_from_cam: Pose
    """Camera axes: x right, y down, z forward; ego axes: x forward, y left, z up."""
    distortion: str | Distortion = "none"
    """`none` for pinholes."""
    views: list[View] | None = None
    """Pinholes that a distorted image is remapped to; chosen by its field of view when None."""


class Shot(_Entry, frozen=True):
    """A file with its own time and vehicle pose, for those that are not its frame's."""

    path: str
    timestamp_us: int | None = None
    global_from_ego: Pose | None = None


class RigFrame(_Entry, frozen=True):
    """One moment."""

    timestamp_us: int
    images: dict[str, str | Shot]
    global_from_ego: Pose | None = None
    lidar: str | Shot | None = None
    token: str | None = None


class RigScene(_Entry, frozen=True):
    """One drive, frames in time order."""

    name: str
    frames: list[RigFrame]
    split: Split | None = None


class Rig(_Entry, frozen=True):
    """The whole manifest."""

    format: int
    cameras: dict[str, RigCamera]
    scenes: list[RigScene]
    ego_from_lidar: Pose | None = None


def read_rig(path: Path) -> Rig:
    """The manifest in a file.

    Raises:
        DataError: no such file, no JSON or YAML, a field that is missing, unknown or of another
            kind, or another format.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise DataError(f"{path}: no such manifest") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: expected UTF-8 text, {error}") from None
    try:
        content: Any = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
    except (ValueError, yaml.YAMLError, RecursionError) as error:
        kind = "JSON" if path.suffix == ".json" else "YAML"
        raise DataError(f"{path}: not {kind}: {error}") from None
    try:
        rig = msgspec.convert(content, Rig)
    except msgspec.ValidationError as error:
        raise DataError(f"{path}: {error}") from None
    if rig.format != FORMAT:
        raise DataError(f"{path}: format: expected {FORMAT}, found {rig.format}")
    return rig


def transform_of(pose: Pose, place: str) -> Transform:
    """The 4 x 4 transform of a pose.

    Args:
        pose: As written.
        place: File and field, for messages.

    Raises:
        DataError: neither form or both, other counts of numbers, NaN, a quaternion that is not of
            length 1, or a matrix that is no rigid transform.
    """
    if pose.matrix is not None:
        if pose.translation_m is not None or pose.rotation_wxyz is not None:
            raise DataError(
                f"{place}: expected matrix or translation_m and rotation_wxyz, not both"
            )
        return _rigid_matrix(_numbers(pose.matrix, (4, 4), f"{place}.matrix"), f"{place}.matrix")
    if pose.translation_m is None or pose.rotation_wxyz is None:
        raise DataError(f"{place}: expected translation_m and rotation_wxyz, or matrix")
    translation = _numbers(pose.translation_m, (3,), f"{place}.translation_m")
    quaternion = _numbers(pose.rotation_wxyz, (4,), f"{place}.rotation_wxyz")
    length = float(np.linalg.norm(quaternion))
    if abs(length - 1) > 1e-3:
        raise DataError(
            f"{place}.rotation_wxyz: expected a quaternion of length 1, found {pose.rotation_wxyz} "
            f"of length {length:.4g}"
        )
    return rigid_from_quaternion(quaternion.tolist(), translation.tolist())


def _rigid_matrix(matrix: np.ndarray, place: str) -> Transform:
    rotation = matrix[:3, :3]
    if not np.allclose(matrix[3], [0, 0, 0, 1], atol=1e-6):
        raise DataError(f"{place}: expected the last row 0 0 0 1, found {matrix[3].tolist()}")
    is_rotation = np.allclose(rotation @ rotation.T, np.eye(3), atol=1e-3)
    if not is_rotation or np.linalg.det(rotation) < 0:
        raise DataError(
            f"{place}: expected a rotation (unit rows at right angles, right-handed), found "
            f"{rotation.round(4).tolist()} with determinant {np.linalg.det(rotation):.4g}"
        )
    return rigid(rotation, matrix[:3, 3])


def _numbers(values: list, shape: tuple[int, ...], place: str) -> np.ndarray:
    try:
        numbers = np.asarray(values, dtype=np.float64)
    except ValueError:  # rows of unequal length
        numbers = np.zeros(0)
    if numbers.shape != shape or not np.isfinite(numbers).all():
        wanted = " x ".join(map(str, shape))
        raise DataError(f"{place}: expected {wanted} finite numbers, found {values}")
    return numbers
