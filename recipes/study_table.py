# SPDX-License-Identifier: Apache-2.0
"""Numbers of a study as a table and a picture; draws all studies of a folder again.

    python recipes/study_table.py OUT

OUT/STUDY.json (of recipes/studies.py) becomes OUT/STUDY.md and, with matplotlib, OUT/STUDY.png.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Scores:
    """Numbers of a run on the split val, percent; None where there is nothing to measure.

    Attributes:
        level: Density from which a voxel is occupied, 1/m: the best IoU on training frames.
        iou_train: That IoU.
        iou: Occupied or free, camera-visible voxels.
        miou_17: Mean over 17 classes.
        miou_15: The same over 15 classes.
        rayiou: RayIoU.
        retrieval: mAP of text queries over LiDAR points.
        retrieval_visible: The same over points that a camera sees.
        depth: Median error of rendered depth, percent of the LiDAR's.
        minutes: Of the training.
        scoring_minutes: Of everything after it.
    """

    level: float
    iou_train: float
    iou: float
    miou_17: float | None
    miou_15: float | None
    rayiou: float | None
    retrieval: float | None
    retrieval_visible: float | None
    depth: float | None
    minutes: float
    scoring_minutes: float


Rows = Mapping[str, Sequence[Scores | None]]
"""Of a study: variant -> a run per seed; None: not finished."""

COLUMNS = {
    "IoU": "iou",
    "mIoU 17": "miou_17",
    "mIoU 15": "miou_15",
    "RayIoU": "rayiou",
    "mAP": "retrieval",
    "visible mAP": "retrieval_visible",
    "depth error": "depth",
}
PANELS = ("IoU", "mIoU 17", "mAP")


def write_study(folder: Path, study: str, rows: Rows) -> str:
    """Writes STUDY.json, STUDY.md and STUDY.png; returns the table."""
    record = {v: [None if run is None else asdict(run) for run in rows[v]] for v in rows}
    (folder / f"{study}.json").write_text(json.dumps(record, indent=2) + "\n")
    text = table(study, rows)
    (folder / f"{study}.md").write_text(text + "\n")
    try:
        draw(folder / f"{study}.png", study, rows)
    except ImportError:
        print(f"no matplotlib: {study}.png is left out (recipes/study_table.py draws it later)")
    return text


def table(study: str, rows: Rows) -> str:
    """Markdown: means over seeds, in brackets the largest distance between two of them."""
    head = [study, "runs", "from 1/m", *COLUMNS, "minutes"]
    lines = [head, ["---"] * len(head)]
    for variant, runs in rows.items():
        done = [run for run in runs if run is not None]
        count = f"{len(done)}" if len(done) == len(runs) else f"{len(done)} of {len(runs)}"
        levels = ", ".join(f"{run.level:g}" for run in done)
        cells = [cell(values(done, name)) for name in COLUMNS]
        minutes = f"{np.mean([run.minutes for run in done]):.1f}" if done else ""
        lines.append([variant, count, levels, *cells, minutes])
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def values(runs: Sequence[Scores], column: str) -> list[float]:
    """What was measured of a column."""
    found: list[Any] = [getattr(run, COLUMNS[column]) for run in runs]
    return [value for value in found if value is not None]


def cell(known: Sequence[float]) -> str:
    """Mean and span of what was measured."""
    if not known:
        return ""
    return f"{np.mean(known):.1f}" + (f" ({np.ptp(known):.1f})" if len(known) > 1 else "")


def draw(path: Path, study: str, rows: Rows) -> None:
    """A panel per number: a bar to the mean of each variant, a dot for each seed.

    Raises:
        ImportError: there is no matplotlib.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 1.1 + 0.42 * len(rows)), layout="constrained")
    FigureCanvasAgg(figure)
    places = np.arange(len(rows))
    for column, axes in zip(PANELS, figure.subplots(1, len(PANELS), sharey=True), strict=True):
        for place, (variant, runs) in enumerate(rows.items()):
            known = values([run for run in runs if run is not None], column)
            colour = "#4a6fa5" if variant == next(iter(rows)) else "#a9bcd6"
            if not known:
                is_open = all(run is None for run in runs)
                axes.text(0, place, " not finished" if is_open else " none", va="center", c="0.5")
                continue
            axes.barh(place, np.mean(known), color=colour, height=0.62)
            axes.plot(known, [place] * len(known), "o", c="#1d2b45", ms=5, mec="white", mew=0.6)
        axes.set_title(f"{column}, %", fontsize=10)
        axes.set_yticks(places, list(rows))
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.set_xlim(left=0)
        axes.locator_params(axis="x", nbins=5)
        axes.tick_params(labelsize=9)
        axes.spines[["top", "right"]].set_visible(False)
    seeds = max(len(runs) for runs in rows.values())
    figure.suptitle(f"{study}: bar = mean, dot = seed ({seeds}); dark = base", fontsize=11)
    figure.savefig(path, dpi=150)


def read_rows(path: Path) -> Rows:
    """The runs of a STUDY.json."""
    record = json.loads(path.read_text())
    return {v: [None if run is None else Scores(**run) for run in record[v]] for v in record}


if __name__ == "__main__":
    place = Path(sys.argv[1])
    for file in sorted(place.glob("*.json")):
        print(write_study(place, file.stem, read_rows(file)), end="\n\n")
