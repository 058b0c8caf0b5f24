# SPDX-License-Identifier: Apache-2.0
"""From which density a voxel counts as occupied: found on LiDAR sweeps, without labels.

A sweep says of the voxels that its points lie in that they are occupied, and of those that its
beams pass before that they are free. The level at which a model's voxels agree best with both is
its threshold. How dense a surface becomes depends on settings and on how long a model has trained,
so that a fixed number is a guess (docs/log.md).
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float64

from langocc.evaluate.projected import lidar_points_ego
from langocc.files import replacing
from langocc.geometry.grid import VoxelGrid
from langocc.predictor import THRESHOLD, Predictor
from langocc.scenes.dataset import Dataset
from langocc.scenes.frame import Frame

SHARES = (0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.96)
"""Levels that are tried, in parts of the highest density that a model can say."""
MARGIN_CELLS = 1.5
"""So near before a point nothing is said to be free: its own voxel may reach there."""
NEAREST_M = 2.5
"""Points nearer than this are of the vehicle itself."""
BEAMS = 16384
"""Of a sweep, at most."""


@dataclass(frozen=True)
class Calibration:
    """How well a model's voxels agree with LiDAR sweeps, by level.

    Attributes:
        levels: Densities from which a voxel is occupied, 1/m.
        iou: Intersection over union of occupied voxels and hit ones, among hit and passed ones,
            percent.
        frames: Sweeps that were counted.
        checkpoint: SHA-256 of the weights.
    """

    levels: tuple[float, ...]
    iou: tuple[float, ...]
    frames: int
    checkpoint: str

    @property
    def threshold(self) -> float:
        """The best level, 1/m; of equals the lowest."""
        return self.levels[int(np.argmax(self.iou))]


def calibrate(predictor: Predictor, dataset: Dataset, frames: Iterable[Frame]) -> Calibration:
    """Counts the voxels of all frames at all levels.

    Args:
        predictor: The model.
        dataset: Where the frames' past is found.
        frames: Frames with a LiDAR.

    Raises:
        DataError: a frame has no LiDAR, or a file is missing or damaged.
    """
    levels = [share * predictor.config.model.head.density_scale for share in SHARES]
    counts, used = np.zeros((len(levels), 2)), 0
    for frame in frames:
        field = predictor.field(dataset, frame.token)
        density = field.density[0].float().cpu().numpy()
        hit, passed = seen_by_lidar(frame, field.grid)
        for row, level in zip(counts, levels, strict=True):
            is_occupied = density >= level
            row += (is_occupied & hit).sum(), (is_occupied & passed).sum() + hit.sum()
        used += 1
    iou = 100 * counts[:, 0] / np.maximum(counts[:, 1], 1)
    sha256 = str(predictor.checkpoint["sha256"])
    return Calibration(tuple(levels), tuple(iou.tolist()), used, sha256)


def seen_by_lidar(
    frame: Frame, grid: VoxelGrid
) -> tuple[Bool[np.ndarray, "x y z"], Bool[np.ndarray, "x y z"]]:
    """Voxels that points of the frame's sweep lie in, and others that its beams pass.

    Raises:
        DataError: the frame has no LiDAR, or its file is missing or damaged.
    """
    points = lidar_points_ego(frame)
    assert frame.lidar is not None
    origin = np.asarray(frame.lidar.ego_from_lidar)[:3, 3]
    range_m = np.linalg.norm(points - origin, axis=1)
    is_used = range_m > NEAREST_M
    points, range_m = points[is_used], range_m[is_used]
    every = -(-len(points) // BEAMS) or 1
    points, range_m = points[::every], range_m[::every]
    hit, passed = np.zeros(grid.shape, bool), np.zeros(grid.shape, bool)
    _mark(hit, points, grid)
    directions = (points - origin) / range_m[:, None]
    until_m = range_m - MARGIN_CELLS * max(grid.edges_m)
    step_m = min(grid.edges_m)
    for along_m in np.arange(step_m, until_m.max(initial=0.0), step_m):
        _mark(passed, origin + along_m * directions[until_m > along_m], grid)
    return hit, passed & ~hit


def _mark(
    voxels: Bool[np.ndarray, "x y z"], points_m: Float64[np.ndarray, "point 3"], grid: VoxelGrid
) -> None:
    inside = points_m[grid.contains(points_m)]
    cells = np.floor((inside - grid.lower_m) / grid.edges_m).astype(int)
    voxels[tuple(np.minimum(cells, np.asarray(grid.shape) - 1).T)] = True


def spread(frames: Sequence[Frame], count: int) -> list[Frame]:
    """At most so many frames, evenly over all."""
    places = np.linspace(0, len(frames) - 1, min(count, len(frames))).round().astype(int)
    return [frames[place] for place in places]


def write_calibration(run: Path, found: Calibration) -> Path:
    """Writes RUN/threshold.json, which predictors of the same weights follow from then on."""
    path = run / THRESHOLD
    with replacing(path) as temporary:
        record = {"threshold": found.threshold} | asdict(found)
        temporary.write_text(json.dumps(record, indent=2) + "\n")
    return path
