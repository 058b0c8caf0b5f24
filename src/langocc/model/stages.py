# SPDX-License-Identifier: Apache-2.0
"""The forward pass of inference in pieces, cut where a stream can keep what it has computed.

`see` and `match` do not depend on the key frame (but for its intrinsics, as published); `place` and
what follows do: a frame's voxels and what its depth net is told move with the vehicle.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from langocc.field import VoxelField
from langocc.geometry.rig import CameraRig
from langocc.model.langocc import COST_VOLUMES, SPLATS, STEREO_GRIDS, LangOcc
from langocc.model.lift import OUTSIDE
from langocc.model.projection import camera_numbers

Operation = Callable[..., Tensor]


@dataclass(frozen=True)
class Seen:
    """What a frame's images show, whatever the key frame is.

    Attributes:
        stride4: For stereo.
        reduced: Input of the depth net after its first layer.
    """

    stride4: Float[Tensor, "view channel4 height4 width4"]
    reduced: Float[Tensor, "view channel height width"]


@dataclass(frozen=True)
class Placement:
    """Where a frame's cameras are, as seen from the key frame.

    Attributes:
        numbers: What the depth net is told of each camera.
        cells: Voxel of each pixel at each depth, as `lift.voxel_cells` numbers them.
    """

    numbers: Float[Tensor, "view number"]
    cells: Int[Tensor, "batch cam depth height width"]


def see(model: LangOcc, images: Float[Tensor, "view 3 height width"]) -> Seen:
    """Features of one frame's images."""
    features = model.backbone(images)
    return Seen(features.stride4, model.depth_net.reduce(model.neck(features)))


def stereo_places(
    model: LangOcc, rig: CameraRig, frame: int
) -> Float[Tensor, "view depth height4 width4 2"]:
    """Where a frame's pixels at each depth lie in the frame before; the rig may be on the CPU."""
    grid = STEREO_GRIDS[model.config.cost_volume]
    return grid(rig, frame, model.frustum4, model.config.input_size).flatten(0, 1)


def match(
    model: LangOcc,
    current: Float[Tensor, "view channel4 height4 width4"],
    reference: Float[Tensor, "view channel4 height4 width4"],
    places: Float[Tensor, "view depth height4 width4 2"],
    is_blind: Bool[Tensor, " view"],
    operation: Operation | None = None,
) -> Float[Tensor, "view depth height width"]:
    """What stereo suggests of a frame's depth, as the depth net takes it.

    Args:
        model: The network.
        current: Stereo features of the frame.
        reference: Those of the frame before it.
        places: From `stereo_places`.
        is_blind: Views that miss an image in one of the frames: every depth is as likely.
        operation: Implementation of the cost volume; None: the configured one.
    """
    operation = operation or COST_VOLUMES[model.config.cost_volume]
    cost_volume = operation(
        current,
        reference,
        places,
        invalid_cost=model.config.depth.invalid_cost,
        zero_is_invalid=model.config.quirks.zero_feature_is_invalid,
    )
    undecided = 1 / cost_volume.shape[1]
    cost_volume = cost_volume.masked_fill(is_blind[:, None, None, None], undecided)
    assert model.depth_net.stereo is not None
    return model.depth_net.stereo(cost_volume)


def placement(
    model: LangOcc, rig: CameraRig, frame: int, is_missing: Bool[Tensor, " view"] | None = None
) -> Placement:
    """Where a frame's pixels go; those of views without an image go nowhere. One scene."""
    numbers = camera_numbers(rig, frame, model.config.quirks).flatten(0, 1)
    cells = model.voxels_of_points(rig, frame)
    if is_missing is not None:
        cells = cells.masked_fill(is_missing[None, :, None, None, None], OUTSIDE)
    return Placement(numbers.to(cells.device, non_blocking=True), cells)


def place(
    model: LangOcc,
    reduced: Float[Tensor, "view channel height width"],
    matched: Float[Tensor, "view depth height width"] | None,
    where: Placement,
    operation: Operation | None = None,
) -> Float[Tensor, "batch context x y z"]:
    """A frame's context, summed into the voxels of the key frame.

    Args:
        model: The network.
        reduced: From `see`.
        matched: From `match`; None exactly without stereo.
        where: From `placement`.
        operation: Implementation of the sum into voxels; None: the configured one.
    """
    operation = operation or SPLATS[model.config.splat]
    lift_input = model.depth_net.locate(reduced, where.numbers, matched)
    views = where.cells.shape[:2]
    volume = operation(
        lift_input.depth.unflatten(0, views),
        lift_input.context.unflatten(0, views),
        where.cells,
        model.config.grid.shape,
    )
    return model.pre_process(volume)


def fuse(model: LangOcc, volumes: Sequence[Float[Tensor, "batch context x y z"]]) -> VoxelField:
    """The field of the volumes of all lifted frames, oldest first."""
    return model.decode(model.pyramid(model.encoder(torch.cat(list(volumes), dim=1))))
