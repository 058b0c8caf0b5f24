# SPDX-License-Identifier: Apache-2.0
"""Rigid transforms against SciPy's rotations and closed forms."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from langocc.geometry.rigid import (
    invert_rigid,
    quaternion_from_rotation,
    rigid,
    rigid_from_quaternion,
    rotation_from_quaternion,
    rotations_from_quaternions,
    transform_points,
)

ROOT_HALF = float(np.sqrt(0.5))


@pytest.fixture
def quaternions() -> np.ndarray:
    """Quaternions (w, x, y, z) of any length, and the half turns, where w is 0."""
    rng = np.random.default_rng(0)
    return np.concatenate([rng.normal(size=(50, 4)) * 3, np.eye(4), -np.eye(4)])


def test_rotations_are_scipys(quaternions: np.ndarray):
    expected = Rotation.from_quat(quaternions[:, [1, 2, 3, 0]]).as_matrix()
    np.testing.assert_allclose(rotations_from_quaternions(quaternions), expected, atol=1e-14)
    for wxyz, rotation in zip(quaternions, expected, strict=True):
        np.testing.assert_allclose(rotation_from_quaternion(wxyz.tolist()), rotation, atol=1e-14)


def test_batches_of_any_shape(quaternions: np.ndarray):
    flat = rotations_from_quaternions(quaternions[:24])
    shaped = rotations_from_quaternions(quaternions[:24].reshape(2, 3, 4, 4))
    np.testing.assert_array_equal(shaped, flat.reshape(2, 3, 4, 3, 3))


def test_a_quarter_turn_about_up_takes_forward_to_left():
    rotation = rotation_from_quaternion([ROOT_HALF, 0.0, 0.0, ROOT_HALF])
    np.testing.assert_allclose(rotation @ [1, 0, 0], [0, 1, 0], atol=1e-15)
    np.testing.assert_allclose(rotation @ [0, 1, 0], [-1, 0, 0], atol=1e-15)


def test_quaternions_return(quaternions: np.ndarray):
    for wxyz in quaternions:
        rotation = rotation_from_quaternion(wxyz.tolist())
        back = quaternion_from_rotation(rotation)
        assert back[0] >= 0
        assert np.linalg.norm(back) == pytest.approx(1.0, abs=1e-12)
        np.testing.assert_allclose(rotation_from_quaternion(back), rotation, atol=1e-12)


@pytest.mark.parametrize(
    "wrong",
    [[0.0, 0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [np.nan, 0.0, 0.0, 1.0], [np.inf, 0.0, 0.0, 0.0]],
)
def test_what_is_no_quaternion_is_refused(wrong: list[float]):
    with pytest.raises(ValueError, match="expected four finite numbers"):
        rotation_from_quaternion(wrong)


def test_what_is_no_quaternion_is_nan_in_a_batch():
    rotations = rotations_from_quaternions(
        np.array([[0.0, 0, 0, 0], [np.nan, 0, 0, 1], [2, 0, 0, 0]])
    )
    assert np.isnan(rotations[:2]).any(axis=(1, 2)).all()
    np.testing.assert_array_equal(rotations[2], np.eye(3))


def test_transforms_cancel(quaternions: np.ndarray):
    rng = np.random.default_rng(1)
    points_m = rng.normal(size=(20, 3))
    for wxyz in quaternions:
        translation_m = rng.normal(size=3) * 1000
        b_from_a = rigid_from_quaternion(wxyz.tolist(), translation_m.tolist())
        there = transform_points(b_from_a, points_m)
        np.testing.assert_allclose(
            there, points_m @ rotation_from_quaternion(wxyz.tolist()).T + translation_m
        )
        np.testing.assert_allclose(invert_rigid(b_from_a) @ b_from_a, np.eye(4), atol=1e-9)
        np.testing.assert_allclose(
            transform_points(invert_rigid(b_from_a), there), points_m, atol=1e-9
        )


def test_chains_multiply():
    b_from_a = rigid_from_quaternion([ROOT_HALF, 0.0, 0.0, ROOT_HALF], [1.0, 0.0, 0.0])
    c_from_b = rigid(np.eye(3), [0.0, 0.0, 5.0])
    point = np.array([[2.0, 0.0, 0.0]])
    np.testing.assert_allclose(transform_points(c_from_b @ b_from_a, point), [[1.0, 2.0, 5.0]])


def test_no_points():
    assert transform_points(np.eye(4), np.zeros((0, 3))).shape == (0, 3)
