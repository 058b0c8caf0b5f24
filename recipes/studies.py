# SPDX-License-Identifier: Apache-2.0
"""Trains one variant after the other, several at a time, scores all of them, and draws a table.

    python recipes/studies.py CITY OUT loss horizon --steps 2000 --seeds 0 1 --jobs 4

CITY is extracted (recipes/city_benchmark.sh). A study is a row of `STUDIES`: names of variants and
what each adds to the command `langocc train --preset tiny`; its first variant is the base. Runs are
OUT/STUDY/VARIANT-seedN; finished ones are kept. OUT/STUDY.md and .json hold the numbers.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

STUDIES: Mapping[str, Mapping[str, str]] = {
    "loss": {
        "weighted": "",
        "mse": "--loss.feature mse",
        "cosine": "--loss.feature cosine",
    },
    "horizon": {str(n): f"--sample.horizon {n}" for n in (0, 4, 8, 12, 16)},
    "geometry-from": {
        "features": "",
        "colours": "--model.variant rgb --sample.no-features --sample.colours",
    },
    "opacity": {
        "0.3": "",
        "0": "--loss.opacity-weight 0",
        "0.1": "--loss.opacity-weight 0.1",
        "1": "--loss.opacity-weight 1",
    },
    "density": {
        "5 per m": "",
        "1 per m": "--model.head.density-scale 1 --model.head.density-bias -2.9",
        "20 per m": "--model.head.density-scale 20 --model.head.density-bias -6",
        "thinner at the start": "--model.head.density-bias -7",
    },
    "distortion": {
        "0.01": "",
        "0": "--loss.distortion-weight 0",
        "0.003": "--loss.distortion-weight 0.003",
        "0.03": "--loss.distortion-weight 0.03",
    },
    "sparsity": {
        "0.3": "",
        "0": "--loss.sparsity-weight 0",
        "0.03": "--loss.sparsity-weight 0.03",
    },
    "surfaces": {
        "rendering alone": "",
        "measured": "--sample.ranges --loss.surface-weight 0.3 --loss.surface-feature-weight 0.3",
        "rendered": "--loss.surface-range rendered --loss.surface-weight 0.1",
    },
    "depth": {
        "images alone": "",
        "LiDAR depth": "--sample.lidar-depth --loss.depth-weight 0.05",
        "LiDAR depth, strong": "--sample.lidar-depth --loss.depth-weight 1",
    },
}
LEVELS = ("0.05", "0.1", "0.2", "0.3", "0.5", "1")
"""Densities, 1/m, from which a voxel counts as occupied; the best is chosen and named."""


@dataclass(frozen=True)
class Result:
    """Numbers of a run on the split val, percent; None where there is nothing to measure.

    Attributes:
        iou: Occupied or free, camera-visible voxels, at the level that is best for it.
        level: That level, 1/m.
        miou_17: Mean over 17 classes at the level that is best for it.
        miou_15: The same over 15 classes.
        rayiou: RayIoU at the level of `iou`.
        retrieval: mAP of text queries over LiDAR points.
        retrieval_visible: The same over points that a camera sees.
        cosine: Of rendered and teacher features.
        depth: Median error of rendered depth, percent of the LiDAR's.
        minutes: Of the training.
    """

    iou: float
    level: float
    miou_17: float
    miou_15: float
    rayiou: float | None
    retrieval: float | None
    retrieval_visible: float | None
    cosine: float | None
    depth: float | None
    minutes: float


COLUMNS = ("iou", "miou_17", "miou_15", "rayiou", "retrieval", "retrieval_visible", "depth")


def main() -> None:
    """Trains, scores and writes the tables of all chosen studies."""
    options = parse()
    tasks = [
        (study, variant, seed)
        for study in options.studies
        for variant in STUDIES[study]
        for seed in options.seeds
    ]
    with ThreadPoolExecutor(options.jobs) as pool:
        results = dict(zip(tasks, pool.map(lambda task: walk(options, *task), tasks), strict=True))
    for study in options.studies:
        rows = {v: [results[study, v, seed] for seed in options.seeds] for v in STUDIES[study]}
        record = {variant: [asdict(result) for result in runs] for variant, runs in rows.items()}
        (options.out / f"{study}.json").write_text(json.dumps(record, indent=2) + "\n")
        text = table(study, rows)
        (options.out / f"{study}.md").write_text(text + "\n")
        print(text, end="\n\n", flush=True)


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("city", type=Path, help="data root, extracted")
    parser.add_argument("out", type=Path, help="folder for runs and tables")
    parser.add_argument("studies", nargs="+", choices=list(STUDIES))
    parser.add_argument("--preset", default="tiny")
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--jobs", type=int, default=1, help="trainings at a time")
    parser.add_argument("--loaders", type=int, default=3, help="loading processes of a training")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--base", default="", help="more words for every training")
    return parser.parse_args()


def walk(options: argparse.Namespace, study: str, variant: str, seed: int) -> Result:
    """One run from training to scores; what is finished is not done again."""
    run = options.out / study / f"{variant.replace(' ', '-')}-seed{seed}"
    city, device = str(options.city), ["--device", options.device]
    words = [*STUDIES[study][variant].split(), *options.base.split(), *device]
    words += ["--preset", options.preset, "--steps", str(options.steps), "--seed", str(seed)]
    words += ["--batch-size", str(options.batch), "--workers", str(options.loaders)]
    verb(run, "train", city, "--run", str(run), *words)
    known = ["--root", city, "--split", "val"]
    knows_words = "--model.variant rgb" not in words
    points = ["--points"] if knows_words else []
    verb(run, "predict", str(run), *known, *device, "--threshold", LEVELS[0], *points)
    verb(run, "evaluate", "occ3d", str(run), *known, "--thresholds", *LEVELS, "--pictures", "0")
    if knows_words:
        level = str(best_level(run)["threshold"])
        best = str(run / "best")
        verb(run, "predict", str(run), *known, *device, "--threshold", level, "--out", best)
        verb(run, "evaluate", "rayiou", best, *known, "--out", str(run))
        verb(run, "evaluate", "retrieval", str(run), *known, "--parts", "val")
        verb(run, "evaluate", "render", str(run), *known)
    return result_of(run)


def best_level(run: Path) -> dict[str, Any]:
    """The threshold with the best IoU, and what was measured at it."""
    levels = report_of(run, "occ3d")["occupancy"]["levels"]
    return max(levels, key=lambda level: level["occupied_iou"])


def report_of(run: Path, stem: str) -> dict[str, Any]:
    """A report of a run; nothing where there is none."""
    path = run / f"report-{stem}.json"
    return json.loads(path.read_text()) if path.exists() else {}


def verb(run: Path, *words: str) -> None:
    """Runs `langocc ...`; what it prints goes to RUN/log.txt."""
    run.mkdir(parents=True, exist_ok=True)
    # Trainings side by side must not each take all cores for their sums.
    few = os.environ | {"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "2")}
    with open(run / "log.txt", "a") as log:
        command = [sys.executable, "-m", "langocc", *words]
        done = subprocess.run(command, stdout=log, stderr=log, env=few)
    if done.returncode:
        raise SystemExit(f"langocc {words[0]} failed; see {run / 'log.txt'}")


def result_of(run: Path) -> Result:
    """What the reports of a run say."""
    best = best_level(run)
    levels = report_of(run, "occ3d")["occupancy"]["levels"]
    protocols = report_of(run, "retrieval").get("retrieval", {}).get("protocols", {})
    answers = protocols.get("langocc", {}).get("val", {})
    rendering = report_of(run, "render").get("rendering", {})
    depth = rendering.get("median_relative")
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return Result(
        iou=best["occupied_iou"],
        level=best["threshold"],
        miou_17=max(level["miou_17"] for level in levels),
        miou_15=max(level["miou_15"] for level in levels),
        rayiou=report_of(run, "rayiou").get("rayiou", {}).get("rayiou"),
        retrieval=answers.get("map"),
        retrieval_visible=answers.get("visible_map"),
        cosine=rendering.get("cosine"),
        depth=None if depth is None else 100 * depth,
        minutes=float(np.mean([line["step_s"] for line in lines])) * lines[-1]["step"] / 60,
    )


def table(study: str, rows: Mapping[str, Sequence[Result]]) -> str:
    """Markdown: means over seeds, and the largest distance between two of them."""
    head = [study, *(name.replace("_", " ") for name in COLUMNS), "minutes"]
    lines = [head, ["---"] * len(head)]
    for variant, runs in rows.items():
        columns: list[list[Any]] = [[getattr(run, name) for run in runs] for name in COLUMNS]
        minutes = np.mean([run.minutes for run in runs])
        lines.append([variant, *(cell(values) for values in columns), f"{minutes:.1f}"])
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def cell(values: Sequence[float | None]) -> str:
    """Mean and span of what was measured."""
    known = [value for value in values if value is not None]
    if not known:
        return ""
    return f"{np.mean(known):.1f}" + (f" ({np.ptp(known):.1f})" if len(known) > 1 else "")


if __name__ == "__main__":
    main()
