# SPDX-License-Identifier: Apache-2.0
"""A moving rig as rows of numbers, one for each camera: all that a GPU is told of it.

Made on the processor while the GPU looks at the images. What the numbers mean is said, and done
with them, in `langocc.model.projection`.
"""

from collections.abc import Sequence
from dataclasses import replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from langocc.geometry.rig import CameraRig
from langocc.model.fused import fused_cells_from, fused_grid_from
from langocc.model.langocc import LangOcc
from langocc.model.projection import CAMERA_NUMBERS, camera_numbers, lift_numbers, stereo_numbers
from langocc.model.quirks import Quirks
from langocc.model.stages import Placement

FAR_AWAY_M = 1e9
"""Where cameras without an image are put, so that none of their points is in the grid."""


def lifted_rows(
    rig: CameraRig, quirks: Quirks, missing: Sequence[Bool[Tensor, " cam"]]
) -> Float[Tensor, "frame cam 54"]:
    """Where the cameras of the lifted frames are: what `stages.placement` computes with.

    Args:
        rig: One scene's, on the processor.
        quirks: The model's.
        missing: Cameras without an image, of each lifted frame, newest first.
    """
    scenes = _as_scenes(rig, [(0, frame) for frame in range(len(missing))])
    told, moved = camera_numbers(scenes, 1, quirks), lift_numbers(scenes, 1, quirks)
    moved[..., 15:18].masked_fill_(torch.stack(list(missing))[..., None], FAR_AWAY_M)
    return torch.cat([told, moved], dim=-1)


def placements(model: LangOcc, rows: Float[Tensor, "frame cam 54"]) -> list[Placement]:
    """As `stages.placement` of each frame, but for points on the border of two voxels."""
    told, moved = rows[..., :CAMERA_NUMBERS], rows[..., CAMERA_NUMBERS:]
    grid, truncated = model.config.grid, model.config.quirks.truncated_cells
    cells = fused_cells_from(moved, model.frustum16, grid, truncated=truncated)
    return [Placement(*frame) for frame in zip(told, cells[:, None], strict=True)]


def compared_rows(
    rig: CameraRig, frames: Sequence[int], blind: Sequence[Bool[Tensor, " cam"]]
) -> Float[Tensor, "frame cam 29"]:
    """How frames are compared with those before them: what `stages.stereo_places` computes with.

    Args:
        rig: One scene's, on the processor.
        frames: Which frames.
        blind: Cameras without an image in one of the two, of each frame.
    """
    scenes = _as_scenes(rig, [(0, frame, frame + 1) for frame in frames])
    is_blind = torch.stack(list(blind))[..., None]
    return torch.cat([stereo_numbers(scenes, 1), is_blind], dim=-1)


def comparisons(
    model: LangOcc, rows: Float[Tensor, "frame cam 29"]
) -> tuple[Float[Tensor, "frame cam depth height4 width4 2"], Bool[Tensor, "frame cam"]]:
    """As `stages.stereo_places` of each frame, and its blind cameras."""
    places = fused_grid_from(rows[..., :-1], model.frustum4, model.config.input_size)
    return places, rows[..., -1] > 0


def _as_scenes(rig: CameraRig, shown: Sequence[tuple[int, ...]]) -> CameraRig:
    """A scene for each choice of the rig's frames, so that all are worked on together."""
    chosen, count = torch.tensor(shown), len(shown)
    key = rig.global_from_key
    return replace(
        rig,
        intrinsics=rig.intrinsics[0, chosen],
        ego_from_cam=rig.ego_from_cam[0, chosen],
        global_from_ego=rig.global_from_ego[0, chosen],
        input_from_image=rig.input_from_image.expand(count, -1, -1, -1),
        augmented_from_ego=rig.augmented_from_ego.expand(count, -1, -1),
        global_from_key=None if key is None else key.expand(count, -1, -1),
    )
