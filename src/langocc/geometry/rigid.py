# SPDX-License-Identifier: Apache-2.0
"""Rigid transforms as 4 x 4 float64 matrices, named so that they cancel: `a_from_b @ b_from_c`."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float64

Matrix3 = Float64[np.ndarray, "3 3"]
Transform = Float64[np.ndarray, "4 4"]


def rotation_from_quaternion(wxyz: Sequence[float]) -> Float64[np.ndarray, "3 3"]:
    """Rotation matrix of a quaternion in (w, x, y, z) order; it is normalised first.

    Raises:
        ValueError: not four finite numbers, or all of them zero.
    """
    quaternion = np.asarray(wxyz, dtype=np.float64)
    norm = float(np.linalg.norm(quaternion)) if quaternion.shape == (4,) else float("nan")
    if not np.isfinite(norm) or norm < 1e-12:
        raise ValueError(f"quaternion: expected four finite numbers (w, x, y, z), got {wxyz}")
    return rotations_from_quaternions(quaternion)


def rotations_from_quaternions(
    wxyz: Float64[np.ndarray, "*shape 4"],
) -> Float64[np.ndarray, "*shape 3 3"]:
    """Rotation matrices of quaternions (w, x, y, z), normalised first; NaN where not a rotation."""
    with np.errstate(invalid="ignore", divide="ignore"):
        w, x, y, z = np.moveaxis(wxyz / np.linalg.norm(wxyz, axis=-1, keepdims=True), -1, 0)
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)


def quaternion_from_rotation(rotation: Float64[np.ndarray, "3 3"]) -> list[float]:
    """Quaternion (w, x, y, z) with w >= 0 of a rotation matrix."""
    m = np.asarray(rotation, dtype=np.float64)
    # The symmetric matrix whose leading eigenvector is the quaternion: stable for every angle.
    k = np.array(
        [
            [m[0, 0] - m[1, 1] - m[2, 2], 0, 0, 0],
            [m[0, 1] + m[1, 0], m[1, 1] - m[0, 0] - m[2, 2], 0, 0],
            [m[0, 2] + m[2, 0], m[1, 2] + m[2, 1], m[2, 2] - m[0, 0] - m[1, 1], 0],
            [m[2, 1] - m[1, 2], m[0, 2] - m[2, 0], m[1, 0] - m[0, 1], m.trace()],
        ]
    )
    vector = np.linalg.eigh(k / 3.0, UPLO="L")[1][:, -1]
    quaternion = vector[[3, 0, 1, 2]]
    return (quaternion if quaternion[0] >= 0 else -quaternion).tolist()


def rigid(rotation: np.ndarray, translation: Sequence[float] | np.ndarray) -> Transform:
    """4 x 4 transform x -> rotation @ x + translation (metres)."""
    transform = np.eye(4)
    transform[:3, :3] = rotation
    transform[:3, 3] = np.asarray(translation, dtype=np.float64)
    return transform


def rigid_from_quaternion(wxyz: Sequence[float], translation: Sequence[float]) -> Transform:
    """4 x 4 transform from nuScenes' pair of quaternion (w, x, y, z) and translation (metres)."""
    return rigid(rotation_from_quaternion(wxyz), translation)


def invert_rigid(b_from_a: Transform) -> Transform:
    """`a_from_b` of a rigid `b_from_a`: transpose instead of a general inverse."""
    rotation = b_from_a[:3, :3]
    return rigid(rotation.T, -rotation.T @ b_from_a[:3, 3])


def transform_points(
    b_from_a: Transform, points_a: Float64[np.ndarray, "point 3"]
) -> Float64[np.ndarray, "point 3"]:
    """Points in frame b (metres) of points in frame a (metres)."""
    return points_a @ b_from_a[:3, :3].T + b_from_a[:3, 3]
