# SPDX-License-Identifier: Apache-2.0
"""Time and memory of the network alone: a forward pass, or a step's forward and backward.

Random images and a ring of six cameras; times say nothing about the data or the loss.

    python benchmarks/model_forward.py --preset full
    python benchmarks/model_forward.py --preset tiny --backward
"""

import argparse
import resource
import statistics
import sys
import time
from pathlib import Path

import torch

sys.path.append(str(Path(__file__).parents[1] / "tests" / "model"))


def main() -> None:
    """Prints one row of a table."""
    from model_kit import random_images, ring_rig  # pyright: ignore[reportMissingImports]

    from langocc.model.langocc import LangOcc
    from langocc.presets import MODELS

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--preset", choices=list(MODELS), default="full")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--backward", action="store_true")
    options = parser.parse_args()
    config = MODELS[options.preset]
    model = LangOcc(config).to(options.device).train(options.backward)
    images = random_images(config, options.batch).to(options.device)
    rig = ring_rig(config, options.batch).to(options.device)
    times = []
    for _ in range(1 + options.repeats):
        started = (time.perf_counter(), time.process_time())
        with torch.set_grad_enabled(options.backward):
            field = model(images, rig)
            if options.backward:
                (field.density.mean() + field.features.mean()).backward()
        if options.device != "cpu":
            torch.cuda.synchronize()
        times.append((time.perf_counter() - started[0], time.process_time() - started[1]))
    wall_s, cpu_s = (statistics.median(column) for column in zip(*times[1:], strict=True))
    if options.device == "cpu":
        memory_gib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    else:
        memory_gib = torch.cuda.max_memory_allocated() / 2**30
    what = "forward + backward" if options.backward else "forward"
    print("| preset | batch | what | wall s (median) | processor s | peak memory GiB | threads |")
    print("|---|---|---|---|---|---|---|")
    print(
        f"| {options.preset} | {options.batch} | {what} | {wall_s:.3f} | {cpu_s:.3f} "
        f"| {memory_gib:.2f} | {torch.get_num_threads()} |"
    )


if __name__ == "__main__":
    main()
