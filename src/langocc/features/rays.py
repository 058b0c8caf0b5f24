# SPDX-License-Identifier: Apache-2.0
"""Pixels of many frames as rays in one key frame's ego frame.

Source: method.md section 3.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float, Float64, Int

from langocc.errors import DataError
from langocc.geometry.rigid import invert_rigid
from langocc.scenes.frame import Frame

Intrinsics = Literal["own", "key"]
"""Whose intrinsics unproject a pixel: its own frame's, or (published quirk) the key frame's."""


@dataclass(frozen=True)
class SceneGeometry:
    """Where the cameras of a scene's frames were, in global coordinates.

    Attributes:
        tokens: The frames, in time order.
        global_from_cam: Poses at each camera's own exposure time, metres.
        intrinsics: Pinhole matrices, pixels.
        ego_from_global: Inverse vehicle poses at the key times.
    """

    tokens: tuple[str, ...]
    global_from_cam: Float64[np.ndarray, "frame cam 4 4"]
    intrinsics: Float64[np.ndarray, "frame cam 3 3"]
    ego_from_global: Float64[np.ndarray, "frame 4 4"]

    def key_from_cam(
        self, key: int, frames: Sequence[int]
    ) -> Float64[np.ndarray, "window cam 4 4"]:
        """`key_ego_from_cam` of every camera of some frames, through global poses, metres."""
        return self.ego_from_global[key] @ self.global_from_cam[list(frames)]

    def unprojected_by(
        self, key: int, frames: Sequence[int], which: Intrinsics
    ) -> Float64[np.ndarray, "window cam 3 3"]:
        """Pinhole matrices that unproject the pixels of some frames."""
        return self.intrinsics[[key] * len(frames) if which == "key" else list(frames)]


def scene_geometry(frames: Sequence[Frame]) -> SceneGeometry:
    """Gathers a scene's poses.

    Raises:
        DataError: the frames do not all have the same cameras.
    """
    frames = list(frames)
    for frame in frames:
        if list(frame.cameras) != list(frames[0].cameras):
            raise DataError(
                f"frame {frame.token}: expected the cameras {', '.join(frames[0].cameras)}, as in "
                f"frame {frames[0].token}, found {', '.join(frame.cameras)}"
            )
    rigs = [frame.cameras.values() for frame in frames]
    return SceneGeometry(
        tokens=tuple(frame.token for frame in frames),
        global_from_cam=np.array([[c.global_from_ego @ c.ego_from_cam for c in r] for r in rigs]),
        intrinsics=np.array([[camera.intrinsics for camera in rig] for rig in rigs]),
        ego_from_global=np.array([invert_rigid(frame.global_from_ego) for frame in frames]),
    )


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
        key_from_cam: Transforms of `SceneGeometry.key_from_cam`.
        intrinsics: Matrices of `SceneGeometry.unprojected_by`.
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
