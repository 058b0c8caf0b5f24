# SPDX-License-Identifier: Apache-2.0
"""Open-vocabulary retrieval: do the points most similar to a query carry its label?

Two published protocols on the same benchmark, by name:

    langocc  points inside the grid, cosine, a visible point counted once
    pop3d    every point (outside the grid: the nearest place in it), raw dot product, visible
             points counted once per camera that sees them

Average precision per row as scikit-learn defines it, mAP its mean over rows. A row without a
positive point has no average precision: it is NaN, reported, and left out of the mean; scikit-learn
would call it 0, and the mean with these zeros is given beside it.

Source: method.md section 8; formats.md section 4.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Float64, Int64
from sklearn.metrics import average_precision_score

from langocc.errors import DataError
from langocc.evaluate.benchmark import RetrievalRow, read_annotation, read_visible
from langocc.evaluate.faults import Fault, refuse
from langocc.evaluate.predictions import prediction_path, read_point_features
from langocc.evaluate.projected import lidar_points_ego
from langocc.evaluate.ranks import ALONE, merged_over_ranks, own_part
from langocc.geometry.grid import OCC3D_GRID, VoxelGrid
from langocc.scenes.frame import Frame
from langocc.train.processes import Processes

Protocol = Literal["langocc", "pop3d"]

SPLITS: Mapping[str, tuple[str, ...]] = {
    "all": ("train", "val", "test"),
    "train": ("train",),
    "val": ("val",),
    "test": ("test",),
    "val+test": ("val", "test"),
}
"""What means are given over; POP-3D's own numbers are val+test."""


@dataclass(frozen=True)
class RowScore:
    """One query on one frame; average precisions in percent, NaN without a positive.

    `kind` says what kind of text the query is; empty where the benchmark names no kinds.
    """

    protocol: Protocol
    part: str
    scene: str
    token: str
    query: str
    points: int
    positives: int
    ap: float
    visible_points: int
    visible_positives: int
    visible_ap: float
    kind: str = ""


@dataclass(frozen=True)
class SplitScore:
    """Means over the rows of a split, or of one kind of text in it, percent.

    Attributes:
        rows: Rows scored.
        empty: Of these, rows without a positive point; not in `map`.
        map: Mean average precision over all scored points.
        map_empty_as_zero: The same with empty rows as 0.
        visible_empty: Rows without a positive point that a camera sees; not in `visible_map`.
        visible_map: Mean average precision over points that a camera sees.
        visible_map_empty_as_zero: The same with empty rows as 0.
    """

    rows: int
    empty: int
    map: float
    map_empty_as_zero: float
    visible_empty: int
    visible_map: float
    visible_map_empty_as_zero: float


@dataclass(frozen=True)
class RetrievalResult:
    """Scores of all rows, and what could not be scored."""

    rows: Sequence[RowScore]
    faults: Sequence[Fault] = field(default=())

    def protocols(self) -> list[Protocol]:
        """What was scored, in order of name."""
        return sorted({row.protocol for row in self.rows})

    def merge(self, other: "RetrievalResult") -> "RetrievalResult":
        """Both parts together; neither is changed."""
        return RetrievalResult([*self.rows, *other.rows], [*self.faults, *other.faults])

    def kinds(self) -> list[str]:
        """Kinds of text, in order of name; none where the benchmark names none."""
        return sorted({row.kind for row in self.rows if row.kind})

    def rows_of(self, protocol: Protocol, split: str, kind: str = "") -> list[RowScore]:
        """The rows of a split of `SPLITS`, of every kind of text or of one."""
        return [
            row
            for row in self.rows
            if row.protocol == protocol and row.part in SPLITS[split] and kind in ("", row.kind)
        ]

    def split(self, protocol: Protocol, split: str, kind: str = "") -> SplitScore:
        """Means over a split of `SPLITS`, of every kind of text or of one; NaN without a row."""
        rows = self.rows_of(protocol, split, kind)
        ap = np.array([row.ap for row in rows])
        visible = np.array([row.visible_ap for row in rows])
        return SplitScore(len(rows), *_means(ap), *_means(visible))


def point_scores(
    features: Float[np.ndarray, "point channel"],
    query: Float[np.ndarray, " channel"],
    protocol: Protocol,
) -> Float64[np.ndarray, " point"]:
    """How well each point answers: (cosine + 1) / 2 (langocc) or the dot product (pop3d).

    An all-zero feature is no answer: it scores below every other point.
    """
    features = features.astype(np.float32)
    dots = (features @ query.astype(np.float32)).astype(np.float64)
    norms = np.linalg.norm(features, axis=1).astype(np.float64)
    silent = norms == 0
    if protocol == "langocc":
        norms[silent] = 1.0
        dots = (dots / (norms * np.linalg.norm(query)) + 1.0) / 2.0
    if silent.any():
        dots[silent] = dots.min() - 1.0
    return dots


def score_row(
    scores: Float64[np.ndarray, " point"],
    labels: Bool[np.ndarray, " point"],
    visible: Int64[np.ndarray, " seen"],
    is_inside: Bool[np.ndarray, " point"],
    protocol: Protocol,
) -> tuple[int, int, float, int, int, float]:
    """Points, positives and average precision (percent): of all points, then of visible ones."""
    everything = np.arange(len(scores))
    if protocol == "langocc":
        everything = everything[is_inside]
        visible = np.unique(visible)
        visible = visible[is_inside[visible]]
    return (
        *_average_precision(scores[everything], labels[everything]),
        *_average_precision(scores[visible], labels[visible]),
    )


def evaluate_retrieval(
    predictions: Path | Mapping[str, Path],
    rows: Sequence[RetrievalRow],
    frame_of: Callable[[str], Frame],
    query_vectors: Mapping[str, Float[np.ndarray, " channel"]],
    protocols: Sequence[Protocol] = ("langocc", "pop3d"),
    *,
    grid: VoxelGrid = OCC3D_GRID,
    tolerate_faults: bool = False,
    processes: Processes = ALONE,
) -> RetrievalResult:
    """Scores saved point features on the rows of the benchmark.

    Args:
        predictions: Folder of `<token>.npz` with `point_features`, one for all or for each part.
        rows: The benchmark, or a part of it.
        frame_of: Frame of a token; raises DataError where there is none.
        query_vectors: Text vector of every query, in the space of the features.
        protocols: Which to score.
        grid: The box that protocol `langocc` keeps points of.
        tolerate_faults: Score what can be scored; `faults` lists the rest.
        processes: Each scores a part and returns the whole; all must call this.

    Raises:
        DataError: rows cannot be scored and this is not tolerated, or none can.
    """
    scores: list[RowScore] = []
    faults: list[Fault] = []
    for row in own_part(rows, processes):
        try:
            frame = frame_of(row.token)
            folder = predictions if isinstance(predictions, Path) else predictions[row.part]
            arrays = _row_arrays(folder, row, frame, query_vectors[row.query], grid)
        except DataError as error:
            faults.append(Fault(f"{row.token} {row.query!r}", str(error)))
            continue
        features, labels, visible, is_inside = arrays
        for protocol in protocols:
            answers = point_scores(features, query_vectors[row.query], protocol)
            numbers = score_row(answers, labels, visible, is_inside, protocol)
            name = protocol, row.part, frame.scene, row.token, row.query
            scores.append(RowScore(*name, *numbers, row.kind))
    result = merged_over_ranks(RetrievalResult(scores, faults), processes)
    refuse(result.faults, len(rows), tolerated=tolerate_faults)
    return result


def _row_arrays(
    predictions: Path, row: RetrievalRow, frame: Frame, query: np.ndarray, grid: VoxelGrid
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    points = lidar_points_ego(frame)
    path = prediction_path(predictions, row.token)
    features = read_point_features(path, points, grid)
    if features.shape[1] != len(query):
        raise DataError(
            f"{path}: point_features: expected {len(query)} channels like the queries, got "
            f"{features.shape[1]}"
        )
    labels = read_annotation(row.annotation_path, len(points))
    visible = read_visible(row.visible_path, len(points))
    return features, labels, visible, grid.contains(points)


def _average_precision(scores: np.ndarray, labels: np.ndarray) -> tuple[int, int, float]:
    positives = int(labels.sum())
    if not positives:
        return len(labels), 0, float("nan")
    return len(labels), positives, 100.0 * float(average_precision_score(labels, scores))


def _means(ap: Float64[np.ndarray, " row"]) -> tuple[int, float, float]:
    """Empty rows, mean without them, mean with them as 0."""
    empty = np.isnan(ap)
    mean = float(ap[~empty].mean()) if (~empty).any() else float("nan")
    return int(empty.sum()), mean, float(np.nan_to_num(ap).mean()) if len(ap) else float("nan")
