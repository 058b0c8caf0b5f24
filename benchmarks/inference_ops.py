# SPDX-License-Identifier: Apache-2.0
"""Passes that the engine for a GPU makes fewer of: readable and fused, in bfloat16.

    python benchmarks/inference_ops.py                    # a GPU: shapes of the preset full
    python benchmarks/inference_ops.py --tiles            # other tiles of norms and classes
    python benchmarks/inference_ops.py --device cpu --voxels 10000     # both ways by torch

Medians between device events on a GPU, of processor seconds on a CPU.
"""

import argparse
import itertools
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import conv3d, linear

from langocc.deploy.answers import Asked, answers, fused_answers
from langocc.deploy.sums import sum_relu
from langocc.model.activation import shifted_relu
from langocc.model.fused import fused_shifted_relu
from langocc.model.linear_relu import fused_linear_relu
from model_ops import median_ms  # pyright: ignore[reportMissingImports]

WIDTH, CLASSES = 256, 76
MAPS = {
    "layer1": (12, 256, 64, 176),
    "layer3": (12, 1024, 16, 44),
    "stem, pooled": (12, 64, 64, 176),
    "voxels, full": (1, 32, 200, 200, 16),
    "voxels, final": (1, 256, 200, 200, 16),
}


def row(what: str, ms: list[float]) -> None:
    """One line of the table."""
    print(f"| {what} | {' | '.join(f'{each:.3f}' for each in ms)} |", flush=True)


def timed(device: str, repeats: int, *functions: Callable[[], object]) -> list[float]:
    """Milliseconds of each."""
    return [median_ms(function, device, repeats) for function in functions]


def activations(device: str, repeats: int) -> None:
    """Offset, shortcut, ReLU."""
    for name, shape in MAPS.items():
        x, shortcut = (
            torch.randn(shape, device=device, dtype=torch.bfloat16).movedim(1, -1).contiguous()
            for _ in range(2)
        )
        x, shortcut = x.movedim(-1, 1), shortcut.movedim(-1, 1)
        offset = torch.randn(shape[1], device=device)
        given = x, offset, shortcut
        functions = [lambda f=f, g=given: f(*g) for f in (shifted_relu, fused_shifted_relu)]
        row(f"offset, shortcut, ReLU: {name}", timed(device, repeats, *functions))


def layers(device: str, voxels: int, repeats: int) -> None:
    """One hidden layer of a pointwise head."""
    layer = nn.Linear(WIDTH, WIDTH).to(device, torch.bfloat16).requires_grad_(False)
    x = torch.randn(voxels, WIDTH, device=device, dtype=torch.bfloat16)
    row(
        "linear, ReLU",
        timed(device, repeats, lambda: layer(x).relu_(), lambda: fused_linear_relu(layer, x)),
    )


def questions(device: str, voxels: int) -> tuple[Tensor, Asked]:
    """Hidden features and what is asked of them."""
    hidden = torch.randn(voxels, WIDTH, device=device).relu_().bfloat16()
    root, weight = (torch.randn(n, WIDTH, device=device).bfloat16() for n in (WIDTH, CLASSES))
    root_bias, class_bias = (torch.randn(n, device=device) for n in (WIDTH, CLASSES))
    rest = torch.ones((), device=device)
    return hidden, Asked(root.triu(), root_bias, rest, weight, class_bias)


def answering(device: str, voxels: int, repeats: int) -> None:
    """Norms and best classes."""
    given = questions(device, voxels)
    functions = [lambda f=f: f(*given) for f in (answers, fused_answers)]
    row("norms, best classes", timed(device, repeats, *functions))


def sums(device: str, repeats: int) -> None:
    """How a bottleneck block ends: product, offset, shortcut, ReLU."""
    for name, pixels, width in (
        ("layer1", 12 * 64 * 176, 64),
        ("layer2", 12 * 32 * 88, 128),
        ("layer3", 12 * 16 * 44, 256),
    ):
        layer = nn.Linear(width, 4 * width).to(device, torch.bfloat16).requires_grad_(False)
        x = torch.randn(pixels, width, device=device, dtype=torch.bfloat16)
        shortcut = torch.randn(pixels, 4 * width, device=device, dtype=torch.bfloat16)

        def apart(x: Tensor = x, layer: nn.Linear = layer, shortcut: Tensor = shortcut) -> Tensor:
            return fused_shifted_relu(linear(x, layer.weight), layer.bias, shortcut)

        given = x, layer, shortcut
        row(f"end of block: {name}", timed(device, repeats, apart, lambda g=given: sum_relu(*g)))


def stacked(device: str, repeats: int) -> None:
    """Two convolutions of one volume, and one with both kernels whose halves are copied out."""
    for channels in (32, 64):
        x = torch.randn(1, channels, 200, 200, 16, device=device, dtype=torch.bfloat16)
        x = x.contiguous(memory_format=torch.channels_last_3d)
        both = torch.randn(64, channels, 3, 3, 3, device=device, dtype=torch.bfloat16)
        both = both.contiguous(memory_format=torch.channels_last_3d)

        def apart(x: Tensor = x, both: Tensor = both) -> list[Tensor]:
            return [conv3d(x, kernel, padding=1) for kernel in both.split(32)]

        def together(x: Tensor = x, both: Tensor = both) -> list[Tensor]:
            halves = conv3d(x, both, padding=1).split(32, dim=1)
            return [half.contiguous(memory_format=torch.channels_last_3d) for half in halves]

        row(f"two 3x3x3 convolutions of {channels}", timed(device, repeats, apart, together))


def tiles(voxels: int, repeats: int) -> None:
    """Norms and best classes by the tile of a program."""
    from langocc.deploy import triton_answers

    given = questions("cuda", voxels)
    print("| rows | chunk | warps | stages | ms |")
    print("|---|---|---|---|---|")
    for rows, chunk, warps, stages in itertools.product(
        (64, 128, 256), (32, 64, 128), (4, 8), (1, 2, 3)
    ):
        sizes = {"ROWS": rows, "CHUNK": chunk, "num_warps": warps, "num_stages": stages}
        triton_answers.TILE.update(sizes)
        try:
            ms = median_ms(lambda: fused_answers(*given), "cuda", repeats)
        except triton_answers.triton.OutOfResources:
            continue
        print(f"| {rows} | {chunk} | {warps} | {stages} | {ms:.3f} |", flush=True)


def main() -> None:
    """Prints a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--voxels", type=int, default=640_000)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--tiles", action="store_true")
    options = parser.parse_args()
    torch.manual_seed(0)
    torch.backends.cudnn.benchmark = True
    with torch.no_grad():
        if options.tiles:
            tiles(options.voxels, options.repeats)
            return
        print("| what | readable ms | fused ms |")
        print("|---|---|---|")
        layers(options.device, options.voxels, options.repeats)
        answering(options.device, options.voxels, options.repeats)
        if options.device == "cuda":
            activations(options.device, options.repeats)
            sums(options.device, options.repeats)
            stacked(options.device, options.repeats)


if __name__ == "__main__":
    main()
