# SPDX-License-Identifier: Apache-2.0
"""Images per second of an extraction, from files to finished shards, on one GPU or several.

    langocc city CITY --image-size 1600 900 && langocc prepare CITY
    python benchmarks/extraction.py CITY
    torchrun --nproc-per-node 2 benchmarks/extraction.py CITY

MaskCLIP+ with a ResNet-50 of random weights, in bf16: times do not depend on the weights. Loading
the teacher and the first image are not counted; decoding, reading, coding and writing are.
"""

import argparse
import tempfile
import time
from pathlib import Path

import torch

from langocc.features.extract import extract_features
from langocc.features.scene_writer import CodecConfig
from langocc.features.store import open_store, ray_store_folder
from langocc.scenes.nuscenes import load
from langocc.teachers.folded import folded
from langocc.teachers.maskclip_plus import MaskClipPlus, MaskClipPlusNetwork
from langocc.train.processes import joined


def main() -> None:
    """Prints a line; the first process does."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("city", type=Path, help="data root, prepared")
    parser.add_argument("--depth", type=int, choices=[50, 101], default=50)
    parser.add_argument("--readers", type=int, default=8, help="threads that decode images")
    options = parser.parse_args()
    with joined() as processes, tempfile.TemporaryDirectory() as folder:
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
        dataset = load(options.city)
        rays = open_store(ray_store_folder(dataset.folders.work, "lidar_pixels"))
        torch.manual_seed(0)
        network = folded(MaskClipPlusNetwork(options.depth).eval(), dtype)
        teacher = MaskClipPlus(network.to(device), options.depth, "random", None)  # pyright: ignore[reportArgumentType]
        teacher.dense(torch.zeros(6, 3, 900, 1600, dtype=torch.uint8, device=device)).sum().item()
        scenes = [scene for scene in sorted(dataset.scenes) if rays.has(scene)]
        own = scenes[processes.rank :: processes.count]
        begin = torch.zeros(1, device=device)
        processes.average_([begin])  # all are ready
        begin.item()
        started = time.perf_counter()
        codec = CodecConfig("pca-int8", 96)
        extract_features(
            dataset, rays, own, Path(folder), teacher, None, codec, readers=options.readers
        )[1].raise_failures()
        taken = torch.tensor([time.perf_counter() - started], device=device)
        processes.average_([taken])  # waits for the slowest
        wall_s = time.perf_counter() - started
        images = sum(len(f.cameras) for s in scenes for f in dataset.scenes[s])
        if processes.is_first:
            print(
                f"{processes.count} processes: {images} images in {wall_s:.1f} s, "
                f"{images / wall_s:.1f} images/s (mean of processes {float(taken):.1f} s)"
            )


if __name__ == "__main__":
    main()
