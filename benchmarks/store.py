# SPDX-License-Identifier: Apache-2.0
"""Disk space and processor time of one training sample's rays: this store beside the published one.

Makes a scene of 25 key frames with made-up features of 512 channels (smooth in a few dozen
dimensions, as dense CLIP features are), writes it in the published layout (compressed archives of
rays and float16 features) and with each codec, and draws samples of 8,192 rays from both. Every
file is in the page cache; times are processor time of one thread.

    python benchmarks/store.py [--frames 25] [--rows 18600] [--samples 20]
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from langocc.features.codecs import Codec, Fp16, Int8
from langocc.features.pca import fit_pca
from langocc.features.pixels import HIT, PixelRays
from langocc.features.rays import cast_pixels
from langocc.features.rows import pack_rows
from langocc.features.shard import Shard, write_shard
from langocc.features.store_record import StoreRecord
from langocc.features.window import draw_rows

CHANNELS, RAYS = 512, 8192


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=25, help="key frames of the window")
    parser.add_argument("--rows", type=int, default=18_600, help="rays of a key frame")
    parser.add_argument("--samples", type=int, default=20, help="samples timed")
    parser.add_argument("--published-samples", type=int, default=2, help="the same, old layout")
    options = parser.parse_args()
    torch.set_num_threads(1)
    generator = np.random.default_rng(0)
    mix = generator.standard_normal((CHANNELS, CHANNELS)) / np.sqrt(CHANNELS)
    spectrum = np.arange(1, CHANNELS + 1) ** -1.0
    frames = [
        make_frame(options.rows, spectrum[:, None] * mix, generator) for _ in range(options.frames)
    ]
    table = Table("layout", "MB / key frame", "bytes read / sample", "ms / sample", "median cosine")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        add_published(table, frames, folder, options.published_samples)
        sample = torch.cat([torch.from_numpy(f[:4096]).float() for _, f in frames[::3]])
        for label, codec in (
            ("fp16", Fp16(CHANNELS)),
            ("int8", Int8(CHANNELS)),
            ("pca-int8, 96", fit_pca(sample, 96)),
            ("pca-int4, 88", fit_pca(sample, 88, "pca-int4")),
        ):
            add_store(table, label, codec, frames, folder, options.samples)
    Console().print(table)


def make_frame(
    rows: int, mix: np.ndarray, generator: np.random.Generator
) -> tuple[PixelRays, np.ndarray]:
    """Rays anywhere, unit features of a falling spectrum."""
    features = generator.standard_normal((rows, CHANNELS)) @ mix
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    rays = PixelRays(
        pixels=generator.uniform(0, 899, (rows, 2)).astype(np.float32),
        cameras=generator.integers(0, 6, rows).astype(np.uint8),
        depths_m=generator.uniform(1, 39, rows).astype(np.float32),
        flags=np.full(rows, HIT, np.uint8),
    )
    return rays, features.astype(np.float16)


def add_published(table: Table, frames: list, folder: Path, samples: int) -> None:
    """Every archive of the window is inflated; 1.8 % of its rows are kept."""
    for index, (rays, features) in enumerate(frames):
        np.savez_compressed(
            folder / f"rays{index}.npz",
            pixels=rays.pixels,
            depths=rays.depths_m,
            cam_indices=rays.cameras,
        )
        np.savez_compressed(folder / f"features{index}.npz", features=features)
    size = sum(path.stat().st_size for path in folder.glob("*.npz"))
    start = time.process_time()
    for seed in range(samples):
        pooled = [np.load(folder / f"features{i}.npz")["features"] for i in range(len(frames))]
        rays = [np.load(folder / f"rays{i}.npz") for i in range(len(frames))]
        pixels = np.concatenate([r["pixels"] for r in rays])
        kept = np.random.default_rng(seed).permutation(len(pixels))[:RAYS]
        np.concatenate(pooled)[kept].astype(np.float32)
    spent = (time.process_time() - start) / samples
    table.add_row(
        "published archives",
        f"{size / len(frames) / 1e6:.2f}",
        f"{size:,}",
        f"{spent * 1e3:.0f}",
        "1.0000",
    )


def add_store(
    table: Table, label: str, codec: Codec, frames: list, folder: Path, samples: int
) -> None:
    """Rays to origins, directions and features; what a loader does, decoding included."""
    path = folder / "scene.shard"
    record = StoreRecord("made-up", CHANNELS, codec.name, {"source": "lidar_pixels"})
    cosines = []
    with write_shard(path, "scene", record, codec) as writer:
        for index, (rays, features) in enumerate(frames):
            exact = torch.from_numpy(features).float()
            codes = codec.encode(exact)
            decoded = codec.decode(codes)
            cosines.append(torch.nn.functional.cosine_similarity(exact, decoded).median())
            rgb = np.zeros((len(rays), 3), np.uint8)
            writer.add(str(index), pack_rows(rays, rgb, codes.numpy()))
    shard = Shard(path)
    tokens = [str(index) for index in range(len(frames))]
    poses = np.tile(np.eye(4), (len(frames), 6, 1, 1))
    read: list[int] = []
    pread = shard._pread
    shard._pread = lambda count, offset: read.append(count) or pread(count, offset)
    start = time.process_time()
    for seed in range(samples):
        rows, slots = draw_rows(shard, tokens, RAYS, np.random.default_rng(seed))
        cast_pixels(rows["pixel"], slots, rows["camera"].astype(int), poses, poses[..., :3, :3])
        shard.codec.decode(torch.from_numpy(np.ascontiguousarray(rows["code"])))
    spent = (time.process_time() - start) / samples
    table.add_row(
        label,
        f"{path.stat().st_size / len(frames) / 1e6:.2f}",
        f"{sum(read) // samples:,}",
        f"{spent * 1e3:.1f}",
        f"{float(np.mean(cosines)):.4f}",
    )


if __name__ == "__main__":
    main()
