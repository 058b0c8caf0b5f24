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

from langocc.evaluate.bootstrap import Interval, bootstrap
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


def miou_interval(counts: OccupancyCounts, classes: int = 17, level: int = 0) -> Interval | None:
    """95 % interval of mIoU (percent) over redrawn scenes."""
    name = {17: "miou_17", 15: "miou_15"}[classes]
    per_scene = [counts.scenes[scene][level] for scene in sorted(counts.scenes)]
    return bootstrap(per_scene, lambda total: getattr(occupancy_scores(total), name))


def rayiou_interval(totals: RayTotals) -> Interval | None:
    """95 % interval of RayIoU (percent) over redrawn scenes."""
    per_scene = [totals.scenes[scene] for scene in sorted(totals.scenes)]
    return bootstrap(per_scene, lambda total: ray_scores(total).rayiou)


def map_interval(result: RetrievalResult, protocol: Protocol, split: str) -> Interval | None:
    """95 % interval of visible mAP (percent) over redrawn scenes."""
    sums: dict[str, np.ndarray] = {}
    for row in result.rows:
        if row.protocol == protocol and row.part in SPLITS[split] and row.visible_positives:
            sums.setdefault(row.scene, np.zeros(2))
            sums[row.scene] += [row.visible_ap, 1]
    return bootstrap(
        [sums[scene] for scene in sorted(sums)], lambda total: float(total[0] / total[1])
    )


def _occupancy(counts: OccupancyCounts) -> dict[str, Any]:
    levels = []
    for index, (threshold, scores) in enumerate(counts.scores().items()):
        levels.append(
            {
                "threshold": counts.level_name(None) if threshold is None else threshold,
                **asdict(scores),
                "class_iou": dict(zip([*OCC3D_CLASSES, "free"], scores.class_iou, strict=True)),
                "miou_17_interval": miou_interval(counts, 17, index),
                "miou_15_interval": miou_interval(counts, 15, index),
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


def _rays(totals: RayTotals) -> dict[str, Any]:
    scores = ray_scores(totals.total())
    return {
        **asdict(scores),
        "thresholds_m": THRESHOLDS_M,
        "depth": "where the ray leaves the first voxel that is not free",
        "class_names": OCC3D_CLASSES,
        "frames": totals.frames,
        "interval": rayiou_interval(totals),
        "faults": totals.faults,
    }


def _retrieval(result: RetrievalResult) -> dict[str, Any]:
    return {
        "protocols": {
            protocol: {
                split: {
                    **asdict(result.split(protocol, split)),
                    "visible_interval": map_interval(result, protocol, split),
                }
                for split in SPLITS
            }
            for protocol in result.protocols()
        },
        "rows": result.rows,
        "faults": result.faults,
    }


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
