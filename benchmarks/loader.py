# SPDX-License-Identifier: Apache-2.0
"""Processor time of one training sample, part by part, and samples a second with loader workers.

    python benchmarks/loader.py ROOT [--store FOLDER] [--input-size 704 256] [--workers 0 1 2]

ROOT must have been through `langocc prepare` and `langocc extract`.
"""

import argparse
import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch.utils.data import DataLoader

from langocc.features import sample as sample_module
from langocc.features.input_images import ImageReader
from langocc.features.loader import TrainingSet, collate
from langocc.features.sample import SampleConfig, pack_sample
from langocc.features.store import open_store
from langocc.scenes.nuscenes import load


def main() -> None:
    """Prints two tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("root", type=Path)
    parser.add_argument("--work", type=Path)
    parser.add_argument("--store", type=Path, help="default: the first in the work folder")
    parser.add_argument("--input-size", type=int, nargs=2, default=(704, 256))
    parser.add_argument("--rays", type=int, default=8192)
    parser.add_argument("--samples", type=int, default=20)
    parser.add_argument("--cache-mb", type=int, default=0, help="decoded images kept per process")
    parser.add_argument("--workers", type=int, nargs="*", default=(0, 1, 2))
    options = parser.parse_args()
    torch.set_num_threads(1)
    dataset = load(options.root, work=options.work)
    folder = options.store or min((dataset.folders.work / "features").iterdir())
    store = open_store(folder)
    tokens = [f.token for f in dataset.frames() if store.has(f.scene)]
    config = SampleConfig(
        input_size=tuple(options.input_size), rays=options.rays, cache_bytes=options.cache_mb << 20
    )
    console = Console()
    console.print(f"{folder.name}: {len(tokens)} key frames, {os.cpu_count()} cores")
    numbers = np.random.default_rng(0).permutation(len(tokens)).tolist()

    table = Table("part of a sample", "processor ms")
    for name, part in (
        ("all", config),
        ("images, drafts", replace(config, rays=0)),
        ("images, fully decoded", replace(config, rays=0, decode="exact")),
        ("images, all kept in memory", replace(config, rays=0, cache_bytes=1 << 40)),
    ):
        samples = TrainingSet(dataset, store, part, tokens)
        if part.cache_bytes > 1 << 38:
            for number in numbers[: options.samples]:
                samples[number]
        table.add_row(name, f"{spent(samples.__getitem__, numbers[: options.samples]):.1f}")
    table.add_row("rays", f"{rays_alone(dataset, store, config, tokens, options.samples):.1f}")
    packed = TrainingSet(dataset, store, config, tokens)[0]
    table.add_row(
        "unpacking, if on the CPU", f"{spent(lambda _: packed.to('cpu'), numbers[:9]):.1f}"
    )
    console.print(table)

    table = Table("workers", "samples / s", "samples / s and core")
    for workers in options.workers:
        samples = TrainingSet(dataset, store, config, tokens)
        loader = DataLoader(
            samples, batch_size=4, num_workers=workers, collate_fn=collate,
            sampler=(numbers * 100)[: 4 * options.samples],
        )  # fmt: skip
        rate = throughput(loader)
        table.add_row(str(workers), f"{rate:.1f}", f"{rate / max(workers, 1):.1f}")
    console.print(table)


def spent(function: Callable[[int], object], numbers: list[int]) -> float:
    """Mean processor time of a call, milliseconds."""
    function(numbers[0])
    start = time.process_time()
    for number in numbers:
        function(number)
    return (time.process_time() - start) / len(numbers) * 1e3


def rays_alone(dataset, store, config, tokens, samples) -> float:
    """Processor time of the rays, milliseconds: the images are left out."""
    inputs = sample_module._input_images
    sample_module._input_images = lambda shown, drawn, cfg, reader: torch.zeros(
        len(shown), len(drawn), 1, 1, 3, dtype=torch.uint8
    )
    try:
        reader = ImageReader()
        random = np.random.default_rng(0)
        known = {}
        return spent(
            lambda n: pack_sample(
                dataset, store, tokens[n % len(tokens)], config, random, reader, known
            ),
            list(range(0, 7 * samples, 7)),
        )
    finally:
        sample_module._input_images = inputs


def throughput(loader: DataLoader) -> float:
    """Samples a second after the first batches."""
    count, start = 0, 0.0
    for index, batch in enumerate(loader):
        if index == 2:
            start = time.perf_counter()
        elif index > 2:
            count += len(batch.tokens)
    return count / (time.perf_counter() - start)


if __name__ == "__main__":
    main()
