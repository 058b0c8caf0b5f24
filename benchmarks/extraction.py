# SPDX-License-Identifier: Apache-2.0
"""Images per second of an extraction, from files to finished shards, on one GPU or several.

    langocc city CITY --image-size 1600 900 && langocc prepare CITY
    python benchmarks/extraction.py CITY [--profile]
    torchrun --nproc-per-node 2 benchmarks/extraction.py CITY
    python benchmarks/extraction.py CITY --stand-in --profile

MaskCLIP+ with a ResNet-50 of random weights, in bf16: times do not depend on the weights. Loading
the teacher and the first scene, which is done once before, are not counted; decoding, reading,
coding and writing are. `--profile` says where the time of each part goes (its own process's;
processor time of a thread that waits for a GPU counts as waiting, for it may spin). `--stand-in`
has maps and features ready instead of a network: what is left is the work of the processor.
"""

import argparse
import functools
import os
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from langocc.features import look_ahead, reading, scene_writer
from langocc.features.codecs import Int8
from langocc.features.extract import extract_features
from langocc.features.pca import Pca
from langocc.features.scene_writer import CodecConfig
from langocc.features.shard import ShardWriter
from langocc.features.store import FeatureStore, open_store, ray_store_folder
from langocc.scenes.dataset import Dataset
from langocc.scenes.nuscenes import load
from langocc.teachers.folded import folded
from langocc.teachers.maskclip_plus import MaskClipPlus, MaskClipPlusNetwork
from langocc.train.processes import joined


class StandIn:
    """A teacher that has all answers ready: maps and features of the published sizes."""

    id = "stand-in"
    channels = 512

    def __init__(self, device: torch.device) -> None:
        """Draws them."""
        generator = torch.Generator().manual_seed(0)
        self.map = torch.zeros(512, 128, 228, device=device)
        rows = torch.randn(20_000, 512, generator=generator) @ torch.randn(512, 512)
        self.rows = torch.nn.functional.normalize(rows, dim=-1).to(device)

    def dense(self, images: torch.Tensor) -> torch.Tensor:
        """The map, once for each image."""
        return self.map.expand(len(images), *self.map.shape)

    def sample(
        self, dense: torch.Tensor, row_col: torch.Tensor, image_size: tuple[int, int]
    ) -> torch.Tensor:
        """The first features."""
        return self.rows[: len(row_col)]

    def text(self, prompts: object, *, templates: bool = True) -> torch.Tensor:
        """Not asked for."""
        raise NotImplementedError

    def to(self, device: torch.device | str) -> "StandIn":
        """Stays where it is."""
        return self


class Parts:
    """Processor time and wall time of the parts of an extraction, by thread."""

    def __init__(self) -> None:
        """Nothing yet."""
        self.times: defaultdict[tuple[str, str], list[float]] = defaultdict(lambda: [0.0, 0.0])
        self.order: list[str] = []

    def watch(self, owner: Any, name: str, part: str) -> None:
        """Lets calls of `owner.name` count as a part."""
        whole: Callable[..., Any] = getattr(owner, name)
        self.order.append(part)

        @functools.wraps(whole)
        def watched(*args: Any, **kwargs: Any) -> Any:
            cpu_s, wall_s = time.thread_time(), time.perf_counter()
            try:
                return whole(*args, **kwargs)
            finally:
                is_main = threading.current_thread() is threading.main_thread()
                times = self.times[part, "main" if is_main else "readers"]
                times[0] += time.thread_time() - cpu_s
                times[1] += time.perf_counter() - wall_s

        setattr(owner, name, watched)

    def watch_all(self, teacher: object) -> None:
        """All parts that do not lie in one another."""
        self.watch(reading, "read_image", "decode")
        self.watch(reading, "colours_at", "colours")
        self.watch(look_ahead.LookAhead, "_start_reading", "start to read")
        self.watch(reading.ReadFrame, "wait", "wait for images")
        self.watch(look_ahead, "look", "give the teacher work")
        self.watch(teacher, "dense", "  of it: dense pass")
        self.watch(teacher, "sample", "  of it: reading pixels")
        self.watch(look_ahead, "settled", "wait for the teacher, sky")
        self.watch(scene_writer, "_world", "features for the PCA")
        self.watch(scene_writer, "fit_pca", "PCA")
        self.watch(Pca, "encode", "encode")
        self.watch(Int8, "encode", "encode")
        self.watch(scene_writer, "_on_host", "wait for codes")
        self.watch(scene_writer, "pack_rows", "pack rows")
        self.watch(ShardWriter, "add", "checksums, write")
        self.watch(ShardWriter, "finish", "finish a shard")
        self.watch(os, "fsync", "sync a shard")

    def print(self, images: int, main_cpu_s: float, wall_s: float) -> None:
        """A table, milliseconds an image."""
        table = Table("part", "thread", "processor ms/image", "wall ms/image")
        rest_cpu_s, rest_wall_s = main_cpu_s, wall_s
        for part, thread in sorted(self.times, key=lambda key: self.order.index(key[0])):
            cpu_s, elapsed_s = self.times[part, thread]
            numbers = (f"{1e3 * value / images:.2f}" for value in (cpu_s, elapsed_s))
            table.add_row(part, thread, *numbers)
            if thread == "main" and not part.startswith(" "):
                rest_cpu_s, rest_wall_s = rest_cpu_s - cpu_s, rest_wall_s - elapsed_s
        for part, values in (
            ("rest", (rest_cpu_s, rest_wall_s)),
            ("all of it", (main_cpu_s, wall_s)),
        ):
            table.add_row(part, "main", *(f"{1e3 * value / images:.2f}" for value in values))
        Console().print(table)


def main() -> None:
    """Prints a line, and perhaps a table; the first process does."""
    options = arguments()
    with joined() as processes, tempfile.TemporaryDirectory() as folder:
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        dataset = load(options.city)
        rays = open_store(ray_store_folder(dataset.folders.work, "lidar_pixels"))
        teacher = StandIn(device) if options.stand_in else maskclip_plus(options.depth, device)
        scenes = [scene for scene in sorted(dataset.scenes) if rays.has(scene)]
        own = scenes[processes.rank :: processes.count]
        extract = functools.partial(_extract, dataset, rays, teacher, device, options)
        extract(own[:1], Path(folder) / "first")
        parts = Parts()
        if options.profile:
            parts.watch_all(teacher)
        begin = torch.zeros(1, device=device)
        processes.average_([begin])  # all are ready
        begin.item()
        started, cpu_s, main_cpu_s = time.perf_counter(), time.process_time(), time.thread_time()
        extract(own, Path(folder) / "all")
        main_cpu_s = time.thread_time() - main_cpu_s
        cpu_s = time.process_time() - cpu_s
        own_s = time.perf_counter() - started
        taken = torch.tensor([own_s], device=device)
        processes.average_([taken])  # waits for the slowest
        wall_s = time.perf_counter() - started
        images, own_images = (_images(dataset, some) for some in (scenes, own))
        if processes.is_first:
            print(
                f"{processes.count} processes: {images} images in {wall_s:.1f} s, "
                f"{images / wall_s:.1f} images/s (mean of processes {float(taken):.1f} s); "
                f"processor {1e3 * cpu_s / own_images:.1f} ms an image, of it "
                f"{1e3 * main_cpu_s / own_images:.1f} in the main thread"
            )
            if options.profile:
                parts.print(own_images, main_cpu_s, own_s)


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("city", type=Path, help="data root, prepared")
    parser.add_argument("--depth", type=int, choices=[50, 101], default=50)
    parser.add_argument("--readers", type=int, default=8, help="threads that decode images")
    parser.add_argument("--codec", choices=["int8", "pca-int8"], default="pca-int8")
    parser.add_argument("--profile", action="store_true", help="time by part")
    parser.add_argument("--stand-in", action="store_true", help="no network")
    return parser.parse_args()


def maskclip_plus(depth: int, device: torch.device) -> MaskClipPlus:
    """MaskCLIP+ with random weights, as fast as it is."""
    torch.manual_seed(0)
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    network = folded(MaskClipPlusNetwork(depth).eval(), dtype)
    return MaskClipPlus(network.to(device), depth, "random", None)  # pyright: ignore[reportArgumentType]


def _extract(
    dataset: Dataset,
    rays: FeatureStore,
    teacher: Any,
    device: torch.device,
    options: argparse.Namespace,
    scenes: list[str],
    folder: Path,
) -> None:
    codec = CodecConfig(options.codec, 96)
    report = extract_features(
        dataset, rays, scenes, folder, teacher, None, codec, options.readers, device=device
    )[1]
    report.raise_failures()


def _images(dataset: Dataset, scenes: list[str]) -> int:
    return sum(len(frame.cameras) for scene in scenes for frame in dataset.scenes[scene])


if __name__ == "__main__":
    main()
