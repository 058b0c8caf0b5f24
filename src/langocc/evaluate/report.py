# SPDX-License-Identifier: Apache-2.0
"""A report of everything that was evaluated, as JSON types: numbers, and where they come from.

`markdown.py` tells the same to people; `report_files.py` writes both.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np

from langocc.evaluate.bootstrap import bootstrap
from langocc.evaluate.occ3d import OccupancyCounts
from langocc.evaluate.occupancy import occupancy_scores
from langocc.evaluate.origin import Provenance
from langocc.evaluate.rayiou import THRESHOLDS_M, RayTotals, ray_scores
from langocc.evaluate.render import RenderScores
from langocc.evaluate.retrieval import SPLITS, Protocol, RetrievalResult
from langocc.provenance import software
from langocc.scenes.occ3d import OCC3D_CLASSES


@dataclass(frozen=True)
class Report:
    """Everything evaluated on one split; None where it was not."""

    provenance: Provenance
    split: str
    occupancy: OccupancyCounts | None = None
    rays: RayTotals | None = None
    retrieval: RetrievalResult | None = None
    rendering: RenderScores | None = None
    pictures: Mapping[str, str] = field(default_factory=dict)
    """Token of a worst frame -> its picture, a path relative to the report."""
    beside: Sequence["Report"] = ()
    """Other predictions, evaluated alike."""

    def to_json(self) -> dict[str, Any]:
        """JSON types only; NaN is null."""
        parts = {
            "provenance": {**asdict(self.provenance), "software": software()},
            "split": self.split,
            "occupancy": self.occupancy and _occupancy(self.occupancy),
            "rayiou": self.rays and _rays(self.rays),
            "retrieval": self.retrieval and _retrieval(self.retrieval),
            "rendering": self.rendering,
            "pictures": self.pictures or None,
            "beside": [other.to_json() for other in self.beside] or None,
        }
        return _plain({name: part for name, part in parts.items() if part is not None})


Intervals = Mapping[str, Any]
"""95 % over redrawn scenes, by the name of the score; None where nothing can be said."""


def occupancy_intervals(counts: OccupancyCounts, level: int = 0) -> Intervals:
    """Of mIoU, binary IoU and the IoU of each class at a threshold, percent."""

    def numbers(total: np.ndarray) -> list[float]:
        s = occupancy_scores(total)
        return [s.miou_17, s.miou_15, s.occupied_iou, s.free_iou, *s.class_iou]

    per_scene = [counts.scenes[scene][level] for scene in sorted(counts.scenes)]
    names = ("miou_17", "miou_15", "occupied_iou", "free_iou")
    found = bootstrap(per_scene, numbers)
    return dict(zip(names, found, strict=False)) | {"class_iou": found[len(names) :]}


def rayiou_intervals(totals: RayTotals) -> Intervals:
    """Of RayIoU and of its mean over classes at each threshold, percent."""

    def numbers(total: np.ndarray) -> list[float]:
        scores = ray_scores(total)
        return [scores.rayiou, *scores.at]

    rayiou, *at = bootstrap([totals.scenes[scene] for scene in sorted(totals.scenes)], numbers)
    return {"rayiou": rayiou, "at": at}


def retrieval_intervals(
    result: RetrievalResult, protocol: Protocol, split: str, kind: str = ""
) -> Intervals:
    """Of mAP and visible mAP of a split, of every kind of text or of one, percent."""
    sums: dict[str, np.ndarray] = {}
    for row in result.rows_of(protocol, split, kind):
        pair = np.nan_to_num([row.ap, row.visible_ap])
        counts = [row.positives > 0, row.visible_positives > 0]
        sums[row.scene] = sums.get(row.scene, np.zeros(4)) + np.array([*pair, *counts])

    def numbers(total: np.ndarray) -> list[float]:
        return [total[i] / total[2 + i] if total[2 + i] else math.nan for i in range(2)]

    found = bootstrap([sums[scene] for scene in sorted(sums)], numbers) or [None, None]
    return dict(zip(("map", "visible_map"), found, strict=True))


def _occupancy(counts: OccupancyCounts) -> dict[str, Any]:
    levels = []
    for index, (threshold, scores) in enumerate(counts.scores().items()):
        levels.append(
            {
                "threshold": counts.level_name(None) if threshold is None else threshold,
                **asdict(scores),
                "class_iou": dict(zip([*OCC3D_CLASSES, "free"], scores.class_iou, strict=True)),
                "intervals": _by_class(occupancy_intervals(counts, index)),
                "confusion": counts.total()[index],
            }
        )
    return {
        "mask": counts.options.mask,
        "frames": len(counts.frames),
        "scenes": len(counts.scenes),
        "confusion_axes": "rows: label id, last row other ids; columns: predicted id",
        "levels": levels,
        "worst_frames": counts.worst(),
        "frames_with_other_labels": {
            frame.token: frame.other_labels for frame in counts.frames if frame.other_labels
        },
        "faults": counts.faults,
    }


def _by_class(intervals: Intervals) -> Intervals:
    """The classes' intervals under their names."""
    names = [*OCC3D_CLASSES, "free"]
    return {**intervals, "class_iou": dict(zip(names, intervals["class_iou"], strict=True))}


def _rays(totals: RayTotals) -> dict[str, Any]:
    scores = ray_scores(totals.total())
    return {
        **asdict(scores),
        "thresholds_m": THRESHOLDS_M,
        "depth": "where the ray leaves the first voxel that is not free",
        "class_names": OCC3D_CLASSES,
        "frames": totals.frames,
        "frames_with_other_labels": totals.other_labels,
        "intervals": rayiou_intervals(totals),
        "faults": totals.faults,
    }


def _retrieval(result: RetrievalResult) -> dict[str, Any]:
    def scores(protocol: Protocol, split: str, kind: str = "") -> dict[str, Any]:
        intervals = retrieval_intervals(result, protocol, split, kind)
        return {**asdict(result.split(protocol, split, kind)), "intervals": intervals}

    protocols, kinds = result.protocols(), result.kinds()
    content: dict[str, Any] = {
        "protocols": {p: {split: scores(p, split) for split in SPLITS} for p in protocols}
    }
    if kinds:
        content["kinds"] = {
            p: {split: {kind: scores(p, split, kind) for kind in kinds} for split in SPLITS}
            for p in protocols
        }
    unsaid = () if kinds else ("kind",)
    rows = [{k: v for k, v in asdict(row).items() if k not in unsaid} for row in result.rows]
    return content | {"rows": rows, "faults": result.faults}


def _plain(value: Any) -> Any:  # noqa: ANN401  # walks JSON-like values of any kind
    if is_dataclass(value) and not isinstance(value, type):
        value = asdict(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist())
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return str(value) if isinstance(value, Path) else value
