# SPDX-License-Identifier: Apache-2.0
"""Batch norm of training with shortcut and ReLU: torch's steps, and as one operation.

    python benchmarks/norm_relu.py              # a GPU; the shapes of a training step at batch 4
    python benchmarks/norm_relu.py --tiles      # other numbers of programs and tiles at once

bfloat16, channels last. Times are medians of the GPU's own, per call: it is kept busy while calls
are queued, so they hold no launching. That is the host's time. GB/s count what the operation has to
read and write: forward four tensors (three without shortcut), backward seven.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

from langocc.model import triton_norm as fused
from langocc.model.activation import activated
from langocc.model.batch_norm import ImageNorm, VolumeNorm

SHAPES = [
    ((24, 64, 128, 352), False),
    ((24, 256, 64, 176), True),
    ((24, 512, 32, 88), True),
    ((24, 1024, 16, 44), True),
    ((24, 2048, 8, 22), True),
    ((24, 256, 16, 44), False),
    ((4, 32, 200, 200, 16), True),
    ((4, 64, 100, 100, 8), True),
    ((4, 128, 50, 50, 4), True),
]
"""Of the tensor, and whether there is a shortcut."""
CALLS = 10
BUSY_CYCLES = 20_000_000
"""About ten milliseconds: longer than it takes to queue the calls."""
Times = tuple[float, float]


def timed(function: Callable[[], object], repeats: int) -> Times:
    """Milliseconds of the GPU and microseconds of the host, per call."""
    function()
    on_device, on_host = [], []
    for _ in range(repeats):
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        torch.cuda.synchronize()
        torch.cuda._sleep(BUSY_CYCLES)
        begin.record()
        started = time.perf_counter()
        for _ in range(CALLS):
            function()
        on_host.append(1e6 * (time.perf_counter() - started) / CALLS)
        end.record()
        end.synchronize()
        on_device.append(begin.elapsed_time(end) / CALLS)
    return statistics.median(on_device), statistics.median(on_host)


def rows(shape: tuple[int, ...]) -> Tensor:
    """Random numbers, channels last."""
    batch, channels, *size = shape
    x = torch.randn(batch, *size, channels, device="cuda", dtype=torch.bfloat16)
    return x.movedim(-1, 1).requires_grad_()


def both_ways(norm: nn.Module, x: Tensor, shortcut: Tensor | None, repeats: int) -> list[Times]:
    """Forward and backward."""
    inputs = [x, *norm.parameters(), *([] if shortcut is None else [shortcut])]

    def forward() -> Tensor:
        return activated(norm, x, shortcut)

    out, given = forward(), rows(tuple(x.shape)).detach()

    def backward() -> object:
        return torch.autograd.grad(out, inputs, given, retain_graph=True)

    return [timed(forward, repeats), timed(backward, repeats)]


def table(repeats: int) -> None:
    """A line for each shape."""
    print("| shape | shortcut | way | forward ms | GB/s | host us | backward ms | GB/s | host us |")
    print("|---|---|---|---|---|---|---|---|---|")
    for shape, has_shortcut in SHAPES:
        x, shortcut = rows(shape), rows(shape) if has_shortcut else None
        flat = len(shape) == 4
        norms = {
            "torch": (nn.BatchNorm2d if flat else nn.BatchNorm3d)(shape[1]).cuda(),
            "fused": (ImageNorm if flat else VolumeNorm)(shape[1]).cuda(),
        }
        for way, norm in norms.items():
            cells = []
            passes = (3 + has_shortcut, 7)
            for (ms, us), count in zip(both_ways(norm, x, shortcut, repeats), passes, strict=True):
                rate = count * x.numel() * x.element_size() / ms / 1e6
                cells.append(f"{ms:.3f} | {rate:.0f} | {us:.0f}")
            name = "x".join(map(str, shape))
            print(f"| {name} | {has_shortcut} | {way} | {' | '.join(cells)} |", flush=True)


def tiles(repeats: int) -> None:
    """Forward and backward by tiles read at once and programs, for three shapes."""
    print("| shape | tiles | programs | forward ms | backward ms |")
    print("|---|---|---|---|---|")
    for shape, has_shortcut in (SHAPES[1], SHAPES[3], SHAPES[6]):
        norm = (ImageNorm if len(shape) == 4 else VolumeNorm)(shape[1]).cuda()
        x, shortcut = rows(shape), rows(shape) if has_shortcut else None
        for steps in (1, 2, 4):
            for programs in (264, 396, 528, 1056):
                work = fused.Work(tile=2048, steps=steps, warps=8, programs=programs)
                fused.STATISTICS = fused.GRADIENT_SUMS = work
                forward, backward = both_ways(norm, x, shortcut, repeats)
                name = "x".join(map(str, shape))
                print(f"| {name} | {steps} | {programs} | {forward[0]:.3f} | {backward[0]:.3f} |")


def main() -> None:
    """Prints a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--tiles", action="store_true")
    options = parser.parse_args()
    torch.manual_seed(0)
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}\n")
    (tiles if options.tiles else table)(options.repeats)


if __name__ == "__main__":
    main()
