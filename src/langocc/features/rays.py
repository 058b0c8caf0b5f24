# SPDX-License-Identifier: Apache-2.0
"""Pixels of many frames as rays in one key frame's ego frame.

Source: method.md section 3.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from jaxtyping import Float, Float64, Int

from langocc.geometry.rigid import invert_rigid
from langocc.scenes.frame import Frame

Intrinsics = Literal["own", "key"]
"""Whose intrinsics unproject a pixel: its own frame's, or (published quirk) the key frame's."""


def key_from_cameras(key: Frame, frames: Sequence[Frame]) -> Float64[np.ndarray, "frame cam 4 4"]:
    """`key_ego_from_cam` of every camera of some frames, through global poses, metres."""
    global_from_cam = np.stack(
        [
            [camera.global_from_ego @ camera.ego_from_cam for camera in frame.cameras.values()]
            for frame in frames
        ]
    )
    return invert_rigid(key.global_from_ego) @ global_from_cam


def camera_intrinsics(
    key: Frame, frames: Sequence[Frame], which: Intrinsics
) -> Float64[np.ndarray, "frame cam 3 3"]:
    """Pinhole matrices that unproject the pixels of each frame and camera."""
    chosen = [key] * len(frames) if which == "key" else frames
    return np.stack([[c.intrinsics for c in frame.cameras.values()] for frame in chosen])


def cast_pixels(
    row_col: Float[np.ndarray, "ray 2"],
    frames: Int[np.ndarray, " ray"],
    cameras: Int[np.ndarray, " ray"],
    key_from_cam: Float64[np.ndarray, "frame cam 4 4"],
    intrinsics: Float64[np.ndarray, "frame cam 3 3"],
    augmented_from_ego: Float64[np.ndarray, "3 3"] | None = None,
) -> tuple[Float64[np.ndarray, "ray 3"], Float64[np.ndarray, "ray 3"]]:
    """Origins (metres) and unit directions of pixels in the (augmented) key ego frame.

    Args:
        row_col: Pixels; no half-pixel is added.
        frames: First index of each ray into the two arrays below.
        cameras: Second index.
        key_from_cam: Transforms of `key_from_cameras`.
        intrinsics: Matrices of `camera_intrinsics`.
        augmented_from_ego: BEV augmentation; None: none.
    """
    augmentation = np.eye(3) if augmented_from_ego is None else augmented_from_ego
    rotation = augmentation @ key_from_cam[..., :3, :3]
    origins = key_from_cam[..., :3, 3] @ augmentation.T
    uv1 = np.ones((len(row_col), 3))
    uv1[:, :2] = row_col[:, ::-1]
    unprojection = (rotation @ np.linalg.inv(intrinsics))[frames, cameras]
    directions = np.einsum("rij,rj->ri", unprojection, uv1)
    directions /= np.linalg.norm(directions, axis=-1, keepdims=True)
    return origins[frames, cameras], directions
