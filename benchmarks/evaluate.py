# SPDX-License-Identifier: Apache-2.0
"""Speed of the evaluations on made-up frames of real size.

python benchmarks/evaluate.py occ3d --frames 300
python benchmarks/evaluate.py rayiou --device cuda
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np

from langocc.evaluate.archives import write_arrays
from langocc.evaluate.occ3d import OccupancyOptions, evaluate_predictions
from langocc.evaluate.predictions import Prediction, write_prediction
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
                f"occ3d  {max(len(thresholds), 1)} level(s), density {'read' if thresholds else 'unread'}: "
                f"{rate:7.1f} frames/s, {VALIDATION_FRAMES / rate:6.1f} s for {VALIDATION_FRAMES}"
            )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["occ3d"])
    parser.add_argument("--frames", type=int, default=300)
    parser.add_argument("--workers", type=int, default=2)
    occ3d(parser.parse_args())
