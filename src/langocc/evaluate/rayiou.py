# SPDX-License-Identifier: Apache-2.0
"""RayIoU: class and distance of what a simulated LiDAR would hit, SparseOcc's protocol.

From up to eight places the LiDAR has been in the scene, 14,040 rays look at truth and prediction.
The first voxel that is not free answers with its class and its depth, which the protocol takes
where the ray *leaves* that voxel. Rays that meet nothing in the truth are dropped; no camera mask.
A ray is right when the class agrees and the depths differ by less than 1, 2 or 4 m. IoU = right /
(truth + predicted - right) per class, mean over classes 0..16 that occur, then over the three.

Source: formats.md section 3; Liu et al., "Fully Sparse 3D Occupancy Prediction" (ECCV 2024).
"""

import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float64, Int64, UInt8
from torch import Tensor

from langocc.errors import DataError
from langocc.evaluate.faults import Fault, refuse
from langocc.evaluate.feature_grids import Prompts
from langocc.evaluate.labels import read_label
from langocc.evaluate.predictions import prediction_path, read_prediction
from langocc.evaluate.ranks import ALONE, merged_over_ranks, own_part
from langocc.evaluate.raycast import first_hits
from langocc.evaluate.raycast_gpu import first_hits_gpu
from langocc.geometry.grid import OCC3D_GRID, VoxelGrid
from langocc.geometry.rigid import invert_rigid
from langocc.scenes.frame import Frame
from langocc.scenes.occ3d import FREE_ID, OCC3D_CLASSES
from langocc.train.processes import Processes

THRESHOLDS_M = (1.0, 2.0, 4.0)
"""Depth differences below which a ray is right, metres."""

ORIGINS = 8
"""Places that rays start from, at most."""

REACH_M = 39.0
"""LiDAR positions further than this along x or y are not used, metres."""

RayCounts = Int64[np.ndarray, "5 17"]
"""Rays by class: in the truth, predicted, and right at each threshold."""


@dataclass(frozen=True)
class RayScores:
    """RayIoU in percent.

    Attributes:
        rayiou: Mean over thresholds.
        at: Mean over classes, per threshold of `THRESHOLDS_M`.
        class_iou: Per threshold and class 0..16; NaN for a class in neither.
        rays: Rays that meet something in the truth.
    """

    rayiou: float
    at: tuple[float, ...]
    class_iou: tuple[tuple[float, ...], ...]
    rays: int


@dataclass
class RayTotals:
    """Counts per scene: sums, so parts counted anywhere merge to the same numbers.

    `other_labels` names frames with voxels labelled outside 0..17, and how many: these stop rays
    but belong to no class.
    """

    scenes: dict[str, RayCounts] = field(default_factory=dict)
    frames: int = 0
    faults: list[Fault] = field(default_factory=list)
    other_labels: dict[str, int] = field(default_factory=dict)

    def update(self, scene: str, counts: RayCounts, token: str = "", other_labels: int = 0) -> None:
        """Adds one frame's counts."""
        self.scenes[scene] = self.scenes.get(scene, np.zeros_like(counts)) + counts
        self.frames += 1
        if other_labels:
            self.other_labels[token] = other_labels

    def merge(self, other: "RayTotals") -> "RayTotals":
        """Both parts together; neither is changed."""
        scenes = dict(self.scenes)
        for scene, counts in other.scenes.items():
            scenes[scene] = scenes.get(scene, np.zeros_like(counts)) + counts
        return RayTotals(
            scenes,
            self.frames + other.frames,
            self.faults + other.faults,
            self.other_labels | other.other_labels,
        )

    def total(self) -> RayCounts:
        """Counts over all scenes."""
        zeros = np.zeros((2 + len(THRESHOLDS_M), len(OCC3D_CLASSES)), np.int64)
        return sum(self.scenes.values(), zeros)


def ray_scores(counts: RayCounts) -> RayScores:
    """Scores of counts, whatever number of frames they were summed over."""
    truth, predicted, right = counts[0], counts[1], counts[2:]
    union = truth + predicted - right
    iou = np.divide(100.0 * right, union, out=np.full(right.shape, np.nan), where=union > 0)
    known = union[0] > 0
    at = [float(row[known].mean()) if known.any() else math.nan for row in iou]
    return RayScores(
        rayiou=float(np.mean(at)),
        at=tuple(at),
        class_iou=tuple(map(tuple, iou.tolist())),
        rays=int(truth.sum()),
    )


def ray_directions() -> Float64[Tensor, "14040 3"]:
    """Unit vectors of the simulated LiDAR: 39 pitches, each with 360 azimuths."""
    pitches = [-(math.pi / 2 - math.atan(k)) for k in range(1, 11)]
    while pitches[-1] < 0.21:
        pitches.append(2 * pitches[-1] - pitches[-2])
    pitch = torch.tensor(pitches, dtype=torch.float64)[:, None]
    azimuth = torch.deg2rad(torch.arange(360, dtype=torch.float64))
    parts = (pitch.cos() * azimuth.cos(), pitch.cos() * azimuth.sin(), pitch.sin().expand(-1, 360))
    return torch.stack(parts, dim=-1).reshape(-1, 3)


def scene_origins(scene: Sequence[Frame], index: int) -> Float64[np.ndarray, "origin 3"]:
    """LiDAR positions of a scene in the key ego frame of one of its frames, metres.

    Those within `REACH_M` along x and y, evenly thinned to `ORIGINS`.

    Args:
        scene: All frames of the scene in time order.
        index: The frame to evaluate.

    Raises:
        DataError: a frame of the scene has no LiDAR, whose place the protocol needs.
    """
    positions = []
    for frame in scene:
        if frame.lidar is None:
            raise DataError(
                f"frame {frame.token}: RayIoU starts its rays at the LiDAR; expected one, got none"
            )
        positions.append((frame.lidar.global_from_ego @ frame.lidar.ego_from_lidar)[:, 3])
    ego_from_global = invert_rigid(scene[index].global_from_ego)
    origins = (np.stack(positions) @ ego_from_global.T)[:, :3]
    origins = origins[(np.abs(origins[:, :2]) < REACH_M).all(axis=1)]
    if len(origins) > ORIGINS:
        origins = origins[np.round(np.linspace(0, len(origins) - 1, ORIGINS)).astype(int)]
    return origins


def default_batch(device: torch.device | str) -> int:
    """Frames to trace together: one keeps a processor's caches warm, a GPU wants work at once."""
    return 1 if torch.device(device).type == "cpu" else 16


def ray_counts(
    semantics: Sequence[UInt8[np.ndarray, "x y z"]],
    labels: Sequence[UInt8[np.ndarray, "x y z"]],
    origins_m: Sequence[Float64[np.ndarray, "_ 3"]],
    grid: VoxelGrid = OCC3D_GRID,
    device: torch.device | str = "cpu",
) -> list[RayCounts]:
    """Counts of several frames, traced together; see `default_batch`.

    Voxels labelled outside 0..17 stop rays but belong to no class, as in the protocol.

    Args:
        semantics: Predicted ids per frame.
        labels: Labelled ids per frame.
        origins_m: Ray origins per frame, key ego frame, metres.
        grid: The grid of all of them; its cells are cubes.
        device: Where to trace.
    """
    truth, pred = (torch.from_numpy(np.stack(ids)).to(device) for ids in (labels, semantics))
    directions = ray_directions().to(device)
    starts = torch.from_numpy(np.concatenate(origins_m)).to(device)
    starts = (starts - starts.new_tensor(grid.lower_m)) / grid.cell_m
    owner = np.repeat(np.arange(len(labels)), [len(o) for o in origins_m])
    frames = torch.from_numpy(owner).to(device).repeat_interleave(len(directions))
    trace = first_hits_gpu if truth.is_cuda else first_hits
    in_truth, in_pred = trace(
        truth != FREE_ID,
        pred != FREE_ID,
        frames,
        starts.repeat_interleave(len(directions), dim=0),
        directions.repeat(len(starts), 1),
    )
    valid = in_truth.cells >= 0
    truth_ids = truth.flatten()[in_truth.cells[valid]].long()
    pred_cells = in_pred.cells[valid]
    pred_ids = torch.where(pred_cells >= 0, pred.flatten()[pred_cells].long(), FREE_ID)
    gap_m = (in_truth.exits - in_pred.exits)[valid].abs() * grid.cell_m
    return _tally(frames[valid], truth_ids, pred_ids, gap_m, len(labels))


def evaluate_rayiou(
    predictions: Path,
    scenes: Sequence[Sequence[Frame]],
    label_path: Callable[[Frame], Path],
    *,
    grid: VoxelGrid = OCC3D_GRID,
    device: torch.device | str = "cpu",
    batch: int | None = None,
    workers: int = 2,
    tolerate_faults: bool = False,
    prompts: Prompts | None = None,
    processes: Processes = ALONE,
) -> RayTotals:
    """RayIoU counts of a folder of predictions.

    Args:
        predictions: Folder of `<token>.npz`.
        scenes: Whole scenes, frames in time order: origins come from all frames of a scene.
        label_path: Where a frame's Occ3D label lies.
        grid: The grid of labels and predictions.
        device: Where to trace.
        batch: Frames traced together; None: `default_batch`. The numbers do not depend on it.
        workers: Threads; the numbers do not depend on it. With a CPU, one per core.
        tolerate_faults: Give numbers over the frames that can be read; `faults` lists the others.
        prompts: Classify predictions that hold density and features instead of `semantics`.
        processes: Each counts a part and returns the whole; all must call this.

    Raises:
        DataError: files are missing or damaged and this is not tolerated, or none is left.
    """
    totals, batch = RayTotals(), batch or default_batch(device)
    places = [(scene, index) for scene in scenes for index in range(len(scene))]

    def count(part: Sequence[tuple[Sequence[Frame], int]]) -> list[tuple | Fault]:
        loaded = [
            _load(predictions, scene, i, label_path(scene[i]), grid, prompts) for scene, i in part
        ]
        ready = [item for item in loaded if not isinstance(item, Fault)]
        semantics, labels, origins = ([item[i] for item in ready] for i in range(3))
        results = iter(ray_counts(semantics, labels, origins, grid, device) if ready else ())
        return [
            item
            if isinstance(item, Fault)
            else (scene[i].scene, next(results), scene[i].token, int((item[1] > FREE_ID).sum()))
            for item, (scene, i) in zip(loaded, part, strict=True)
        ]

    with ThreadPoolExecutor(workers) as pool:
        own = own_part(places, processes)
        parts = [own[i : i + batch] for i in range(0, len(own), batch)]
        for result in chain.from_iterable(pool.map(count, parts)):
            if isinstance(result, Fault):
                totals.faults.append(result)
            else:
                totals.update(*result)
    totals = merged_over_ranks(totals, processes)
    refuse(totals.faults, len(places), tolerated=tolerate_faults)
    return totals


def _load(
    predictions: Path,
    scene: Sequence[Frame],
    index: int,
    label_file: Path,
    grid: VoxelGrid,
    prompts: Prompts | None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray] | Fault:
    """Prediction, labels and origins of a frame."""
    frame = scene[index]
    path = prediction_path(predictions, frame.token)
    try:
        semantics = read_prediction(path, with_density=False, prompts=prompts).semantics
        labels = read_label(label_file).semantics
        for name, array in ((path, semantics), (label_file, labels)):
            if array.shape != grid.shape:
                raise DataError(f"{name}: semantics: expected {grid.shape}, got {array.shape}")
        return semantics, labels, scene_origins(scene, index)
    except DataError as error:
        return Fault(frame.token, str(error))


def _tally(
    frames: Int64[Tensor, " ray"],
    truth_ids: Int64[Tensor, " ray"],
    pred_ids: Int64[Tensor, " ray"],
    gap_m: Float64[Tensor, " ray"],
    count: int,
) -> list[RayCounts]:
    """Rays per frame and class: in the truth, predicted, right at each threshold."""
    bins = 256  # every uint8 id, so that ids of no class need no special case

    def histogram(ids: Tensor, chosen: Tensor | None = None) -> Tensor:
        codes = frames * bins + ids
        codes = codes if chosen is None else codes[chosen]
        return torch.bincount(codes, minlength=count * bins).view(count, bins)

    same = truth_ids == pred_ids
    right = [histogram(truth_ids, same & (gap_m < limit)) for limit in THRESHOLDS_M]
    table = torch.stack([histogram(truth_ids), histogram(pred_ids), *right], dim=1)
    return list(table[:, :, : len(OCC3D_CLASSES)].cpu().numpy())
