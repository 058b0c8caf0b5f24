# SPDX-License-Identifier: Apache-2.0
"""Two ways to the gradient of hidden rows: atomics from the rays, or a transposed product.

`render.py` runs this on a GPU. Atomics move 1 KiB per visit into the rows, in float32; filing the
visits by row (counting sort) first lets every row sum its own in registers, and be written once.
"""
# ruff: noqa: N803 - Triton constants are upper case.

import statistics
from collections.abc import Callable

import torch
import triton
import triton.language as tl
from torch import Tensor

from langocc.geometry.grid import VoxelGrid
from langocc.geometry.rays import RayBatch
from langocc.render.config import RenderConfig
from langocc.render.lookup import Box
from langocc.render.triton_rays import RaySpace, place, weigh
from langocc.render.triton_rows import _rows_gradient, number_rows


@triton.jit
def scatter_kernel(
    row, share, runs, d_seen, d_rows,
    CHANNELS: tl.constexpr, SLOTS: tl.constexpr, BLOCK: tl.constexpr,
) -> None:  # fmt: skip
    """Adds share * gradient of a ray to every row that it visits."""
    ray = tl.program_id(0).to(tl.int64)
    channel = tl.arange(0, CHANNELS)
    within = tl.arange(0, BLOCK)
    slots = tl.load(runs + ray) * 8
    gradient = tl.load(d_seen + ray * CHANNELS + channel).to(tl.float32)
    for first in range(0, slots, BLOCK):
        slot = first + within
        index = tl.load(row + ray * SLOTS + slot, mask=slot < slots, other=-1)
        mask = index >= 0
        part = tl.load(share + ray * SLOTS + slot, mask=mask, other=0.0)
        at = index.to(tl.int64)[:, None] * CHANNELS + channel[None, :]
        tl.atomic_add(d_rows + at, part[:, None] * gradient[None, :], mask=mask[:, None])


def compare_row_gradients(
    grid: VoxelGrid, density: Tensor, rays: RayBatch, channels: int, repeats: int
) -> list[str]:
    """Times of both ways, and how far they differ."""
    batch, count, _ = rays.origins.shape
    config = RenderConfig()
    origins, directions = rays.origins.flatten(0, 1), rays.directions.flatten(0, 1)
    box = Box(grid.lower_m, grid.upper_m)
    space = RaySpace(origins.contiguous(), directions.contiguous(), count, grid.shape, box, config)
    uniforms = torch.rand(batch * count, config.proposals - 1, device=density.device)
    centres, cells = place(density, space, uniforms)
    _, _, sparse = weigh(density, space, centres, cells)
    touched, numbered = number_rows(sparse)
    share = sparse.share.detach()
    rows = torch.zeros(len(touched), channels, device=density.device, dtype=torch.bfloat16)
    d_seen = torch.randn(batch * count, channels, device=density.device).bfloat16()
    d_inverse = torch.randn(batch * count, device=density.device)
    inverse = torch.ones(len(touched), device=density.device)

    def transposed() -> Tensor:
        return _rows_gradient(rows, inverse, share, numbered, d_seen, d_inverse)[0].float()

    def scattered() -> Tensor:
        d_rows = torch.zeros(len(touched), channels, device=density.device)
        scatter_kernel[(batch * count,)](
            numbered.row, share, numbered.runs, d_seen, d_rows,
            CHANNELS=channels, SLOTS=share.shape[1], BLOCK=8,  # pyright: ignore[reportArgumentType]
        )  # fmt: skip
        return d_rows

    difference = float((transposed() - scattered()).norm() / scattered().norm())
    return [
        f"rows {len(touched)}, visits {int(numbered.visits.sum())}, runs a ray "
        f"{float(numbered.runs.float().mean()):.1f}",
        f"gradient of rows: transposed product {_clock(transposed, repeats):.2f} ms, "
        f"atomics {_clock(scattered, repeats):.2f} ms, relative difference {difference:.1e}",
    ]


def _clock(function: Callable[[], Tensor], repeats: int) -> float:
    times = []
    for _ in range(repeats + 3):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        function()
        end.record()
        torch.cuda.synchronize()
        times.append(start.elapsed_time(end))
    return statistics.median(times[3:])
