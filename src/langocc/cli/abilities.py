# SPDX-License-Identifier: Apache-2.0
"""What each verb can do with what is on disk, and the disk it would take."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from langocc.evaluate.benchmark import RetrievalRow
from langocc.scenes.inventory import Inventory
from langocc.scenes.nuscenes import NuScenes

INDEX_BYTES = 1_800
"""A key frame in the index: seven file names, poses, times."""
RAYS = 18_500
"""Rays of a nuScenes key frame under LiDAR points, about; `grid` and `random` have 18,000."""
RAY_BYTES = 15
FEATURE_BYTES = {"int8": 514, "pca-int8": 96}
"""A 512-d feature in the default codec, and in the smallest."""
CHECKPOINT_BYTES = 4 * 4 * 35_700_000
"""Weights, their average, two moments of the optimiser: float32."""
CHECKPOINTS_KEPT = 3
PREDICTION_BYTES = 200 * 200 * 16 * 4
"""A saved prediction at most: semantics and classes uint8, density float16."""
POINT_FEATURES_BYTES = 34_700 * 512 * 2
"""Features at the points of a sweep: float16."""


@dataclass(frozen=True)
class Ability:
    """A verb and this data.

    Attributes:
        verb: As typed.
        frames: Key frames it can work on; 0: it cannot work.
        limits: What it cannot do here, and what would change that.
        disk_bytes: What it would write.
        formula: How `disk_bytes` comes about.
    """

    verb: str
    frames: int
    limits: Sequence[str]
    disk_bytes: int
    formula: str


def abilities(dataset: NuScenes, found: Inventory, rows: Sequence[RetrievalRow]) -> list[Ability]:
    """Every verb that reads a data root."""
    return [
        _prepare(found),
        _extract(found),
        _train(found),
        _predict(found),
        *_evaluate_occupancy(dataset, found),
        _evaluate_retrieval(dataset, found, rows),
    ]


def _prepare(found: Inventory) -> Ability:
    frames = _count(found.has_images)
    swept = _count(found.has_images & found.has_sweep)
    limits = _no_images(frames)
    if frames and swept < frames:
        limits.append(f"--rays lidar_pixels: {frames - swept} of {frames} have no LiDAR sweep")
    disk = frames * (INDEX_BYTES + RAYS * RAY_BYTES)
    return Ability(
        "prepare", frames, limits, disk, f"{frames:,} x (1.8 kB of index + 0.28 MB of rays)"
    )


def _extract(found: Inventory) -> Ability:
    frames = _count(found.has_images)
    disk, least = (frames * RAYS * (RAY_BYTES + code) for code in FEATURE_BYTES.values())
    formula = f"{frames:,} x 9.79 MB with codec int8 ({least / 1e6:,.0f} MB with pca-int8)"
    return Ability("extract", frames, _no_images(frames), disk, formula)


def _train(found: Inventory) -> Ability:
    in_train = found.in_split.get("train", np.zeros_like(found.has_images))
    frames = _count(in_train & found.has_images)
    alone = _count(in_train & found.has_images & ~found.has_previous)
    limits = _absent("train", in_train, found.has_images, "their images")
    if alone == frames > 0:
        limits.append("no key frame has an earlier one: no stereo, no rays of other times")
    disk = CHECKPOINTS_KEPT * CHECKPOINT_BYTES if frames else 0
    formula = f"{CHECKPOINTS_KEPT} checkpoints x 35.7 M parameters x 4 x 4 B"
    return Ability("train", frames, limits, disk, formula)


def _predict(found: Inventory) -> Ability:
    frames = _count(found.has_images)
    formula = f"{frames:,} x at most 2.56 MB"
    return Ability("predict", frames, _no_images(frames), frames * PREDICTION_BYTES, formula)


def _evaluate_occupancy(dataset: NuScenes, found: Inventory) -> list[Ability]:
    in_val = found.in_split.get("val", np.zeros_like(found.has_images))
    if dataset.folders.gts is None:
        limits = ["no gts folder: Occ3D-nuScenes' labels"]
    else:
        limits = _absent("val", in_val, found.has_occ3d, "their Occ3D label")
    limits += _absent("val", in_val, found.has_images, "the images to predict from")
    frames = _count(in_val & found.has_occ3d & found.has_images)
    disk = frames * PREDICTION_BYTES
    formula = f"{frames:,} predictions x at most 2.56 MB"
    rays = list(limits)
    if not dataset.index.has_lidar:
        rays.append("no LiDAR in the tables: its positions are the origins of the rays")
    ray_frames = frames if dataset.index.has_lidar else 0
    return [
        Ability("evaluate occ3d", frames, limits, disk, formula),
        Ability("evaluate rayiou", ray_frames, rays, 0, ""),
    ]


def _evaluate_retrieval(
    dataset: NuScenes, found: Inventory, rows: Sequence[RetrievalRow]
) -> Ability:
    if dataset.folders.retrieval is None:
        limits = ["no retrieval_benchmark folder: POP-3D's retrieval benchmark"]
        return Ability("evaluate retrieval", 0, limits, 0, "")
    at = {token: key for key, token in enumerate(dataset.index.tokens)}
    usable = found.has_images & found.has_sweep
    known = [row for row in rows if row.token in at]
    ready = [row for row in known if usable[at[row.token]] and row.annotation_path.is_file()]
    limits = []
    if len(known) < len(rows):
        limits.append(
            f"{len(rows) - len(known)} of {len(rows)} queries are on frames of another version"
        )
    if len(ready) < len(known):
        limits.append(f"{len(known) - len(ready)} lack images, sweep or annotation")
    frames = len({row.token for row in ready})
    formula = f"{frames:,} predictions x at most (2.56 + 35.5) MB"
    disk = frames * (PREDICTION_BYTES + POINT_FEATURES_BYTES)
    return Ability("evaluate retrieval", frames, limits, disk, formula)


def _no_images(frames: int) -> list[str]:
    return [] if frames else ["no key frame has all its images"]


def _absent(split: str, members: np.ndarray, has: np.ndarray, what: str) -> list[str]:
    """Says how many key frames of a split lack something."""
    total, lacking = _count(members), _count(members & ~has)
    if not total:
        return [f"no scene of split {split} is here"]
    return [f"{lacking} of {total} {split} key frames lack {what}"] if lacking else []


def _count(claims: np.ndarray) -> int:
    return int(np.count_nonzero(claims))
