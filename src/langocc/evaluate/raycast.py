# SPDX-License-Identifier: Apache-2.0
"""First occupied voxel along rays: an exact voxel walk, all rays in step, on CPU or GPU.

Every ray moves from cell to cell across the nearest of its three next cell borders (Amanatides and
Woo 1987), so no cell is jumped over and none is visited that the ray does not touch. Two grids are
walked at once: prediction and truth share the rays. This walk acts on rays the moment they hit
something, which a GPU would have to be waited for; `raycast_gpu.py` is the same walk for one.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float64, Int64, UInt8
from torch import Tensor
from torch.nn import functional

TRUTH, PREDICTION, OUTSIDE = 1, 2, 4
"""Bits of a cell: occupied in the truth, occupied in the prediction, beyond the grid."""

_COMPACT_EVERY = 8
"""Steps between removals of rays that are done."""

_NEVER = 1e9
"""Cells between crossings of borders that a ray runs along; finite, because 0 * inf is NaN."""


@dataclass(frozen=True)
class Hits:
    """Where rays meet their first occupied voxel.

    Attributes:
        cells: Flat index into the grids [frame, x, y, z]; -1 where a ray meets nothing.
        exits: Distance from the origin at which the ray *leaves* that voxel, in cells: what
            SparseOcc's protocol calls depth. 0 where it meets nothing.
    """

    cells: Int64[Tensor, " ray"]
    exits: Float64[Tensor, " ray"]


def first_hits(
    truth: Bool[Tensor, "frame x y z"],
    prediction: Bool[Tensor, "frame x y z"],
    frames: Int64[Tensor, " ray"],
    origins: Float64[Tensor, "ray 3"],
    directions: Float64[Tensor, "ray 3"],
) -> tuple[Hits, Hits]:
    """First occupied voxels in two grids along the same rays.

    Args:
        truth: Occupied voxels.
        prediction: Occupied voxels of the other grid.
        frames: Which frame's grids a ray walks through.
        origins: In cells: voxel [i, j, k] spans [i, i + 1) x [j, j + 1) x [k, k + 1). An origin
            may lie outside; its ray then starts where it enters.
        directions: Unit vectors.

    Returns:
        Hits in the truth and in the prediction.
    """
    codes, shape = padded_codes(truth, prediction), truth.shape[1:]
    walk = start_walk(frames, origins, directions, shape)
    hits = [
        (torch.full_like(frames, -1), torch.zeros_like(origins[:, 0])) for _ in (truth, prediction)
    ]
    step = 0
    while len(walk.ray):
        _step(walk, codes, hits)
        step += 1
        if step % _COMPACT_EVERY == 0:
            walk = walk.compacted()
    return tuple(Hits(unpadded(cells, shape), exits) for cells, exits in hits)  # pyright: ignore


@dataclass
class Walk:
    """Rays under way. `cell` 0 is the sink: rays that are done rest there, with strides 0.

    Everything that moves is float64, so that a step is one multiply-add per axis.
    """

    ray: Int64[Tensor, " ray"]
    wanted: UInt8[Tensor, " ray"]  # bits of cells that still concern the ray
    cell: Float64[Tensor, " ray"]
    borders: list[Tensor]  # per axis: distance to the next border
    pitches: list[Tensor]  # per axis: distance between borders
    strides: list[Tensor]  # per axis: change of `cell` across a border

    def compacted(self) -> "Walk":
        """Without the rays that are done."""
        keep = self.cell.nonzero()[:, 0]
        return self if len(keep) > 0.9 * len(self.ray) else self.only(keep)

    def only(self, keep: Int64[Tensor, " kept"]) -> "Walk":
        """Some of the rays."""
        lists = [
            [v.index_select(0, keep) for v in vs]
            for vs in (self.borders, self.pitches, self.strides)
        ]
        return Walk(self.ray[keep], self.wanted[keep], self.cell[keep], *lists)


def _step(walk: Walk, codes: UInt8[Tensor, " cell"], hits: list[tuple[Tensor, Tensor]]) -> None:
    """Looks at the cells the rays are in, then moves every ray into its next one."""
    x, y, z = walk.borders
    nearest = torch.minimum(torch.minimum(x, y), z)
    found = codes.index_select(0, walk.cell.int())
    events = (found & walk.wanted).nonzero()[:, 0]
    if len(events):
        _record(walk, events, found[events], nearest[events], hits)
    # At equal distances z goes first, then y: as the protocol's own walk does.
    over_z = torch.eq(z, nearest, out=torch.empty_like(nearest))
    over_y = torch.eq(y, nearest, out=torch.empty_like(nearest))
    over_y.addcmul_(over_y, over_z, value=-1)
    over_x = (1 - over_z).sub_(over_y)
    for axis, over in enumerate((over_x, over_y, over_z)):
        walk.cell.addcmul_(walk.strides[axis], over)
        walk.borders[axis].addcmul_(walk.pitches[axis], over)


def _record(
    walk: Walk,
    events: Int64[Tensor, " event"],
    codes: UInt8[Tensor, " event"],
    exits: Float64[Tensor, " event"],
    hits: list[tuple[Tensor, Tensor]],
) -> None:
    """Notes hits and retires rays that have both, or have left the grid."""
    wanted, cells, rays = walk.wanted[events], walk.cell[events].long(), walk.ray[events]
    for bit, (hit_cells, hit_exits) in zip((TRUTH, PREDICTION), hits, strict=True):
        is_new = (codes & wanted & bit) != 0
        hit_cells[rays] = torch.where(is_new, cells, hit_cells[rays])
        hit_exits[rays] = torch.where(is_new, exits, hit_exits[rays])
    left = wanted & ~codes
    done = ((codes & OUTSIDE) != 0) | ((left & (TRUTH | PREDICTION)) == 0)
    walk.wanted[events] = left
    retired = events[done]
    walk.cell[retired] = 0
    for strides in walk.strides:
        strides[retired] = 0


def start_walk(
    frames: Int64[Tensor, " ray"],
    origins: Float64[Tensor, "ray 3"],
    directions: Float64[Tensor, "ray 3"],
    shape: torch.Size,
) -> Walk:
    """Cells in which the rays begin, and their first borders. Rays that miss the grid are left out.

    Distances are always measured from the origin.
    """
    size = origins.new_tensor(tuple(shape))
    at, enters = _entries(origins, directions, size)
    ray = enters.nonzero()[:, 0]
    if len(ray) < len(enters):
        frames, origins, directions, at = (v[ray] for v in (frames, origins, directions, at))
    cell = at.floor_().clamp_(min=0).minimum(size - 1)
    forward = directions >= 0
    pitches = directions.abs().clamp_(min=1.0 / _NEVER).reciprocal_()
    borders = torch.where(forward, cell + 1 - origins, origins - cell) * pitches
    width, depth, height = (s + 2 for s in shape)
    stride = size.new_tensor([depth * height, height, 1])
    # The sink is cell 0 and each grid has a border of one cell.
    flat = 1 + (cell + 1) @ stride + frames * (width * depth * height)
    steps = torch.where(forward, stride, -stride)
    wanted = torch.full_like(ray, TRUTH | PREDICTION | OUTSIDE, dtype=torch.uint8)
    columns = [[c.contiguous() for c in m.unbind(1)] for m in (borders, pitches, steps)]
    return Walk(ray, wanted, flat, *columns)


def _entries(
    origins: Float64[Tensor, "ray 3"], directions: Float64[Tensor, "ray 3"], size: Tensor
) -> tuple[Float64[Tensor, "ray 3"], Bool[Tensor, " ray"]]:
    """Where rays are when they first are in the box, and whether they ever are."""
    at, enters = origins.clone(), ((origins >= 0) & (origins < size)).all(dim=1)
    outside = (~enters).nonzero()[:, 0]
    if len(outside):
        start, along = origins[outside], directions[outside]
        within = torch.where((start >= 0) & (start < size), torch.inf, -torch.inf)
        first, second = -start / along, (size - start) / along
        entry = torch.where(along == 0, -within, first.minimum(second)).amax(dim=1).clamp(min=0)
        leave = torch.where(along == 0, within, first.maximum(second)).amin(dim=1)
        at[outside] += entry.clamp(max=_NEVER)[:, None] * along
        enters[outside] = entry < leave
    return at, enters


def padded_codes(
    truth: Bool[Tensor, "frame x y z"], prediction: Bool[Tensor, "frame x y z"]
) -> UInt8[Tensor, " cell"]:
    """Bits per cell with a border of OUTSIDE around each grid, after one sink cell without bits."""
    codes = truth.to(torch.uint8) * TRUTH + prediction.to(torch.uint8) * PREDICTION
    codes = functional.pad(codes, (1, 1, 1, 1, 1, 1), value=OUTSIDE)
    return functional.pad(codes.flatten(), (1, 0))


def unpadded(cells: Int64[Tensor, " ray"], shape: torch.Size) -> Int64[Tensor, " ray"]:
    """Flat indices of padded cells as flat indices into [frame, x, y, z]; -1 stays."""
    width, depth, height = (s + 2 for s in shape)
    rest = cells - 1
    z, rest = rest % height - 1, rest // height
    y, rest = rest % depth - 1, rest // depth
    x, frame = rest % width - 1, rest // width
    flat = ((frame * shape[0] + x) * shape[1] + y) * shape[2] + z
    return torch.where(cells < 0, cells, flat)
