# SPDX-License-Identifier: Apache-2.0
"""How long a teacher takes for one key frame (six images), in full and half precision.

python benchmarks/teacher_cpu.py --threads 2
"""

import argparse
import statistics
import time

import torch
from rich.console import Console
from rich.table import Table

from langocc.teachers.load import load_teacher
from langocc.teachers.text import load_vocabulary


def main() -> None:
    """Measures and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--teacher", default="city-clip")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--width", type=int, default=400)
    parser.add_argument("--height", type=int, default=225)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    images = torch.randint(0, 256, (6, 3, options.height, options.width), dtype=torch.uint8)
    pixels = torch.rand(3000, 2) * torch.tensor([options.height, options.width])
    title = f"{options.teacher}, 6 x {options.width} x {options.height}, {options.threads} threads"
    table = Table("part", "median ms", "least ms", title=title)
    for dtype in (torch.float32, torch.bfloat16):
        teacher = load_teacher(options.teacher, device=options.device, dtype=dtype)
        dense = teacher.dense(images)
        name = str(dtype).removeprefix("torch.")
        for part, call in (
            (f"dense {tuple(dense.shape[2:])}, {name}", lambda t=teacher: t.dense(images)),
            (
                f"6 x 3000 pixels read, {name}",
                lambda t=teacher, d=dense: [
                    t.sample(m, pixels.to(d.device), (options.height, options.width)) for m in d
                ],
            ),
        ):
            times = _times(call, options.repeats, options.device)
            table.add_row(part, f"{statistics.median(times):.0f}", f"{min(times):.0f}")
    fresh = load_teacher(options.teacher, device=options.device)
    start = time.perf_counter()
    fresh.text(load_vocabulary("v1").prompts)
    taken = 1000 * (time.perf_counter() - start)
    table.add_row("76 prompts x 85 templates, once", f"{taken:.0f}", f"{taken:.0f}")
    Console().print(table)


def _times(call, repeats: int, device: str) -> list[float]:
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        if device.startswith("cuda"):
            torch.cuda.synchronize()
        times.append(1000 * (time.perf_counter() - start))
    return times


if __name__ == "__main__":
    main()
