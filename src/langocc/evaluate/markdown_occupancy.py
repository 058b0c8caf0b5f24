# SPDX-License-Identifier: Apache-2.0
"""Occupancy for people: scores with their conventions, what is taken for what, worst frames."""

from collections.abc import Mapping

import numpy as np

from langocc.evaluate.occ3d import OccupancyCounts
from langocc.evaluate.occupancy import IDS
from langocc.evaluate.report import occupancy_intervals
from langocc.evaluate.tables import faults_text, joined, percent, table, with_interval
from langocc.scenes.occ3d import OCC3D_CLASSES

WORST = 10
"""Worst frames listed by name."""

NAMES = (*OCC3D_CLASSES, "free")


def occupancy_text(
    counts: OccupancyCounts, vocabulary: str = "", pictures: Mapping[str, str] | None = None
) -> str:
    """The whole section.

    Args:
        counts: What was counted.
        vocabulary: Name of the classes' prompts.
        pictures: Token of a worst frame -> its picture.
    """
    scores = next(iter(counts.scores().values()))
    other = sum(frame.other_labels > 0 for frame in counts.frames)
    return joined(
        "## Occupancy (Occ3D)",
        _levels(counts),
        f"Mask: {counts.options.mask}. Vocabulary: {vocabulary or 'not stated'}. "
        f"{len(counts.frames)} frames of {len(counts.scenes)} scenes, {scores.voxels} voxels. "
        "Brackets: 95 % over redrawn scenes.",
        f"{scores.other_labels} of these voxels, in {other} frames, carry a label outside 0..17: "
        "left out of the class IoUs, occupied in the binary ones."
        if other
        else "",
        faults_text(counts.faults, "frames"),
        _classes(counts),
        _confusion(counts),
        _worst_frames(counts, pictures or {}),
    )


def _levels(counts: OccupancyCounts) -> str:
    head = ["threshold", "mIoU, 17 classes", "mIoU, 15 classes", "IoU occupied", "IoU free"]
    rows = []
    for level, (threshold, scores) in enumerate(counts.scores().items()):
        intervals = occupancy_intervals(counts, level)
        names = ("miou_17", "miou_15", "occupied_iou", "free_iou")
        cells = (with_interval(getattr(scores, name), intervals[name]) for name in names)
        rows.append([counts.level_name(threshold), *cells])
    return table(head, rows)


def _classes(counts: OccupancyCounts) -> str:
    total, scores = counts.total()[0], next(iter(counts.scores().values()))
    labelled, predicted = total[:IDS].sum(axis=1), total[:IDS].sum(axis=0)
    intervals = occupancy_intervals(counts)["class_iou"]
    rows = []
    for i, name in enumerate(NAMES):
        iou = with_interval(scores.class_iou[i], intervals[i])
        rows.append([i, name, iou, labelled[i], predicted[i], _taken_for(total[i])])
    head = ["id", "class", "IoU", "labelled", "predicted", "taken for"]
    return joined("Per class, first threshold:", table(head, rows))


def _taken_for(row: np.ndarray) -> str:
    """What labelled voxels of a class are predicted as, most often first."""
    order = [i for i in np.argsort(-row, kind="stable")[:3] if row[i]]
    return ", ".join(f"{NAMES[i]} {100 * row[i] / row.sum():.0f} %" for i in order) or "–"


def _confusion(counts: OccupancyCounts) -> str:
    """Where labelled voxels go, percent of each row; the counts are in the JSON."""
    total = counts.total()[0]
    rows = [
        [f"{i} {name}", *(_share(cell, int(total[i].sum())) for cell in total[i].tolist())]
        for i, name in enumerate((*NAMES, "other ids"))
        if total[i].any()
    ]
    head = ["label", *map(str, range(IDS))]
    return joined("Confusion, percent of each label, by predicted id:", table(head, rows))


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.0f}" if part else ""


def _worst_frames(counts: OccupancyCounts, pictures: Mapping[str, str]) -> str:
    rows = [
        [frame.token, frame.scene, percent(frame.miou), percent(frame.occupied_iou)]
        for frame in counts.worst(WORST)
    ]
    text = "Photographs, then the voxels that count, predicted and true:" if pictures else ""
    return joined(
        "Worst frames:",
        table(["token", "scene", "mIoU of its classes", "IoU"], rows),
        text,
        *(f"![{token}]({path})" for token, path in pictures.items()),
    )
