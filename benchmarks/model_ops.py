# SPDX-License-Identifier: Apache-2.0
"""Stereo cost volume of two frames, and the sum into voxels: readable and fused.

    python benchmarks/model_ops.py                        # a GPU, batch 4: the published shapes
    python benchmarks/model_ops.py --device cpu           # batch 1
    python benchmarks/model_ops.py --tiles                # a GPU: other tiles of the cost volume

Random features on six cameras around a vehicle that drives 5 m a frame. Times are medians, between
device events on a GPU, of processor seconds (all threads) on a CPU; the grid of the cost volume is
timed by itself. What is fused is compared with what is readable in the same run.
"""

import argparse
import itertools
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

sys.path.append(str(Path(__file__).parents[1] / "tests" / "model"))

from model_kit import ring_rig  # pyright: ignore[reportMissingImports]

from langocc.geometry.rig import CameraRig
from langocc.model.langocc import COST_VOLUMES, SPLATS, STEREO_GRIDS
from langocc.model.lift import voxel_cells
from langocc.model.projection import frustum, lifted_points_m, stereo_grid
from langocc.presets import FULL_MODEL

PUBLISHED_MS = {"cost volume, two frames": 294.0, "sum into voxels, forward + backward": 20.0}
"""One H200, batch 4. The second figure holds the sort and the forward pass."""
RULE = {"invalid_cost": 5.0, "zero_is_invalid": True}


def median_ms(function: Callable[[], object], device: str, repeats: int) -> float:
    """Median time of a call after one to warm up."""
    times = []
    for _ in range(1 + repeats):
        if device == "cpu":
            started = time.process_time()
            function()
            times.append(1e3 * (time.process_time() - started))
            continue
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        function()
        end.record()
        end.synchronize()
        times.append(begin.elapsed_time(end))
    return statistics.median(times[1:])


def row(what: str, precision: str, variant: str, ms: float, difference: float | None) -> None:
    """One line of the table."""
    published = f"{PUBLISHED_MS[what]:.0f}" if what in PUBLISHED_MS else ""
    apart = "" if difference is None else f"{difference:.1e}"
    print(f"| {what} | {precision} | {variant} | {ms:.2f} | {published} | {apart} |", flush=True)


def cost_volumes(rig: CameraRig, batch: int, device: str, repeats: int) -> None:
    """Both lifted frames."""
    pixels = frustum(FULL_MODEL.input_size, 4, FULL_MODEL.depth).to(device)
    shape = (3, 6 * batch, 4 * FULL_MODEL.backbone.width, *pixels.shape[2:])
    features = torch.randn(shape, device=device).relu_()

    given: list[Tensor] = []
    for variant, make in STEREO_GRIDS.items():

        def grids(function: Callable = make) -> list[Tensor]:
            size = FULL_MODEL.input_size
            return [function(rig, f, pixels, size).flatten(0, 1) for f in range(2)]

        found = grids()
        given = given or found
        apart = max(float((a - b).abs().max()) for a, b in zip(found, given, strict=True))
        row("grid, two frames", "float32", variant, median_ms(grids, device, repeats), apart)
    for dtype in (torch.float32, torch.bfloat16)[: 1 if device == "cpu" else 2]:
        # Channels last, as the backbone hands them over.
        maps = [m.to(dtype).contiguous(memory_format=torch.channels_last) for m in features]
        expected = []
        for variant, cost_volume in COST_VOLUMES.items():
            wide = [m.float() for m in maps] if variant == "readable" else maps

            def run(function: Callable = cost_volume, maps: list[Tensor] = wide) -> list[Tensor]:
                return [function(maps[f], maps[f + 1], given[f], **RULE) for f in range(2)]

            found = run()
            expected = expected or found
            apart = max(float((a - b).abs().max()) for a, b in zip(found, expected, strict=True))
            name = str(dtype).removeprefix("torch.")
            ms = median_ms(run, device, repeats)
            row("cost volume, two frames", name, variant, ms, apart)


def splats(rig: CameraRig, batch: int, device: str, repeats: int) -> None:
    """The key frame, with gradients of depth and context."""
    pixels = frustum(FULL_MODEL.input_size, 16, FULL_MODEL.depth).to(device)
    points_m = lifted_points_m(rig, 0, pixels, FULL_MODEL.quirks)
    cells = voxel_cells(points_m, FULL_MODEL.grid, truncated=True)
    depth = torch.randn(cells.shape, device=device).softmax(2).requires_grad_()
    size = (batch, 6, FULL_MODEL.depth.context_channels, *cells.shape[3:])
    context = torch.randn(size, device=device, requires_grad=True)
    shape = FULL_MODEL.grid.shape
    given = torch.randn(batch, *shape, size[2], device=device).permute(0, 4, 1, 2, 3)
    expected: list[Tensor] = []
    for variant, splat in SPLATS.items():

        def forward(function: Callable = splat) -> Tensor:
            return function(depth, context, cells, shape)

        def both(forward: Callable[[], Tensor] = forward) -> list[Tensor]:
            volume = forward()
            return [volume.detach(), *torch.autograd.grad(volume, (depth, context), given)]

        found = both()
        expected = expected or found
        apart = max(float((a - b).abs().max()) for a, b in zip(found, expected, strict=True))
        ms = median_ms(forward, device, repeats)
        row("sum into voxels, forward", "float32", variant, ms, None)
        ms = median_ms(both, device, repeats)
        row("sum into voxels, forward + backward", "float32", variant, ms, apart)


def tiles(rig: CameraRig, batch: int, repeats: int) -> None:
    """One cost volume by the pixels of a program and its warps."""
    from langocc.model import triton_ops

    pixels = frustum(FULL_MODEL.input_size, 4, FULL_MODEL.depth).cuda()
    grid = stereo_grid(rig, 0, pixels, FULL_MODEL.input_size).flatten(0, 1)
    shape = (2, 6 * batch, 4 * FULL_MODEL.backbone.width, *pixels.shape[2:])
    features = torch.randn(shape, device="cuda").relu_()
    print("| precision | pixels | warps | ms |")
    print("|---|---|---|---|")
    for dtype, count, warps in itertools.product(
        (torch.float32, torch.bfloat16), (1, 2, 4, 8, 16), (1, 2, 4, 8)
    ):
        if count > 4 * warps or count < warps // 2:
            continue  # more than a thread's registers hold, or warps with next to nothing
        triton_ops.MATCH.update(PIXELS=count, num_warps=warps)
        current, reference = (
            m.to(dtype).contiguous(memory_format=torch.channels_last) for m in features
        )

        def run(current: Tensor = current, reference: Tensor = reference) -> Tensor:
            return triton_ops.triton_cost_volume(current, reference, grid, **RULE)

        ms = median_ms(run, "cuda", repeats)
        print(f"| {dtype} | {count} | {warps} | {ms:.2f} |", flush=True)


def main() -> None:
    """Prints a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--batch", type=int)
    parser.add_argument("--repeats", type=int)
    parser.add_argument("--tiles", action="store_true")
    options = parser.parse_args()
    device = options.device
    batch = options.batch or (1 if device == "cpu" else 4)
    repeats = options.repeats or (3 if device == "cpu" else 20)
    torch.manual_seed(0)
    rig = ring_rig(FULL_MODEL, batch, speed_m=5.0).to(device)
    name = "processor" if device == "cpu" else torch.cuda.get_device_name()
    print(f"{name}, {torch.get_num_threads()} threads, torch {torch.__version__}, batch {batch}\n")
    if options.tiles:
        tiles(rig, batch, repeats)
        return
    print("| what | precision | variant | ms | published ms (H200, batch 4) | largest difference |")
    print("|---|---|---|---|---|---|")
    cost_volumes(rig, batch, device, repeats)
    splats(rig, batch, device, repeats)


if __name__ == "__main__":
    main()
