# SPDX-License-Identifier: Apache-2.0
"""Stereo cost volume: how well the reference frame matches, at each pixel, for each depth.

Source: method.md section 2.3; BEVStereo (Li et al. 2022).
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import grid_sample

CHANNELS_AT_ONCE = 4
"""Channels warped together: the warp of all channels of one camera would be a gigabyte."""


@torch.no_grad()
def stereo_cost_volume(
    current: Float[Tensor, "view channel height width"],
    reference: Float[Tensor, "view channel height width"],
    grid: Float[Tensor, "view depth height width 2"],
    *,
    invalid_cost: float,
    zero_is_invalid: bool,
) -> Float[Tensor, "view depth height width"]:
    """Distribution over depth that stereo suggests. Not differentiable.

    The cost of a depth is the L1 distance between a pixel's features and the reference features
    it would show there; the result is softmax(-cost) over depth.

    Args:
        current: Features of the frame whose depth is asked for.
        reference: Features of the frame it is compared with.
        grid: Where each pixel at each depth lies in the reference image, (x, y), with -1 and 1
            the centres of the outermost pixels.
        invalid_cost: Added where the reference has nothing to compare with.
        zero_is_invalid: Published rule of what 'nothing' is; see `Quirks.zero_feature_is_invalid`.
    """
    cost = torch.stack(
        [
            _view_cost(*view, invalid_cost=invalid_cost, zero_is_invalid=zero_is_invalid)
            for view in zip(current, reference, grid, strict=True)
        ]
    )
    return (-cost).softmax(dim=1)


def deciding_channel(channels: int) -> int:
    """Channel whose zero makes a match invalid by the published rule: the last group's first."""
    return (channels - 1) // CHANNELS_AT_ONCE * CHANNELS_AT_ONCE


def _view_cost(
    current: Float[Tensor, "channel height width"],
    reference: Float[Tensor, "channel height width"],
    grid: Float[Tensor, "depth height width 2"],
    *,
    invalid_cost: float,
    zero_is_invalid: bool,
) -> Float[Tensor, "depth height width"]:
    flat_grid = grid.flatten(0, 1)[None]
    cost = grid.new_zeros(grid.shape[:-1])
    is_invalid = ~_is_inside(grid)
    for mine, theirs in zip(
        current.split(CHANNELS_AT_ONCE), reference.split(CHANNELS_AT_ONCE), strict=True
    ):
        warped = grid_sample(theirs[None], flat_grid, align_corners=True)
        warped = warped.view(-1, *grid.shape[:-1])
        if zero_is_invalid:
            is_invalid = warped[0] == 0  # that of the last group stays
        cost += warped.sub_(mine[:, None]).abs_().sum(dim=0)
    return cost + invalid_cost * is_invalid


def _is_inside(
    grid: Float[Tensor, "depth height width 2"],
) -> Bool[Tensor, "depth height width"]:
    return (grid.abs() <= 1).all(dim=-1)
