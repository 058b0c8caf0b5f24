# SPDX-License-Identifier: Apache-2.0
"""Render + loss, forward and backward, of a street-like field: readable, sparse, Triton.

python benchmarks/render.py                     # a GPU, the published shapes
python benchmarks/render.py --device cpu        # the small preset's shapes

Times are medians between device events; memory is the peak over what the inputs hold. `render` is
everything but hidden layers (samples, weights, norms, compositing, last layer, loss); `+ head` adds
the language head's hidden layers, `+ heads` the density head on all voxels, too.
"""

import argparse
import json
import os
import platform
import statistics
import time
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from langocc.field import VoxelField
from langocc.geometry.grid import VoxelGrid
from langocc.geometry.rays import RayBatch
from langocc.model.decoder import PointDecoder
from langocc.render.config import RenderConfig
from langocc.render.objective import LossConfig, objective
from langocc.render.pointwise import apply_frugally
from langocc.render.volume import VoxelHead

PUBLISHED_MS = {"full": 277.0, "reduced": 101.0}
"""Renderer alone, forward + backward, batch 4, one H200."""


@dataclass(frozen=True)
class Case:
    """Shapes of one measurement."""

    name: str
    batch: int
    rays: int
    channels: int
    hidden: int
    cell_m: float
    proposals: int = 50
    samples: int = 100


GPU_CASES = (
    Case("full", 4, 8192, 512, 256, 0.4),
    Case("reduced", 4, 14336, 128, 256, 0.4),
)
CPU_CASES = (
    Case("tiny", 1, 2048, 512, 64, 0.8, 32, 48),
    Case("tiny", 1, 4096, 512, 64, 0.8, 32, 48),
)


@dataclass
class Row:
    """One line of the table."""

    case: str
    what: str
    variant: str
    precision: str
    forward_ms: float
    backward_ms: float
    peak_gib: float | None
    touched: float | None = None


class Ready(VoxelHead):
    """A head without hidden layers: what rendering costs by itself."""

    def __init__(self, hidden: int, out: int) -> None:
        """A last layer alone."""
        super().__init__()
        self.last = nn.Linear(hidden, out)

    def hidden(self, features: Tensor) -> Tensor:
        """The features themselves."""
        return features


def street(case: Case, device: torch.device) -> tuple[VoxelGrid, Tensor, RayBatch]:
    """Ground, walls and boxes of soft density, seen by six cameras at 25 places of a drive."""
    generator = torch.Generator().manual_seed(0)
    grid = VoxelGrid(cell_m=case.cell_m)
    x, y, z = torch.from_numpy(grid.centres_m()).float().unbind(-1)
    solid = (z < 0.2) | (y.abs() > 14.0)
    density = []
    for _ in range(case.batch):
        scene = solid.clone()
        for _ in range(40):
            cx, cy = (torch.rand(2, generator=generator) * 2 - 1) * torch.tensor([40.0, 14.0])
            if abs(float(cy)) > 2.5:
                scene |= ((x - cx).abs() < 2.2) & ((y - cy).abs() < 1.0) & (z < 1.7)
        noise = torch.rand(scene.shape, generator=generator)
        density.append(torch.where(scene, 0.6 + 0.3 * noise, 0.02 * noise))
    shape = (case.batch, case.rays)
    place = torch.rand(shape, generator=generator) * 50 - 25
    azimuth = torch.rand(shape, generator=generator) * 2 * torch.pi
    slope = torch.rand(shape, generator=generator) * 0.35 - 0.27
    origins = torch.stack([place, torch.zeros(shape), torch.full(shape, 1.5)], dim=-1)
    directions = torch.stack([azimuth.cos(), azimuth.sin(), slope], dim=-1)
    target = torch.randn(*shape, case.channels, generator=generator)
    rays = RayBatch(origins, normalize(directions, dim=-1), normalize(target, dim=-1))
    return grid, torch.stack(density).to(device), rays.to(device)


def clock(step: Callable[[], Tensor], device: torch.device, repeats: int) -> tuple[float, float]:
    """Median milliseconds of the forward and of the backward pass."""
    forward, backward = [], []
    for repeat in range(repeats + 3):
        if device.type == "cuda":
            events = [torch.cuda.Event(enable_timing=True) for _ in range(3)]
            events[0].record()
            loss = step()
            events[1].record()
            loss.backward()
            events[2].record()
            torch.cuda.synchronize()
            times = events[0].elapsed_time(events[1]), events[1].elapsed_time(events[2])
        else:
            start = time.perf_counter()
            loss = step()
            middle = time.perf_counter()
            loss.backward()
            times = (middle - start) * 1e3, (time.perf_counter() - middle) * 1e3
        if repeat >= 3:
            forward.append(times[0])
            backward.append(times[1])
    return statistics.median(forward), statistics.median(backward)


def measure(case: Case, what: str, variant: str, precision: str, args: argparse.Namespace) -> Row:
    """One line of the table."""
    device = torch.device(args.device)
    grid, density, rays = street(case, device)
    torch.manual_seed(1)
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    features = torch.randn(*density.shape, case.hidden, device=device, dtype=dtype).relu_()
    features.requires_grad_()
    head = Ready(case.hidden, case.channels)
    if what != "render":
        head = PointDecoder(case.hidden, case.hidden, case.channels)
    head = head.to(device)
    density_head = PointDecoder(case.hidden, case.hidden, 1).to(device)
    density.requires_grad_()
    config = RenderConfig(
        proposals=case.proposals,
        samples=case.samples,
        implementation=variant.split()[0],  # pyright: ignore[reportArgumentType]
    )
    learned = [density, features, *head.parameters(), *density_head.parameters()]

    def step() -> Tensor:
        for leaf in learned:
            leaf.grad = None
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bf16"):
            sigma, table = density, features
            if what == "+ heads":
                flat = features.flatten(0, 3)
                if "frugal" in variant:
                    raw, flat = apply_frugally(
                        lambda x: (density_head(x),),
                        flat,
                        density_head.parameters(),
                        passes_on=True,
                    )
                    table = flat.view(features.shape)
                else:
                    raw = density_head(flat)
                # The street's density decides where rays stop; the head's gradient is real.
                sigma = density.detach() + 1e-3 * raw.float().sigmoid().view(density.shape)
            field = VoxelField(grid, sigma, table, head)
            seen = field.render(rays, config)
            return objective(seen, rays, sigma, LossConfig()).total

    if device.type == "cuda":
        step().backward()  # compiles
        for leaf in learned:
            leaf.grad = None
        torch.cuda.synchronize()
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        step().backward()
        peak = (torch.cuda.max_memory_allocated() - before) / 2**30
    else:
        peak = None
    forward, backward = clock(step, device, args.repeats)
    touched = None if features.grad is None else float((features.grad != 0).any(-1).float().mean())
    return Row(case.name, what, variant, precision, forward, backward, peak, touched)


def plan(args: argparse.Namespace) -> list[tuple[Case, str, str, str]]:
    """What to measure; the readable version last, because it needs most memory."""
    if args.device == "cpu":
        return [
            (case, what, variant, "fp32")
            for case in CPU_CASES
            for what in ("render", "+ head")
            for variant in ("sparse", "readable")
        ]
    lines = [
        (case, what, "triton", precision)
        for case in GPU_CASES
        for what in ("render", "+ head")
        for precision in ("bf16", "fp32")
    ]
    lines += [(case, "+ heads", "triton frugal", "bf16") for case in GPU_CASES]
    lines += [(case, "+ heads", "triton", "bf16") for case in GPU_CASES]
    lines += [(case, "render", "sparse", "fp32") for case in GPU_CASES]
    if args.readable:
        lines += [(case, "render", "readable", "fp32") for case in GPU_CASES]
    return lines


def title(args: argparse.Namespace) -> str:
    """Where this was measured."""
    name = platform.processor() or platform.machine()
    if args.device == "cuda":
        name = torch.cuda.get_device_name()
    try:
        import triton

        version = triton.__version__
    except ImportError:
        version = "none"
    return (
        f"{name}, torch {torch.__version__}, triton {version}, "
        f"{torch.get_num_threads()} threads, TF32 {torch.backends.cuda.matmul.allow_tf32}"
    )


def main() -> None:
    """Measures, prints a table, and writes `$OUT/render.json` if OUT is set."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--readable", action=argparse.BooleanOptionalAction, default=True)
    args = parser.parse_args()
    torch.backends.cuda.matmul.allow_tf32 = True
    out = Path(os.environ["OUT"]) if os.environ.get("OUT") else None
    print(title(args))
    print(f"{'case':10}{'what':10}{'variant':16}{'':6}{'fwd':>9}{'bwd':>9}{'sum ms':>9}"
          f"{'published':>11}{'peak GiB':>10}{'touched':>9}")  # fmt: skip
    rows = []
    for case, what, variant, precision in plan(args):
        try:
            row = measure(case, what, variant, precision, args)
        except Exception:
            print(f"{case.name:10}{what:10}{variant:16}{precision:6} failed")
            traceback.print_exc()
            continue
        finally:
            if args.device == "cuda":
                torch.cuda.empty_cache()
        rows.append(asdict(row) | {"rays": case.batch * case.rays})
        published = PUBLISHED_MS.get(case.name) if what == "render" else None
        print(
            f"{case.name:10}{what:10}{variant:16}{precision:6}{row.forward_ms:9.2f}"
            f"{row.backward_ms:9.2f}{row.forward_ms + row.backward_ms:9.2f}"
            f"{'' if published is None else f'{published:.0f}':>11}"
            f"{'' if row.peak_gib is None else f'{row.peak_gib:.2f}':>10}"
            f"{'' if row.touched is None else f'{row.touched:.1%}':>9}",
            flush=True,
        )
        if out is not None:
            (out / "render.json").write_text(json.dumps({"title": title(args), "rows": rows}))


if __name__ == "__main__":
    main()
