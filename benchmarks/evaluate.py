# SPDX-License-Identifier: Apache-2.0
"""Speed of the evaluations on made-up frames of real size.

python benchmarks/evaluate.py                             all, RayIoU on the CPU and on a GPU if any
python benchmarks/evaluate.py occ3d --frames 300
python benchmarks/evaluate.py rayiou --device cuda --batch 32
"""

import argparse
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch

from langocc.evaluate.archives import write_arrays
from langocc.evaluate.occ3d import OccupancyOptions, evaluate_predictions
from langocc.evaluate.predictions import Prediction, write_prediction
from langocc.evaluate.rayiou import default_batch, ray_counts
from langocc.geometry.grid import OCC3D_GRID
from langocc.scenes.frame import Frame

VALIDATION_FRAMES = 6019


def street(generator: np.random.Generator) -> np.ndarray:
    """Occ3D ids of a plausible street: a floor, boxes, the rest free."""
    ids = np.full(OCC3D_GRID.shape, 17, np.uint8)
    ids[:, :, 1:3] = np.repeat(generator.choice([11, 13, 14], (200, 10, 1)), 20, axis=1)
    for _ in range(120):
        x, y = generator.integers(0, 190, 2)
        length, width, height = generator.integers(2, 10, 3)
        ids[x : x + length, y : y + width, 2 : 2 + height] = generator.integers(1, 17)
    return ids


def occ3d(options: argparse.Namespace) -> None:
    """Frames a second of mIoU from files, without and with density."""
    generator = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        frames = [Frame(f"t{i}", f"s{i // 40}", 0, {}, np.eye(4)) for i in range(options.frames)]
        for frame in frames[:20]:
            label, density = street(generator), generator.random(OCC3D_GRID.shape, np.float32)
            mask = (generator.random(OCC3D_GRID.shape) < 0.07).astype(np.uint8)
            arrays = {"semantics": label, "mask_camera": mask, "mask_lidar": mask}
            write_arrays(folder / "gts" / f"{frame.token}.npz", arrays)
            saved = Prediction(np.roll(label, 1, 0), density.astype(np.float16), threshold=0.0)
            write_prediction(folder / "predictions", frame.token, saved)
        for i, frame in enumerate(frames[20:]):
            for kind in ("gts", "predictions"):
                (folder / kind / f"{frame.token}.npz").hardlink_to(folder / kind / f"t{i % 20}.npz")
        for thresholds in ((), (0.1, 0.2, 0.4)):
            start = time.perf_counter()
            evaluate_predictions(
                folder / "predictions",
                frames,
                lambda frame: folder / "gts" / f"{frame.token}.npz",
                OccupancyOptions(thresholds=thresholds),
                workers=options.workers,
            )
            rate = len(frames) / (time.perf_counter() - start)
            print(
                f"occ3d, {max(len(thresholds), 1)} threshold(s): "
                f"{rate:7.1f} frames/s, {VALIDATION_FRAMES / rate:6.1f} s for {VALIDATION_FRAMES}"
            )


def rayiou(options: argparse.Namespace) -> None:
    """Frames a second of RayIoU from memory: eight origins, 14,040 rays each."""
    has_gpu = torch.cuda.is_available()
    for device in [options.device] if options.device else ["cpu", *["cuda"] * has_gpu]:
        trace(options, device, options.batch or default_batch(device))


def trace(options: argparse.Namespace, device: str, batch: int) -> None:
    """Prints the median rate on a device."""
    generator = np.random.default_rng(0)
    labels = [street(generator) for _ in range(batch)]
    semantics = [np.roll(label, 2, 0) for label in labels]
    xs = np.linspace(-38, 38, 8)
    origins = [np.stack([xs, 0 * xs, 0 * xs + 1.84], axis=1) for _ in labels]
    rates = []
    for _ in range(options.repeats + 1):
        start = time.perf_counter()
        with ThreadPoolExecutor(options.workers) as pool:  # each ends in a copy to the CPU
            tasks = [
                pool.submit(ray_counts, semantics, labels, origins, device=device)
                for _ in range(options.workers)
            ]
            done = sum(len(task.result()) for task in tasks)
        rates.append(done / (time.perf_counter() - start))
    rate = float(np.median(rates[1:]))
    print(
        f"rayiou on {device}, {options.workers} worker(s), batch {batch}: "
        f"{rate:7.1f} frames/s, {VALIDATION_FRAMES / rate:6.1f} s for {VALIDATION_FRAMES}"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", nargs="?", choices=["all", "occ3d", "rayiou"], default="all")
    parser.add_argument("--frames", type=int, default=200, help="frames of occ3d")
    parser.add_argument("--workers", type=int, default=2, help="threads; for a CPU one per core")
    parser.add_argument("--device", help="device of rayiou; default: the CPU, and a GPU if any")
    parser.add_argument("--batch", type=int, help="frames rayiou traces together; default: 1 or 16")
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    torch.set_num_threads(1)  # the workers are the threads
    for name, benchmark in {"occ3d": occ3d, "rayiou": rayiou}.items():
        if arguments.what in ("all", name):
            benchmark(arguments)
