# SPDX-License-Identifier: Apache-2.0
"""Trains one variant after the other, several at a time, scores all of them, and draws tables.

    python recipes/studies.py CITY OUT loss horizon --steps 2000 --seeds 0 1 --jobs 4
    python recipes/studies.py CITY OUT all --max-minutes 9

CITY is extracted (recipes/city_benchmark.sh). A study is a row of `STUDIES`: names of variants and
what each adds to `langocc train --preset tiny`; its first variant is the base. A word in braces is
made first, once, in OUT/made (see `MADE`). Runs are OUT/STUDY/VARIANT-seedN, and OUT/base-seedN,
which all studies share. OUT/STUDY.md, .json and .png hold the numbers. A run that fails, or does
not fit into --max-minutes, is listed as missing; the same command takes it up, and keeps the rest.
"""

import argparse
import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from study_table import Scores, write_study

STUDIES: Mapping[str, Mapping[str, str]] = {
    "loss": {
        "weighted": "",
        "mse": "--loss.feature mse",
        "cosine": "--loss.feature cosine",
    },
    "horizon": {"12": "", **{f"{n}": f"--sample.horizon {n}" for n in (0, 4, 8, 16)}},
    "geometry-from": {
        "features": "",
        "colours": "--model.variant rgb --sample.no-features --sample.colours",
    },
    "reducer": {
        "none (512)": "",
        **{
            f"{n}": f"--model.head.embedding-channels {n} --model.head.reduced-from 512 "
            f"--reducer {{reducer-{n}}}"
            for n in (16, 32, 64, 128, 256)
        },
    },
    "opacity": {
        "0": "",
        "0.1": "--loss.opacity-weight 0.1",
        "0.3": "--loss.opacity-weight 0.3",
        "1": "--loss.opacity-weight 1",
    },
    "density": {
        "at most 1 per m, half at the start": "",
        "5 per m, 0.5 at the start": "--model.head.density-scale 5 --model.head.density-bias -2.2",
        "5 per m, 0.05 at the start": "--model.head.density-scale 5 --model.head.density-bias -4.5",
        "20 per m, 0.5 at the start": "--model.head.density-scale 20 "
        "--model.head.density-bias -3.7",
    },
    "distortion": {
        "0": "",
        "0.003": "--loss.distortion-weight 0.003",
        "0.01": "--loss.distortion-weight 0.01",
        "0.03": "--loss.distortion-weight 0.03",
        "0.01 from step 200 on": "--loss.distortion-weight 0.01 --loss.distortion-from 200",
    },
    "sparsity": {
        "0": "",
        "0.03": "--loss.sparsity-weight 0.03",
        "0.3": "--loss.sparsity-weight 0.3",
    },
    "rays": {
        "LiDAR pixels": "",
        "grid, no LiDAR": "--work {rays-grid}",
        "random, no LiDAR": "--work {rays-random}",
    },
    "codec": {
        "pca-int8 96": "",
        "fp16": "--work {codec-fp16}",
        "int8": "--work {codec-int8}",
        "pca-int8 32": "--work {codec-pca-int8-32}",
        "pca-int4 128": "--work {codec-pca-int4-128}",
    },
    "teacher": {
        "published": "",
        "pure": "--work {teacher-pure}",
        "sclip": "--work {teacher-sclip}",
        "naclip": "--work {teacher-naclip}",
    },
    "surfaces": {
        "rendering alone": "",
        "all of --ranges": "--ranges",
        "measured": "--sample.ranges --loss.surface-weight 0.3",
        "measured, at points": "--sample.ranges --loss.surface-weight 0.3 --loss.surface-end point",
        "measured, strong": "--sample.ranges --loss.surface-weight 1",
        "measured, features too": "--sample.ranges --loss.surface-weight 0.3 "
        "--loss.surface-feature-weight 0.3",
        "rendered": "--loss.surface-range rendered --loss.surface-weight 0.1",
    },
    "text": {
        "0": "",
        "0.1": "--loss.text-weight 0.1 --vocabulary {vocabulary}",
        "1": "--loss.text-weight 1 --vocabulary {vocabulary}",
    },
    "depth": {
        "images alone": "",
        "LiDAR depth": "--sample.lidar-depth --loss.depth-weight 0.05",
        "LiDAR depth, strong": "--sample.lidar-depth --loss.depth-weight 1",
    },
    "movable": {
        "kept": "",
        "dropped at other times": "--loss.movable drop --vocabulary {vocabulary}",
        "dropped, else double": "--loss.movable drop --loss.movable-extra 1 "
        "--vocabulary {vocabulary}",
    },
    "together": {
        "rendering alone": "",
        "--ranges, choice among texts": "--ranges --loss.text-weight 0.1 --vocabulary {vocabulary}",
        "--ranges, thin start": "--ranges --model.head.density-bias -4.5",
        "--ranges, asked at voxels": "--ranges --loss.surface-end voxel",
        "no LiDAR, thin start": "--work {rays-grid} --model.head.density-scale 5 "
        "--model.head.density-bias -4.5",
        "no LiDAR, thin start, choice among texts": "--work {rays-grid} "
        "--model.head.density-scale 5 --model.head.density-bias -4.5 --loss.text-weight 0.1 "
        "--vocabulary {vocabulary}",
    },
}


def _store(prepare: str, extract: str) -> tuple[str, str]:
    """Rays and their features in a work folder of their own."""
    return (
        f"prepare {{city}} --work {{here}} {prepare}",
        f"extract {{city}} --work {{here}} --split train {extract}",
    )


LIDAR = "--sky-rays {sky}"
MADE: Mapping[str, tuple[str, ...]] = {
    "rays-grid": _store("--rays grid", "--codec pca-int8"),
    "rays-random": _store("--rays random", "--codec pca-int8"),
    "codec-fp16": _store(LIDAR, "--codec fp16"),
    "codec-int8": _store(LIDAR, "--codec int8"),
    "codec-pca-int8-32": _store(LIDAR, "--codec pca-int8 --components 32"),
    "codec-pca-int4-128": _store(LIDAR, "--codec pca-int4 --components 128"),
    "teacher-pure": _store(LIDAR, "--codec pca-int8 --form pure"),
    "teacher-sclip": _store(LIDAR, "--codec pca-int8 --form sclip"),
    "teacher-naclip": _store(LIDAR, "--codec pca-int8 --form naclip"),
    **{
        f"reducer-{n}": (f"reduce {{here}}.safetensors --vocabulary city --channels {n}",)
        for n in (16, 32, 64, 128, 256)
    },
    "vocabulary": ("vocab city --out {here}.safetensors",),
}
"""What variants name in braces: the verbs that make it at {here}, OUT/made/NAME."""


@dataclass(frozen=True)
class Task:
    """A run to make.

    Attributes:
        name: Study and variant, or base.
        seed: Of the training.
        folder: Where the run lies.
        words: For `langocc train`.
    """

    name: str
    seed: int
    folder: Path
    words: str


def main() -> None:
    """Makes what is needed, trains, scores, and writes tables and pictures of all studies."""
    options = parse()
    deadline = time.monotonic() + 60 * options.max_minutes
    cases = [
        (study, variant, seed)
        for seed in options.seeds
        for study in options.studies
        for variant in STUDIES[study]
    ]
    tasks = {case: task_of(options, *case) for case in cases}
    unique = list(dict.fromkeys(tasks.values()))
    with ThreadPoolExecutor(options.jobs) as pool:
        needed = [name for name in MADE if any(name in needs(task) for task in unique)]
        made = dict(
            zip(needed, pool.map(lambda n: make(options, n, deadline), needed), strict=True)
        )
        ready = [task for task in unique if all(made[name] for name in needs(task))]
        found = pool.map(lambda task: walk(options, task, deadline), ready)
        results = dict(zip(ready, found, strict=True))
    for study in options.studies:
        rows = {
            variant: [results.get(tasks[study, variant, seed]) for seed in options.seeds]
            for variant in STUDIES[study]
        }
        print(write_study(options.out, study, rows), end="\n\n", flush=True)
    missing = sum(results.get(task) is None for task in unique)
    if missing:
        print(f"{missing} of {len(unique)} runs are missing; the same command takes them up")
        raise SystemExit(1)


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("city", type=Path, help="data root, extracted")
    parser.add_argument("out", type=Path, help="folder for runs, tables and pictures")
    parser.add_argument("studies", nargs="+", choices=[*STUDIES, "all"])
    parser.add_argument("--preset", default="tiny")
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time")
    parser.add_argument("--loaders", type=int, default=3, help="loading processes of a training")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--base", default="", help="more words for every training")
    parser.add_argument("--scoring", default="", help="more words for recipes/study_run.py")
    parser.add_argument("--sky-rays", type=int, default=3000, help="of stores that are made")
    parser.add_argument("--max-minutes", type=float, default=float("inf"), help="then stop")
    options = parser.parse_args()
    if "all" in options.studies:
        options.studies = list(STUDIES)
    return options


def task_of(options: argparse.Namespace, study: str, variant: str, seed: int) -> Task:
    """A run with all its words; what it names in braces stays for `filled`."""
    name = "".join(c if c.isalnum() or c in ".-" else "-" for c in variant)
    own = STUDIES[study][variant]
    words = (
        f"--preset {options.preset} --steps {options.steps} --batch-size {options.batch} "
        f"--workers {options.loaders} --device {options.device} --seed {seed} {options.base} {own}"
    )
    if not own:
        return Task("base", seed, options.out / f"base-seed{seed}", words)
    return Task(f"{study}: {variant}", seed, options.out / study / f"{name}-seed{seed}", words)


def needs(task: Task) -> list[str]:
    """What a task names in braces."""
    return [word[1:-1] for word in shlex.split(task.words) if word[0] + word[-1] == "{}"]


def place_of(options: argparse.Namespace, name: str) -> Path:
    """Where something of `MADE` lies: a work folder, or a file."""
    here = options.out / "made" / name
    is_file = any("{here}.safetensors" in command for command in MADE[name])
    return here.with_name(f"{name}.safetensors") if is_file else here


def filled(options: argparse.Namespace, words: str) -> list[str]:
    """Words with the places of what they name in braces."""
    places = {f"{{{name}}}": str(place_of(options, name)) for name in MADE}
    return [places.get(word, word) for word in shlex.split(words)]


def make(options: argparse.Namespace, name: str, deadline: float) -> bool:
    """Makes a store, reducer or vocabulary; what is finished is not made again."""
    here = options.out / "made" / name
    here.parent.mkdir(parents=True, exist_ok=True)
    record, log = here.with_name(f"{name}.done"), here.with_name(f"{name}.log")
    places = {"city": options.city, "here": here, "sky": options.sky_rays}
    commands = [[w.format(**places) for w in shlex.split(command)] for command in MADE[name]]
    text = "\n".join(shlex.join(words) for words in commands)
    if record.exists() and record.read_text() == text:
        return True
    for words in commands:
        device = ["--device", options.device] if words[0] == "extract" else []
        if not finishes([sys.executable, "-m", "langocc", *words, *device], log, deadline):
            print(f"{name}: not made; see {log}", flush=True)
            return False
    record.write_text(text)
    return True


def walk(options: argparse.Namespace, task: Task, deadline: float) -> Scores | None:
    """One run from training to scores, or what is there of an earlier one."""
    label = f"{task.name}, seed {task.seed}"
    words = shlex.join(filled(options, task.words))
    found = scores_of(task.folder, words)
    if found is None:
        task.folder.mkdir(parents=True, exist_ok=True)
        script = Path(__file__).with_name("study_run.py")
        command = [sys.executable, str(script), str(options.city), str(task.folder)]
        command += [f"--train={words}", "--device", options.device, *shlex.split(options.scoring)]
        if finishes(command, task.folder / "log.txt", deadline):
            found = scores_of(task.folder, words)
    if found is None:
        log = task.folder / "log.txt"
        print(f"{label}: " + (f"missing; see {log}" if log.exists() else "no time"), flush=True)
        return None
    print(
        f"{label}: IoU {found.iou:.1f} from {found.level:g}/m on (chosen on train, there "
        f"{found.iou_train:.1f}); {found.minutes:.1f} + {found.scoring_minutes:.1f} min",
        flush=True,
    )
    return found


def scores_of(run: Path, words: str) -> Scores | None:
    """What a run was scored with; None where it is not finished.

    Raises:
        SystemExit: it was trained in another way.
    """
    path = run / "scores.json"
    if not path.exists():
        return None
    record = json.loads(path.read_text())
    if record["words"] != words:
        raise SystemExit(f"{run}: was trained with `{record['words']}`; name another OUT")
    return Scores(**record["scores"])


def finishes(command: Sequence[str], log: Path, deadline: float) -> bool:
    """Runs a command into a log; False where it fails, or is ended because time is up."""
    left = deadline - time.monotonic()
    if left <= 0:
        return False
    # Trainings side by side must not each take all cores for their sums.
    few = os.environ | {"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "2")}
    with open(log, "a") as file:
        process = subprocess.Popen(command, stdout=file, stderr=file, env=few)
        try:
            return process.wait(None if left == float("inf") else left) == 0
        except subprocess.TimeoutExpired:
            file.write("time is up\n")
            return False
        finally:
            end(process)


def end(process: subprocess.Popen[bytes]) -> None:
    """Ends a process; a training writes a checkpoint first, and its loaders go with it."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


if __name__ == "__main__":
    main()
