# SPDX-License-Identifier: Apache-2.0
"""Occ3D evaluation of a folder of saved predictions: every frame of a split, named faults.

Source: method.md section 8.
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import Int64

from langocc.errors import ConfigError, DataError
from langocc.evaluate.faults import Fault, refuse
from langocc.evaluate.feature_grids import Prompts
from langocc.evaluate.labels import Mask, Occ3DLabel, read_label
from langocc.evaluate.occupancy import (
    IDS,
    OccupancyScores,
    occupancy_counts,
    occupancy_scores,
)
from langocc.evaluate.predictions import Prediction, prediction_path, read_prediction
from langocc.evaluate.ranks import ALONE, merged_over_ranks, own_part
from langocc.scenes.frame import Frame
from langocc.train.processes import Processes

ThresholdCounts = Int64[np.ndarray, "threshold 19 18"]


@dataclass(frozen=True)
class OccupancyOptions:
    """What is counted; printed with every number."""

    mask: Mask = "camera"
    """Voxels that count: seen by a camera (the field's convention), by the LiDAR, or all (none)."""
    thresholds: tuple[float, ...] = ()
    """Densities (1/m) from which a voxel is occupied, in one pass. Empty: `semantics` as saved."""

    @property
    def levels(self) -> tuple[float | None, ...]:
        """The thresholds, where None stands for the semantics as saved."""
        return self.thresholds or (None,)


@dataclass(frozen=True)
class FrameScore:
    """One frame at the first threshold; for finding frames to look at.

    Attributes:
        token: The frame.
        scene: Its scene.
        miou: Mean IoU over the classes the frame or its prediction has, percent.
        occupied_iou: IoU of "not free", percent.
        other_labels: Counted voxels whose label is no Occ3D id.
        saved_threshold: Density that the saved semantics were made with, 1/m; None: not stated.
    """

    token: str
    scene: str
    miou: float
    occupied_iou: float
    other_labels: int
    saved_threshold: float | None = None


@dataclass
class OccupancyCounts:
    """Confusion counts per scene: sums, so parts counted anywhere merge to the same numbers."""

    options: OccupancyOptions
    scenes: dict[str, ThresholdCounts] = field(default_factory=dict)
    frames: list[FrameScore] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)

    def update(
        self, frame: Frame, counts: ThresholdCounts, saved_threshold: float | None = None
    ) -> None:
        """Adds one frame's counts."""
        zeros = np.zeros_like(counts)
        self.scenes[frame.scene] = self.scenes.get(frame.scene, zeros) + counts
        scores = occupancy_scores(counts[0])
        self.frames.append(
            FrameScore(
                frame.token,
                frame.scene,
                scores.miou_17,
                scores.occupied_iou,
                scores.other_labels,
                saved_threshold,
            )
        )

    def merge(self, other: "OccupancyCounts") -> "OccupancyCounts":
        """Both parts together; neither is changed.

        Raises:
            ValueError: they were counted under different options, or hold a frame in common.
        """
        if other.options != self.options:
            raise ValueError(f"other: expected counts under {self.options}, got {other.options}")
        twice = {f.token for f in self.frames} & {f.token for f in other.frames}
        if twice:
            raise ValueError(f"other: {len(twice)} frames are in both parts, e.g. {min(twice)}")
        scenes = dict(self.scenes)
        for scene, counts in other.scenes.items():
            scenes[scene] = scenes.get(scene, np.zeros_like(counts)) + counts
        return OccupancyCounts(
            self.options, scenes, self.frames + other.frames, self.faults + other.faults
        )

    def total(self) -> ThresholdCounts:
        """Counts over all scenes."""
        zeros = np.zeros((len(self.options.levels), IDS + 1, IDS), dtype=np.int64)
        return sum(self.scenes.values(), zeros)

    def scores(self) -> Mapping[float | None, OccupancyScores]:
        """Scores by threshold; None stands for the semantics as saved."""
        levels = self.options.levels
        return {level: occupancy_scores(c) for level, c in zip(levels, self.total(), strict=True)}

    def level_name(self, level: float | None) -> str:
        """A threshold in words; where semantics count as saved, what they were made with."""
        if level is not None:
            return f"{level:g} /m"
        saved = sorted({f.saved_threshold for f in self.frames if f.saved_threshold is not None})
        known = ", ".join(f"{threshold:g} /m" for threshold in saved)
        return f"as saved ({known or 'not stated'})"

    def worst(self, count: int = 20) -> list[FrameScore]:
        """Frames with the lowest mIoU of their own, worst first, ties by token."""
        return sorted(self.frames, key=lambda f: (f.miou, f.token))[:count]


def frame_counts(
    prediction: Prediction, label: Occ3DLabel, options: OccupancyOptions
) -> ThresholdCounts:
    """Confusion counts of one frame at every threshold."""
    mask = label.mask(options.mask)
    labels = label.semantics
    if mask is not None:  # a few percent of the grid
        prediction, labels = prediction.where(mask), labels[mask]
    return np.stack([occupancy_counts(prediction.at(t), labels) for t in options.levels])


def evaluate_predictions(
    predictions: Path,
    frames: Sequence[Frame],
    label_path: Callable[[Frame], Path],
    options: OccupancyOptions | None = None,
    *,
    tolerate_faults: bool = False,
    workers: int = 2,
    prompts: Prompts | None = None,
    processes: Processes = ALONE,
) -> OccupancyCounts:
    """Counts every frame of a split; what cannot be counted is named.

    Args:
        predictions: Folder of `<token>.npz`; see `predictions.py`.
        frames: The split.
        label_path: Where a frame's Occ3D label lies.
        options: Mask and thresholds.
        tolerate_faults: Give numbers over the frames that can be read; `faults` lists the others.
        workers: Threads; the numbers do not depend on it.
        prompts: Classify predictions that hold density and features instead of `semantics`.
        processes: Each counts a part and returns the whole; all must call this.

    Raises:
        DataError: files are missing or damaged and this is not tolerated, or none is left.
        ConfigError: the thresholds need what the predictions do not hold.
    """
    counts = OccupancyCounts(options or OccupancyOptions())
    if not predictions.is_dir():
        raise DataError(f"{predictions}: expected a folder of <token>.npz predictions, found none")

    def count(frame: Frame) -> tuple[ThresholdCounts, float | None] | Fault:
        return _count_frame(predictions, frame, label_path(frame), counts.options, prompts)

    own = own_part(frames, processes)
    with ThreadPoolExecutor(workers) as pool:
        for frame, result in zip(own, pool.map(count, own), strict=True):
            if isinstance(result, Fault):
                counts.faults.append(result)
            else:
                counts.update(frame, *result)
    counts = merged_over_ranks(counts, processes)
    refuse(counts.faults, len(frames), tolerated=tolerate_faults)
    return counts


def _count_frame(
    folder: Path,
    frame: Frame,
    label_file: Path,
    options: OccupancyOptions,
    prompts: Prompts | None,
) -> tuple[ThresholdCounts, float | None] | Fault:
    """Counts, and the threshold that the saved semantics were made with."""
    path = prediction_path(folder, frame.token)
    if not path.is_file():
        return Fault(frame.token, f"{path}: no prediction for frame {frame.token}")
    try:
        label = read_label(label_file)
        prediction = read_prediction(path, with_density=bool(options.thresholds), prompts=prompts)
    except DataError as error:
        return Fault(frame.token, str(error))
    if prediction.semantics.shape != label.semantics.shape:
        return Fault(
            frame.token,
            f"{path}: semantics: expected {label.semantics.shape} like {label_file}, got "
            f"{prediction.semantics.shape}",
        )
    try:
        return frame_counts(prediction, label, options), prediction.threshold
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None
