# SPDX-License-Identifier: Apache-2.0
"""Cost volume and sum into voxels in operations that every runtime has, of fixed shapes.

No list of points that are inside (its length would depend on the data), no own kernel.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import grid_sample

from langocc.model.cost_volume import CHANNELS_AT_ONCE


def plain_cost_volume(
    current: Float[Tensor, "view channel height width"],
    reference: Float[Tensor, "view channel height width"],
    grid: Float[Tensor, "view depth height width 2"],
    *,
    invalid_cost: float,
    zero_is_invalid: bool,
) -> Float[Tensor, "view depth height width"]:
    """As `cost_volume.stereo_cost_volume`: some channels of all views at a time."""
    views, depth, height, width = grid.shape[:4]
    lines = grid.reshape(views, depth * height, width, 2)
    cost = grid.new_zeros(views, depth, height, width)
    is_invalid = ~(grid.abs() <= 1).all(dim=-1)
    for mine, theirs in zip(
        current.split(CHANNELS_AT_ONCE, dim=1),
        reference.split(CHANNELS_AT_ONCE, dim=1),
        strict=True,
    ):
        warped = grid_sample(theirs, lines, align_corners=True)
        warped = warped.view(views, -1, depth, height, width)
        if zero_is_invalid:
            is_invalid = warped[:, 0] == 0  # that of the last group stays
        cost = cost + (warped - mine[:, :, None]).abs().sum(dim=1)
    return (-(cost + invalid_cost * is_invalid)).softmax(dim=1)


def plain_splat(
    depth: Float[Tensor, "batch cam depth height width"],
    context: Float[Tensor, "batch cam channel height width"],
    cells: Int[Tensor, "batch cam depth height width"],
    shape: tuple[int, int, int],
) -> Float[Tensor, "batch channel x y z"]:
    """As `lift.splat` for one scene: what lies outside is added to a cell that is then dropped.

    By `scatter_add`, an index per number, which ONNX calls ScatterElements. `index_put` of whole
    rows becomes ScatterND, whose sums onnxruntime's threads lose where two meet in a voxel
    (https://github.com/microsoft/onnxruntime/issues/18048).
    """
    channels, voxels = context.shape[2], shape[0] * shape[1] * shape[2]
    points = depth[0, :, None] * context[0, :, :, None]  # cam channel depth height width
    values = points.transpose(0, 1).reshape(channels, -1)
    index = cells.flatten()
    index = torch.where(index < 0, voxels, index).expand(channels, -1)
    volume = values.new_zeros(channels, voxels + 1).scatter_add(1, index, values)
    return volume[:, :voxels].view(1, channels, *shape)
