# SPDX-License-Identifier: Apache-2.0
"""Occ3D's mIoU: one confusion matrix over the split, IoU per class, mean over classes 0..16.

Counts are integers that add up, so any division of a split into parts gives the same numbers.
A mean of per-frame IoUs is another, wrong quantity; this module never forms it.

Source: method.md section 8; formats.md section 3.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int64, UInt8

from langocc.scenes.occ3d import FREE_ID, OCC3D_CLASSES

IDS = FREE_ID + 1
"""Ids a prediction may hold: 17 classes and free."""

OTHER_ROW = IDS
"""Row of voxels whose label is none of these ids (255 marks "ignore" in some label files)."""

CLASSES_17 = tuple(range(len(OCC3D_CLASSES)))
CLASSES_15 = tuple(
    index for index, name in enumerate(OCC3D_CLASSES) if name not in ("others", "other_flat")
)
"""The two averages the literature mixes; they differ by up to a factor 17/15."""

Counts = Int64[np.ndarray, "19 18"]
"""Voxels by [label id, predicted id]; row 18 counts labels outside 0..17."""


@dataclass(frozen=True)
class OccupancyScores:
    """What a confusion matrix says, in percent; NaN where neither label nor prediction has a class.

    Attributes:
        miou_17: Mean over classes 0..16.
        miou_15: Mean without `others` and `other_flat`.
        class_iou: IoU of the ids 0..17.
        occupied_iou: IoU of "not free", the field's "IoU".
        free_iou: IoU of free space.
        voxels: Voxels counted.
        other_labels: Of these, voxels labelled outside 0..17. They are left out of the class IoUs
            and count as occupied in the binary ones, as in the published metric.
    """

    miou_17: float
    miou_15: float
    class_iou: tuple[float, ...]
    occupied_iou: float
    free_iou: float
    voxels: int
    other_labels: int


def occupancy_counts(
    semantics: UInt8[np.ndarray, "*grid"],
    labels: UInt8[np.ndarray, "*grid"],
    mask: Bool[np.ndarray, "*grid"] | None = None,
) -> Counts:
    """Confusion counts of one grid.

    Args:
        semantics: Predicted Occ3D ids.
        labels: Labelled Occ3D ids.
        mask: Voxels that count; None counts all.

    Raises:
        ValueError: shapes differ, or a predicted id is above 17.
    """
    _validate(semantics, labels, mask)
    if mask is not None:
        semantics, labels = semantics[mask], labels[mask]
    return _update(semantics.ravel(), labels.ravel())


def occupancy_scores(counts: Counts) -> OccupancyScores:
    """Scores of counts, whatever number of frames they were summed over."""
    class_iou = 100.0 * _class_iou(counts[:IDS])
    binary = _binary_counts(counts)
    occupied_iou, free_iou = 100.0 * _class_iou(binary)
    return OccupancyScores(
        miou_17=_nan_mean(class_iou[list(CLASSES_17)]),
        miou_15=_nan_mean(class_iou[list(CLASSES_15)]),
        class_iou=tuple(class_iou.tolist()),
        occupied_iou=float(occupied_iou),
        free_iou=float(free_iou),
        voxels=int(counts.sum()),
        other_labels=int(counts[OTHER_ROW].sum()),
    )


def semantics_at(
    threshold: float,
    classes: UInt8[np.ndarray, "*grid"],
    density: np.ndarray,
) -> UInt8[np.ndarray, "*grid"]:
    """Ids with everything less dense than a threshold (1/m) set to free."""
    return np.where(density < threshold, np.uint8(FREE_ID), classes)


def _validate(semantics: np.ndarray, labels: np.ndarray, mask: np.ndarray | None) -> None:
    shapes = {"labels": labels.shape} | ({} if mask is None else {"mask": mask.shape})
    for name, shape in shapes.items():
        if shape != semantics.shape:
            raise ValueError(f"{name}: expected the shape {semantics.shape}, got {shape}")
    if semantics.size and semantics.max() > FREE_ID:
        raise ValueError(f"semantics: expected ids 0..{FREE_ID}, got {int(semantics.max())}")


def _update(semantics: UInt8[np.ndarray, " voxel"], labels: UInt8[np.ndarray, " voxel"]) -> Counts:
    rows = np.minimum(labels, np.uint8(OTHER_ROW)).astype(np.int16)
    cells = np.bincount(rows * np.int16(IDS) + semantics, minlength=(IDS + 1) * IDS)
    return cells.astype(np.int64).reshape(IDS + 1, IDS)


def _class_iou(matrix: Int64[np.ndarray, "id id"]) -> Float64[np.ndarray, " id"]:
    hits = np.diagonal(matrix)
    union = matrix.sum(0) + matrix.sum(1) - hits
    return np.divide(hits, union, out=np.full(len(hits), np.nan), where=union > 0)


def _binary_counts(counts: Counts) -> Int64[np.ndarray, "2 2"]:
    """[[occupied as occupied, as free], [free as occupied, as free]]."""
    is_free = np.arange(IDS + 1) == FREE_ID
    rows = np.stack([counts[~is_free].sum(0), counts[is_free].sum(0)])
    return np.stack([rows[:, :FREE_ID].sum(1), rows[:, FREE_ID]], axis=1)


def _nan_mean(values: Float64[np.ndarray, " n"] | Sequence[float]) -> float:
    """Mean of what is not NaN; NaN, without a warning, where nothing is."""
    known = np.asarray(values)[~np.isnan(values)]
    return float(known.mean()) if known.size else float("nan")
