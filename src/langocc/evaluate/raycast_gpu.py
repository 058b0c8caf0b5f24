# SPDX-License-Identifier: Apache-2.0
"""First occupied voxel along rays, for a GPU: `raycast.first_hits` with few waits for the device.

The same steps in the same arithmetic, so the numbers are equal to the last bit. A ray that has hit
something, or has left the grid, is not taken out at once: it stands still where it is, and tells
at the end where that was. The host asks for the number of rays left once in `_STEPS` steps only.
Truth and prediction are walked as separate grids, so that one stop is all a ray needs to know.
"""

import torch
from jaxtyping import Bool, Float64, Int64, UInt8
from torch import Tensor

from langocc.evaluate.raycast import OUTSIDE, Hits, Walk, padded_codes, start_walk, unpadded

_STEPS = 16
"""Steps between removals of rays that stand still; each removal waits for the device."""


def first_hits_gpu(
    truth: Bool[Tensor, "frame x y z"],
    prediction: Bool[Tensor, "frame x y z"],
    frames: Int64[Tensor, " ray"],
    origins: Float64[Tensor, "ray 3"],
    directions: Float64[Tensor, "ray 3"],
) -> tuple[Hits, Hits]:
    """`raycast.first_hits`, same arguments, same result. It runs on any device."""
    grids, shape = torch.cat([truth, prediction]), truth.shape[1:]
    codes = padded_codes(grids, grids)
    both = torch.cat([frames, frames + len(truth)])
    walk = start_walk(both, origins.repeat(2, 1), directions.repeat(2, 1), shape)
    cells, exits = torch.zeros_like(both), torch.zeros_like(both, dtype=origins.dtype)
    while len(walk.ray):
        for _ in range(_STEPS):
            _step(walk, codes)
        cells[walk.ray], exits[walk.ray] = walk.cell.long(), _nearest(walk)
        walk = walk.only((codes[walk.cell.long()] == 0).nonzero()[:, 0])
    # Cell 0 is the sink, where a ray that never entered the grid has stayed.
    missed = (cells == 0) | ((codes[cells] & OUTSIDE) != 0)
    cells = unpadded(cells.masked_fill_(missed, -1), shape)
    exits.masked_fill_(missed, 0.0)
    in_truth, in_prediction = zip(cells.chunk(2), exits.chunk(2), strict=True)
    size = truth.numel()
    cells_of_prediction = torch.where(in_prediction[0] < 0, -1, in_prediction[0] - size)
    return Hits(*in_truth), Hits(cells_of_prediction, in_prediction[1])


def _step(walk: Walk, codes: UInt8[Tensor, " cell"]) -> None:
    """Moves every ray that is in a free cell into its next one; ties as in `raycast.py`."""
    _, y, z = walk.borders
    nearest = _nearest(walk)
    moves = (codes.index_select(0, walk.cell.int()) == 0).to(nearest.dtype)
    over_z = (z == nearest) * moves
    over_y = (y == nearest) * (moves - over_z)
    over_x = moves.sub_(over_z).sub_(over_y)
    for axis, over in enumerate((over_x, over_y, over_z)):
        walk.cell.addcmul_(walk.strides[axis], over)
        walk.borders[axis].addcmul_(walk.pitches[axis], over)


def _nearest(walk: Walk) -> Float64[Tensor, " ray"]:
    """Distance at which each ray leaves the cell it is in."""
    x, y, z = walk.borders
    return torch.minimum(torch.minimum(x, y), z)
