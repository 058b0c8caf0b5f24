# SPDX-License-Identifier: Apache-2.0
"""Images per second of each teacher's dense pass, and the share of the GPU's peak it reaches.

MaskCLIP+ (ResNet-50 and 101) takes 1600 x 900 photographs, which it resizes to 1820 x 1024;
MaskCLIP (ViT-B/16) takes 800 x 448. Weights are random: times do not depend on them. Bytes of the
images lie on the device already; reading 3,100 pixels of each map, as a key frame of 18,600 rays
needs, is counted in the last column. Operations are counted by torch (two a multiply-add).

    python benchmarks/teachers.py [--compile] [--batch 6] [--repeats 20]
"""

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from itertools import pairwise

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode
from transformers import CLIPConfig, CLIPModel

from langocc.teachers import maskclip_plus
from langocc.teachers.folded import folded
from langocc.teachers.maskclip import MaskClip
from langocc.teachers.maskclip_plus import MaskClipPlus, MaskClipPlusNetwork

PIXELS = 3100
"""Rays of one image of a key frame, about."""


def main() -> None:
    """Measures and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--batch", type=int, default=6, help="images at a time; 6: a key frame")
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--peak", type=float, default=989, help="TFLOP/s of dense bf16 (H200: 989)")
    parser.add_argument("--scale", type=float, default=1.0, help="of the image's sides, for trials")
    parser.add_argument("--compile", action="store_true", help="also through torch.compile")
    parser.add_argument("--only", default="", help="cases whose name holds this")
    parser.add_argument("--search", action="store_true", help="let cuDNN look for algorithms")
    options = parser.parse_args()
    torch.backends.cudnn.benchmark = options.search
    device = torch.device(options.device)
    height, width = maskclip_plus.NETWORK_SIZE
    maskclip_plus.NETWORK_SIZE = round(height * options.scale), round(width * options.scale)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "processor"
    cudnn = torch.backends.cudnn.version()
    title = f"{name}, torch {torch.__version__}, cuDNN {cudnn}, batch {options.batch}"
    columns = ["teacher", "images/s", "least ms", "TFLOP an image", "TFLOP/s"]
    table = Table(*columns, f"of {options.peak:.0f}", "images/s with pixels read", title=title)
    for case, teacher, (height, width), modules in cases(device, options.compile, options.only):
        size = round(height * options.scale), round(width * options.scale)
        images = torch.randint(0, 256, (options.batch, 3, *size), dtype=torch.uint8, device=device)
        pixels = torch.rand(PIXELS, 2, device=device) * torch.tensor(size, device=device)

        def look(teacher=teacher, images=images) -> Tensor:
            return teacher.dense(images)

        def read(teacher=teacher, images=images, pixels=pixels, size=size) -> None:
            for dense in teacher.dense(images):
                teacher.sample(dense, pixels, size)

        tera = operations(look) / options.batch / 1e12  # before compiling, which hides operations
        for module in modules:
            module.compile()
        dense_s, read_s = (seconds(call, options.repeats, device) for call in (look, read))
        rate = options.batch / statistics.median(dense_s)
        table.add_row(
            case,
            f"{rate:.1f}",
            f"{1e3 * min(dense_s):.1f}",
            f"{tera:.2f}",
            f"{tera * rate:.0f}",
            f"{tera * rate / options.peak:.1%}",
            f"{options.batch / statistics.median(read_s):.1f}",
        )
    Console(width=140).print(table)


def cases(
    device: torch.device, is_compiled: bool, only: str
) -> Iterator[tuple[str, MaskClip | MaskClipPlus, tuple[int, int], list[nn.Module]]]:
    """Teachers with random weights, made one at a time, their images' size, what to compile."""
    torch.manual_seed(0)
    for depth in (50, 101):
        for variant in ("fp32", "bf16", "bf16 folded", *(["bf16 compiled"] if is_compiled else [])):
            if only not in (case := f"MaskCLIP+ R{depth}, {variant}"):
                continue
            network = MaskClipPlusNetwork(depth).eval()
            if variant in ("bf16 folded", "bf16 compiled"):
                network = folded(network, torch.bfloat16)
            elif variant == "bf16":
                network = network.bfloat16()
            teacher = MaskClipPlus(network.to(device), depth, "random", None)
            yield case, teacher, (900, 1600), [network] if variant == "bf16 compiled" else []
    for variant in ("fp32", "bf16", *(["bf16 compiled"] if is_compiled else [])):
        if only not in (case := f"MaskCLIP ViT-B/16, {variant}"):
            continue
        tower = {"patch_size": 16, "image_size": 224}
        model = CLIPModel(CLIPConfig(vision_config=tower, text_config={"num_hidden_layers": 1}))
        model = model.to(device, torch.float32 if variant == "fp32" else torch.bfloat16)
        blocks = list(model.vision_model.encoder.layers) if variant == "bf16 compiled" else []
        yield case, MaskClip(model, None, "random"), (448, 800), blocks


def operations(call: Callable[[], object]) -> int:
    """Floating-point operations of one call; the call also warms up."""
    with FlopCounterMode(display=False) as counter:
        call()
    return counter.get_total_flops()


def seconds(call: Callable[[], object], repeats: int, device: torch.device) -> list[float]:
    """Times of calls, after three that do not count; by device events on a GPU."""
    for _ in range(3):
        call()
    if device.type != "cuda":
        times = [time.perf_counter()]
        for _ in range(repeats):
            call()
            times.append(time.perf_counter())
        return [after - before for before, after in pairwise(times)]
    marks = [torch.cuda.Event(enable_timing=True) for _ in range(repeats + 1)]
    marks[0].record()
    for mark in marks[1:]:
        call()
        mark.record()
    torch.cuda.synchronize()
    return [before.elapsed_time(after) / 1e3 for before, after in pairwise(marks)]


if __name__ == "__main__":
    main()
