# SPDX-License-Identifier: Apache-2.0
"""Whole training steps of a preset, loader included, on one GPU or several: samples per second.

    python benchmarks/train_steps.py --preset full
    torchrun --nproc-per-node 2 benchmarks/train_steps.py --preset full

Samples are made up, in the shapes and encodings of real ones, so nothing is read from disk. With
several processes, each one's wait after its backward pass is given: communication that computing
does not hide, and waiting for slower processes. The least of them is communication alone.
"""

import argparse
import sys
import tempfile
import time
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from statistics import median

import torch

from langocc.features.codecs import Fp16
from langocc.features.packed import PackedBatch, PackedRays
from langocc.geometry.rig import CameraRig
from langocc.presets import PRESETS
from langocc.teachers.reducer import Reducer, save_reducer
from langocc.train import overlap
from langocc.train.config import TrainConfig
from langocc.train.loop import Training
from langocc.train.memory import GIB
from langocc.train.processes import joined
from langocc.train.run_folder import RunFolder

TESTS = Path(__file__).parents[1] / "tests" / "model"


class MadeUp:
    """Samples of random pixels and rays; each number gives the same one."""

    def __init__(self, config: TrainConfig, rig: CameraRig) -> None:
        """In the shapes of `config`; `rig` is a batch of one."""
        self.config, self.rig = config, rig

    def __len__(self) -> int:
        """Samples of an epoch."""
        return 1024

    def __getitem__(self, number: int) -> PackedBatch:
        """A batch of one."""
        model, rays = self.config.model, self.config.sample.rays
        generator = torch.Generator().manual_seed(number % 8)
        frames, cams = self.config.sample.frames, 6
        shape = (1, frames, cams, *model.input_size, 3)
        images = torch.randint(256, shape, generator=generator, dtype=torch.uint8)
        directions = torch.randn(1, rays, 3, generator=generator)
        channels = model.head.reduced_from or model.head.embedding_channels
        features = torch.randn(rays, channels, generator=generator)
        features = torch.nn.functional.normalize(features, dim=-1)
        origins = torch.tensor([0.0, 0.0, 1.6]).expand(1, rays, 3).contiguous()
        codec = Fp16(channels)
        packed = PackedRays(
            origins=origins,
            directions=torch.nn.functional.normalize(directions, dim=-1),
            flags=torch.full((1, rays), 2, dtype=torch.uint8),
            codes=codec.encode(features)[None] if self.config.sample.features else None,
            codecs=(codec,),
            rgb=images.new_zeros(1, rays, 3) if self.config.sample.colours else None,
            unsure_weight=1.0,
        )
        return PackedBatch(images, False, self.rig, (f"made-up-{number}",), packed)


class TimedEnd:
    """Times how long something takes to end: sharing gradients, after the backward pass."""

    def __init__(self, inner: AbstractContextManager, device: torch.device) -> None:
        """Around `inner`, which works on `device`."""
        self.inner, self.device = inner, device
        self.marks = []

    def __enter__(self) -> None:
        """Lets it begin."""
        self.inner.__enter__()

    def __exit__(self, *error) -> None:
        """Lets it end; a GPU takes the time when it comes to it."""
        self.marks.append((self._mark(), self.inner.__exit__(*error), self._mark()))

    def _mark(self) -> float | torch.cuda.Event:
        if self.device.type != "cuda":
            return time.perf_counter() * 1e3
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    def times_ms(self) -> list[float]:
        """Of each pass."""
        if self.device.type != "cuda":
            return [end - begin for begin, _, end in self.marks]
        torch.cuda.synchronize()
        return [begin.elapsed_time(end) for begin, _, end in self.marks]


def main() -> None:
    """Prints a line; the first process does."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--preset", choices=sorted(PRESETS), default="full")
    parser.add_argument("--per-process", type=int, default=4, help="samples of a step in each")
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--precision", choices=["auto", "fp32", "tf32", "bf16"], default="auto")
    parser.add_argument("--warm-up", type=int, default=5)
    parser.add_argument("--workers", type=int, default=6, help="loader processes beside each")
    parser.add_argument("--batch-norm", choices=["local", "synchronised"], default="local")
    parser.add_argument("--bucket-mb", type=float, default=25, help="huge: nothing overlaps")
    options = parser.parse_args()
    overlap.BUCKET_BYTES = int(options.bucket_mb * 2**20)
    sys.path.insert(0, str(TESTS))
    from model_kit import ring_rig  # pyright: ignore[reportMissingImports]

    with joined() as processes:
        config = replace(PRESETS[options.preset], precision=options.precision)
        if width := config.model.head.reduced_from:
            path = Path(tempfile.gettempdir()) / f"reducer-{processes.rank}.safetensors"
            save_reducer(Reducer(width, config.model.head.embedding_channels), path)
            config = replace(config, reducer=path)
        config = replace(
            config,
            batch_size=options.per_process * processes.count,
            batch_norm=options.batch_norm,
            workers=options.workers,
            steps=options.steps + options.warm_up,
        )
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        training = Training(
            config,
            RunFolder(Path(tempfile.gettempdir()) / "never-written"),
            samples=MadeUp(config, ring_rig(config.model, 1)),
            device=device,
            facts={},
            processes=processes,
        )
        step = training._train_step
        step._averaged = timed = TimedEnd(step._averaged, device)
        seen = list(training.advance(config.steps or 1))[options.warm_up :]
        step_s = median(progress.step_s for progress in seen)
        shared_ms = median(timed.times_ms()[options.warm_up :])
        every_ms = processes.of_all(shared_ms)
        waited = sum(p.data_s for p in seen) / sum(p.step_s for p in seen)
        if processes.is_first:
            print(
                f"{options.preset}, {processes.count} processes of {options.per_process}, batch "
                f"norm {options.batch_norm}, {options.precision}: "
                f"{step_s * 1e3:.1f} ms a step (median of {len(seen)}), "
                f"{config.batch_size / step_s:.2f} samples/s, data {waited:.0%}, "
                f"{seen[-1].memory_bytes / GIB:.1f} GiB"
            )
        if processes.is_first and processes.count > 1:
            each = ", ".join(f"{ms:.1f} ms ({ms / step_s / 1e3:.1%})" for ms in every_ms)
            print(f"buckets of {options.bucket_mb:g} MB; waits after the backward pass: {each}")


if __name__ == "__main__":
    main()
