# SPDX-License-Identifier: Apache-2.0
"""How long a frame takes: stateless, streaming, a new text, decoding; median, p95, p99, memory.

    python benchmarks/latency.py                              # one GPU, preset full
    python benchmarks/latency.py --preset tiny --repeats 3    # a smoke test on a processor
    python benchmarks/latency.py --device cpu --repeats 3     # seconds per frame on a processor

Batch 1, six cameras, random images and weights; every frame the vehicle moves. A time runs from
images on the device to the dense class grid of 76 prompts on the device, and ends when the device
is done. On a GPU: bfloat16, channels last, CUDA graphs; geometry of the moving vehicle included.
Host work of a push is the time until it returns, while the GPU works on.
Parts that fail are reported and skipped.
"""

import argparse
import resource
import statistics
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

sys.path.append(str(Path(__file__).parents[1] / "tests" / "deploy"))

from deploy_kit import drive, predictor  # pyright: ignore[reportMissingImports]

from langocc.deploy.arrivals import augmentations_of
from langocc.deploy.fast import Fast
from langocc.deploy.prepared import PreparedField
from langocc.deploy.stream import Stream
from langocc.features.sample import camera_rig
from langocc.geometry.rig import CameraRig
from langocc.predictor import Predictor
from langocc.presets import MODELS
from langocc.provenance import software

PROMPTS = 76
TARGETS_MS = {"stateless": 15.0, "streaming": 10.0, "new text": 0.2}
"""What is wanted of one H200."""


class Bench:
    """One preset on one device, and the times that were taken."""

    def __init__(self, preset: str, device: str, repeats: int) -> None:
        """Makes the model, a drive, and its images on the device."""
        self.repeats, self.device = repeats, torch.device(device)
        # Of a stream, the first frames lack a past, and the second compares two pairs.
        self.warm_ups = 5 if self.device.type == "cuda" else 2
        # Slow parts repeat less on a GPU, so that all ends within 100 s.
        self.share = 0.25 if self.device.type == "cuda" else 1.0
        self.times: dict[str, list[float]] = {}
        self.notes: list[str] = []
        self._engine: Fast | None = None
        config = MODELS[preset]
        self.made: Predictor = predictor("published", config, device)
        self.frames = drive(repeats + 15, cams=6, image=(1600, 900))
        height, width = config.input_size
        generator = torch.Generator().manual_seed(0)
        shape = (4, 6, height, width, 3)
        images = torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)
        self.images = images.to(self.device)
        out = config.head.embedding_channels
        drawn = torch.randn(PROMPTS + 1, out, generator=generator)
        self.vectors = torch.nn.functional.normalize(drawn, dim=-1).to(self.device)

    def engine(self) -> Fast:
        """The engine: bfloat16 and graphs on a GPU. All parts use one, until one of them fails."""
        if self._engine is None:
            dtype = torch.bfloat16 if self.device.type == "cuda" else torch.float32
            vectors = self.vectors[:PROMPTS]
            self._engine = Fast(self.made.model, vectors, swap_rgb=False, dtype=dtype)
        return self._engine

    def take(
        self,
        name: str,
        function: Callable[[int], object],
        share: float = 1.0,
        *,
        waits: bool = True,
    ) -> None:
        """Times calls, a share of all repeats; the device is idle before and done after each.

        Without `waits`, a time ends when the call returns, whatever the device still has to do.
        """
        for index in range(self.warm_ups):
            function(index)
        taken = []
        for index in range(max(round(share * self.repeats), 2)):
            self.wait()
            started = time.perf_counter()
            function(self.warm_ups + index)
            if waits:
                self.wait()
            taken.append(1e3 * (time.perf_counter() - started))
        self.times[name] = taken

    def wait(self) -> None:
        """Until the device has nothing to do."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def part(self, name: str, function: Callable[[], None]) -> None:
        """Runs a part; a failure is printed and the next part begins."""
        started = time.perf_counter()
        try:
            with torch.no_grad():
                function()
        except Exception:  # the other parts' numbers are wanted all the same
            traceback.print_exc()
            self._engine = None
            self.notes.append(f"{name}: FAILED, see above")
        print(f"part {name}: {time.perf_counter() - started:.1f} s", flush=True)

    def grid(self, field: PreparedField) -> Tensor:
        """The dense class grid, free voxels marked."""
        return field.classes(field.prepared.vectors, 0.1) if field.prepared else field.density

    def stateless(self) -> None:
        """Everything anew: all frames' images, both comparisons, the grid."""
        engine, count = self.engine(), self.made.config.model.input_frames
        images = self.images[:count].contiguous()
        self.take("stateless", lambda i: self.grid(engine.whole(images, self.rig(i))))

    def rig(self, index: int) -> CameraRig:
        """Of a frame and those before it."""
        shown = self.frames[index : index + self.made.config.model.input_frames][::-1]
        cuts = augmentations_of(shown[0], self.made.config.sample.input_size)
        return camera_rig(shown[0], shown, cuts, np.eye(3))

    def streaming(self) -> None:
        """Frame by frame; then other texts on the last frame."""
        stream = Stream(self.made, engine=self.engine())
        kept: list[PreparedField] = []

        def push(index: int) -> None:
            answer = stream.push(self.frames[index], self.images[index % 4])
            assert isinstance(answer.field, PreparedField)
            kept[:] = [answer.field]
            self.grid(answer.field)

        self.take("streaming", push)
        if self.device.type == "cuda":
            stream.reset()
            self.take("host work of a push", push, self.share, waits=False)
        text = self.vectors[PROMPTS:]
        self.take("new text", lambda i: kept[0].query(text))
        occupied = kept[0].occupied(float(kept[0].density.median()))
        self.notes.append(f"occupied voxels for a text: {len(occupied.index)}")
        self.take("new text, occupied voxels prepared", lambda i: occupied.query(text))

    def from_files(self) -> None:
        """Six JPEGs decoded and cut on the processor, then a streamed frame."""
        stream = Stream(self.made, engine=self.engine())
        with tempfile.TemporaryDirectory() as folder:
            paths = self._photographs(Path(folder))

            def push(index: int) -> None:
                frame = self.frames[index]
                cameras = {
                    name: replace(camera, image_path=path)
                    for (name, camera), path in zip(frame.cameras.items(), paths, strict=True)
                }
                answer = stream.push(replace(frame, cameras=cameras))
                assert not answer.missing
                self.grid(answer.field)  # pyright: ignore[reportArgumentType]

            self.take("streaming from JPEG files", push, self.share)

    def _photographs(self, folder: Path) -> list[Path]:
        """Smooth noise, which is as large as a photograph when compressed."""
        paths = []
        for cam in range(6):
            noise = np.random.default_rng(cam).integers(0, 256, (225, 400, 3), dtype=np.uint8)
            paths.append(folder / f"{cam}.jpg")
            Image.fromarray(noise).resize((1600, 900), Image.Resampling.BICUBIC).save(paths[-1])
        return paths

    def parity(self) -> None:
        """The fast engine beside the model's own operations in float32."""
        quick, exact = Stream(self.made, engine=self.engine()), Stream(self.made)
        for index in range(self.made.config.model.input_frames + 1):
            pushed = self.frames[index], self.images[index % 4]
            one, other = quick.push(*pushed).field, exact.push(*pushed).field
        apart = (one.density - other.density).abs()
        classes = [field.classes(self.vectors[:PROMPTS], 0.1) for field in (one, other)]
        other_class = float((classes[0] != classes[1]).float().mean())
        self.notes.append(
            f"engine beside float32: density differs by {float(apart.max()):.1e} at most, "
            f"{float(apart.mean()):.1e} on average; {other_class:.2%} of voxels of another class"
        )

    def eager(self) -> None:
        """A stateless pass of the model as it is, in bfloat16 on a GPU, without graphs."""
        model, count = self.made.model, self.made.config.model.input_frames
        images = self.images[:count].movedim(-1, -3)[None].float() / 64 - 2
        is_gpu = self.device.type == "cuda"

        def run(index: int) -> object:
            with torch.autocast(self.device.type, torch.bfloat16, enabled=is_gpu):
                field = model(images, self.rig(index).to(self.device))
                return field.classes(self.vectors[:PROMPTS], 0.1)

        self.take("stateless, eager", run, self.share)

    def streaming_eager(self) -> None:
        """Frame by frame with the model's own operations: what a processor is best served by."""
        stream = Stream(self.made)

        def push(index: int) -> None:
            field = stream.push(self.frames[index], self.images[index % 4]).field
            field.classes(self.vectors[:PROMPTS], 0.1)

        self.take("streaming, eager", push, self.share)

    def table(self) -> None:
        """Notes, then one line per time."""
        if self.device.type == "cuda":
            peak = torch.cuda.max_memory_allocated(self.device) / 2**30
            peak_text = f"{peak:.2f} GiB allocated, model, engine, images"
        else:
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
            peak_text = f"{peak:.2f} GiB resident"
        for note in (*self.notes, f"peak memory: {peak_text}"):
            print(note)
        print("| what | median ms | p95 | p99 | wanted |\n|---|---|---|---|---|")
        for name, taken in self.times.items():
            is_wanted = name in TARGETS_MS and self.device.type == "cuda"
            wanted = f"<= {TARGETS_MS[name]:g}" if is_wanted else ""
            high = [float(np.percentile(taken, share)) for share in (95, 99)]
            print(
                f"| {name} | {statistics.median(taken):.3f} | {high[0]:.3f} | {high[1]:.3f} "
                f"| {wanted} |"
            )


def main() -> None:
    """Runs the parts in order of importance."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--preset", choices=[n for n in MODELS if n != "rgb"], default="full")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--repeats", type=int, help="timed calls; default 200, on a processor 5")
    parser.add_argument("--parts", nargs="*", help="default: all")
    options = parser.parse_args()
    is_gpu = options.device != "cpu"
    torch.manual_seed(0)
    bench = Bench(options.preset, options.device, options.repeats or (200 if is_gpu else 5))
    facts = " ".join(f"{name} {value}" for name, value in software().items() if value)
    if is_gpu:
        facts += f" cudnn {torch.backends.cudnn.version()}"
    print(f"preset {options.preset}, {facts}, {torch.get_num_threads()} threads", flush=True)
    parts = ("streaming", "stateless", "from_files", "eager", "streaming_eager", "parity")
    for name in parts:
        if not options.parts or name in options.parts:
            bench.part(name, getattr(bench, name))
    bench.table()


if __name__ == "__main__":
    main()
