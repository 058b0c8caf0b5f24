# SPDX-License-Identifier: Apache-2.0
"""What each codec of the feature store costs and loses, on a teacher's features of real rays.

    python recipes/codec_report.py CITY OUT --scenes 2
    python recipes/codec_report.py CITY OUT --train 2000 --seeds 0 1 --jobs 4

CITY was prepared (`langocc prepare`); nothing in it is changed. The teacher looks once, as fp16;
every codec is written from that and compared with it ray by ray, sky left out, whose targets are
not used. With --train, the preset tiny is trained on each store and scored on the split val; up
to --jobs trainings share the GPU. Whatever is finished in OUT is kept and not done again.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from langocc.comparison import Scores, score
from langocc.features.extract import extract_features
from langocc.features.pixels import SKY
from langocc.features.recode import recode_store
from langocc.features.scene_writer import CodecConfig
from langocc.features.store import FeatureStore, open_store, ray_store_folder
from langocc.features.targets import sky_rule
from langocc.scenes.nuscenes import NuScenes, load
from langocc.teachers.load import load_teacher
from langocc.teachers.teacher import Teacher
from langocc.teachers.text import Vocabulary, load_vocabulary

CODECS = {
    "fp16": CodecConfig("fp16"),
    "int8": CodecConfig("int8"),
    **{f"pca-int8 {k}": CodecConfig("pca-int8", k) for k in (32, 48, 64, 96, 112)},
    **{f"pca-int4 {k}": CodecConfig("pca-int4", k) for k in (56, 88, 128, 192)},
}
PUBLISHED_RAYS = 18_600
"""Rays of a nuScenes key frame by the published protocol, about."""
TARGET_MB, TARGET_COSINE = 2.4, 0.99


@dataclass(frozen=True)
class Loss:
    """What a codec costs and loses.

    Attributes:
        codec: Name and components.
        rays: Rays of a key frame here, mean.
        mb: Megabytes of a key frame here, everything in the file counted.
        mb_published: The same scaled to `PUBLISHED_RAYS`.
        median_cosine: Between decoded features and fp16.
        worst_cosine: The first percentile.
        changed: Share of rays whose nearest prompt belongs to another class than with fp16.
    """

    codec: str
    rays: float
    mb: float
    mb_published: float
    median_cosine: float
    worst_cosine: float
    changed: float


def main() -> None:
    """Extracts, converts, compares; trains if asked; prints the table."""
    options = parse()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    dataset = load(options.city, work=options.work)
    height = options.image_height
    teacher = load_teacher(
        options.teacher, device=device, text=options.text, image_height_px=height
    )
    vocabulary = load_vocabulary(options.vocabulary)
    stores = write_stores(options, dataset, teacher, vocabulary)
    losses = [
        compare(name, store, stores["fp16"], teacher, vocabulary) for name, store in stores.items()
    ]
    scores: dict[str, list[Scores]] = {}
    if options.train:
        scores = train_all(options, dataset, teacher, stores)
    report = {
        "teacher": teacher.id,
        "device": device,
        "steps": options.train,
        "seeds": options.seeds,
        "codecs": [
            asdict(x) | {"scores": [asdict(s) for s in scores.get(x.codec, [])]} for x in losses
        ],
    }
    (options.out / "report.json").write_text(json.dumps(report, indent=2) + "\n")
    print(table(losses, scores))
    print(verdict(losses))


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("city", type=Path, help="data root, prepared")
    parser.add_argument("out", type=Path, help="folder for stores, runs and report.json")
    parser.add_argument("--work", type=Path, help="folder that prepare wrote to")
    parser.add_argument("--rays", default="lidar_pixels", help="ray source")
    parser.add_argument("--scenes", type=int, help="first scenes of the split train; default: all")
    parser.add_argument("--teacher", default="city-clip", help="as for langocc extract")
    parser.add_argument(
        "--text", default="openai/clip-vit-base-patch16", help="CLIP of a MaskCLIP+"
    )
    parser.add_argument("--image-height", type=int, help="pixels, before a CLIP teacher")
    parser.add_argument("--vocabulary", default="city", help="prompts of the ranking, and of sky")
    parser.add_argument("--codecs", nargs="+", default=list(CODECS), choices=list(CODECS))
    parser.add_argument("--train", type=int, default=0, help="steps of the preset tiny; 0: none")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="of the trainings")
    parser.add_argument("--jobs", type=int, default=1, help="trainings at a time")
    return parser.parse_args()


def write_stores(
    options: argparse.Namespace, dataset: NuScenes, teacher: Teacher, vocabulary: Vocabulary
) -> dict[str, FeatureStore]:
    """A store per codec, fp16 first."""
    rays = open_store(ray_store_folder(dataset.folders.work, options.rays))
    scenes = [s for s in sorted(dataset.splits["train"]) if rays.has(s)][: options.scenes]
    sky = sky_rule(teacher, vocabulary)
    folder = options.out / "features"
    whole = folder / "fp16"
    store, report = extract_features(dataset, rays, scenes, whole, teacher, sky, CODECS["fp16"])
    report.raise_failures()
    stores = {"fp16": store}
    for name in options.codecs:
        if name != "fp16":
            stores[name], report = recode_store(
                store, folder / name.replace(" ", "-"), CODECS[name]
            )
            report.raise_failures()
    return stores


def compare(
    name: str, store: FeatureStore, exact: FeatureStore, teacher: Teacher, vocabulary: Vocabulary
) -> Loss:
    """Reads both stores in step."""
    prompts, ids = teacher.text(vocabulary.prompts).float().cpu(), vocabulary.class_of_prompt()
    cosines, changes, rays, frames = [], [], 0, 0
    for scene in exact.scenes():
        for token in exact.shard(scene).frames:
            (ours, rows), (theirs, _) = read(store, scene, token), read(exact, scene, token)
            is_world = torch.from_numpy((rows["flags"] & SKY) == 0)
            ours, theirs = ours[is_world], theirs[is_world]
            cosines.append(functional.cosine_similarity(ours, theirs).numpy())
            best = [ids[(features @ prompts.T).argmax(1)] for features in (ours, theirs)]
            changes.append((best[0] != best[1]).numpy())
            rays, frames = rays + len(rows), frames + 1
    size_mb = sum(store.path_of(scene).stat().st_size for scene in exact.scenes()) / 1e6
    median, worst = np.percentile(np.concatenate(cosines), [50, 1])
    return Loss(
        name,
        rays / frames,
        size_mb / frames,
        size_mb / rays * PUBLISHED_RAYS,
        float(median),
        float(worst),
        float(np.concatenate(changes).mean()),
    )


def read(store: FeatureStore, scene: str, token: str) -> tuple[torch.Tensor, np.ndarray]:
    """Features of a key frame, and its rows."""
    shard = store.shard(scene)
    rows = shard.read(token)
    return shard.codec.decode(torch.from_numpy(np.ascontiguousarray(rows["code"]))), rows


def train_all(
    options: argparse.Namespace,
    dataset: NuScenes,
    teacher: Teacher,
    stores: dict[str, FeatureStore],
) -> dict[str, list[Scores]]:
    """Trains and predicts in processes of their own, then scores; a list over the seeds."""
    runs = {
        (name, seed): options.out / "runs" / f"{name.replace(' ', '-')}-seed{seed}"
        for name, seed in product(stores, options.seeds)
    }

    def walk(key: tuple[str, int]) -> None:
        (name, seed), run, city = key, str(runs[key]), str(options.city)
        work = [] if options.work is None else ["--work", str(options.work)]
        steps = ["--preset", "tiny", "--steps", str(options.train), "--seed", str(seed)]
        verb(
            runs[key],
            "train",
            city,
            *work,
            "--store",
            str(stores[name].folder),
            "--run",
            run,
            *steps,
        )
        verb(runs[key], "predict", run, "--root", city, *work, "--split", "val", "--points")

    with ThreadPoolExecutor(options.jobs) as pool:
        list(pool.map(walk, runs))
    return {
        name: [
            score(runs[name, seed] / "predictions" / "val", dataset, "val", teacher)
            for seed in options.seeds
        ]
        for name in stores
    }


def verb(run: Path, *words: str) -> None:
    """Runs `langocc ...`; what it prints goes to RUN/log.txt."""
    run.mkdir(parents=True, exist_ok=True)
    with open(run / "log.txt", "a") as log:
        done = subprocess.run([sys.executable, "-m", "langocc", *words], stdout=log, stderr=log)
    if done.returncode:
        raise SystemExit(f"langocc {words[0]} failed; see {run / 'log.txt'}")


def table(losses: Sequence[Loss], scores: dict[str, list[Scores]]) -> str:
    """Markdown; the columns of the training only where there was one."""
    head = ["codec", f"MB per key frame of {losses[0].rays:,.0f} rays", f"of {PUBLISHED_RAYS:,}"]
    head += ["median cosine", "worst percentile", "best class changes"]
    head += ["IoU", "mIoU 17", "mAP"] if scores else []
    lines = [head, ["---"] * len(head)]
    for x in losses:
        cells = [x.codec, f"{x.mb:.2f}", f"{x.mb_published:.2f}", f"{x.median_cosine:.4f}"]
        cells += [f"{x.worst_cosine:.4f}", f"{x.changed:.2%}"]
        if x.codec in scores:
            runs = [(s.iou, s.miou_17, s.retrieval) for s in scores[x.codec]]
            means, spans = np.mean(runs, axis=0), np.ptp(runs, axis=0)
            cells += [
                f"{m:.1f}" + (f" (span {d:.1f})" if len(runs) > 1 else "")
                for m, d in zip(means, spans, strict=True)
            ]
        lines.append(cells)
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def verdict(losses: Sequence[Loss]) -> str:
    """Whether the target is met, and by what."""
    good = [x for x in losses if x.median_cosine >= TARGET_COSINE]
    target = f"{TARGET_MB} MB per key frame at a median cosine of {TARGET_COSINE}"
    if not good:
        best = max(losses, key=lambda x: x.median_cosine)
        return f"{target}: not met, the best is {best.codec} with {best.median_cosine:.4f}"
    least = min(good, key=lambda x: x.mb_published)
    word = "met" if least.mb_published <= TARGET_MB else "not met"
    size = f"{least.codec} with {least.mb_published:.2f} MB and {least.median_cosine:.4f}"
    return f"{target}: {word}; the smallest that is good enough is {size}"


if __name__ == "__main__":
    main()
