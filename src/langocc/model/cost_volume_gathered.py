# SPDX-License-Identifier: Apache-2.0
"""The stereo cost volume in vectorised torch: whole rows of features instead of warped images.

A bag of five rows, the four pixels around a point by their bilinear weights and minus the current
pixel, is the difference whose L1 norm is the cost.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import embedding_bag, grid_sample

from langocc.model.cost_volume import deciding_channel

POINTS_AT_ONCE = {"cpu": 512, "cuda": 262144}
"""Differences formed together: on a processor what fits its cache, on a GPU what keeps it busy."""
OTHER_POINTS_AT_ONCE = 16384


@torch.no_grad()
def gathered_cost_volume(
    current: Float[Tensor, "view channel height width"],
    reference: Float[Tensor, "view channel height width"],
    grid: Float[Tensor, "view depth height width 2"],
    *,
    invalid_cost: float,
    zero_is_invalid: bool,
) -> Float[Tensor, "view depth height width"]:
    """As `cost_volume.stereo_cost_volume`; sums in float32, or in wider features' own type."""
    wide = torch.promote_types(current.dtype, torch.float32)
    current, reference, grid = current.to(wide), reference.to(wide), grid.to(wide)
    scores = grid.new_empty(grid.shape[:-1])
    watched = deciding_channel(current.shape[1])
    with torch.autocast(grid.device.type, enabled=False):
        for mine, theirs, where, score in zip(current, reference, grid, scores, strict=True):
            if zero_is_invalid:
                lines = where.flatten(0, 1)[None]
                warped = grid_sample(theirs[None, watched, None], lines, align_corners=True)
                is_invalid = warped.view(score.shape) == 0
            else:
                is_invalid = ~(where.abs() <= 1).all(dim=-1)
            cost = _view_cost(mine, theirs, where)
            torch.add(cost, is_invalid, alpha=invalid_cost, out=score).neg_()
    return scores.softmax(dim=1)


def _view_cost(
    current: Float[Tensor, "channel height width"],
    reference: Float[Tensor, "channel height width"],
    grid: Float[Tensor, "depth height width 2"],
) -> Float[Tensor, "depth height width"]:
    channels, height, width = current.shape
    pixels = height * width
    x = (grid[..., 0].flatten() + 1) / 2 * (width - 1)
    y = (grid[..., 1].flatten() + 1) / 2 * (height - 1)
    seen = torch.where((x > -1) & (x < width) & (y > -1) & (y < height))[0]
    # What the reference does not show is compared with zeros.
    cost = current.abs().sum(dim=0).expand(grid.shape[:-1]).flatten()
    table = torch.cat([map_.movedim(0, -1).flatten(0, 1) for map_ in (reference, current)])
    rows, shares = _bags(x[seen], y[seen], pixels + seen % pixels, (height, width))
    found = cost.new_empty(len(seen))
    ones = table.new_ones(channels)
    step = POINTS_AT_ONCE.get(grid.device.type, OTHER_POINTS_AT_ONCE)
    for row, share, out in zip(
        rows.split(step), shares.split(step), found.split(step), strict=True
    ):
        difference = embedding_bag(row, table, mode="sum", per_sample_weights=share)
        torch.mv(difference.abs_(), ones, out=out)
    return cost.index_copy_(0, seen, found).view(grid.shape[:-1])


def _bags(
    x: Float[Tensor, " point"],
    y: Float[Tensor, " point"],
    own: Int[Tensor, " point"],
    size: tuple[int, int],
) -> tuple[Int[Tensor, "point 5"], Float[Tensor, "point 5"]]:
    """The four pixels around (x, y) and each point's own row, and the shares of the five."""
    rows = own.new_empty(len(own), 5, dtype=torch.int32)
    shares = x.new_empty(len(own), 5)
    rows[:, 4], shares[:, 4] = own, -1
    left, top = x.floor(), y.floor()
    for corner in range(4):
        column, row = left + corner % 2, top + corner // 2
        is_inside = (column >= 0) & (column < size[1]) & (row >= 0) & (row < size[0])
        share = (1 - (x - column).abs()) * (1 - (y - row).abs())
        shares[:, corner] = share * is_inside
        rows[:, corner] = (row * size[1] + column) * is_inside
    return rows, shares
