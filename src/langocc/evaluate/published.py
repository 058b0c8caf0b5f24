# SPDX-License-Identifier: Apache-2.0
"""Published numbers to stand beside ours, each with its source and its number of classes."""

from dataclasses import dataclass
from pathlib import Path

import msgspec


@dataclass(frozen=True)
class PublishedRow:
    """One published result on Occ3D-nuScenes validation, camera mask; percent.

    Attributes:
        method: Name.
        year: Of publication.
        supervision: What it learns from.
        input: Backbone and image size.
        grade: A the paper's abstract, C official code, P a quoted sentence of the paper, N
            third-party notes.
        source: Where it comes from, and what else to know.
        miou: Mean IoU.
        classes: Classes `miou` is averaged over; None where the source does not say.
        rayiou: RayIoU.
        iou: IoU of "not free".
        map_all: Retrieval mAP over all points.
        map_visible: Retrieval mAP over points that a camera sees.
    """

    method: str
    year: int
    supervision: str
    input: str
    grade: str
    source: str
    miou: float | None = None
    classes: int | None = None
    rayiou: float | None = None
    iou: float | None = None
    map_all: float | None = None
    map_visible: float | None = None


@dataclass(frozen=True)
class _Table:
    note: str
    rows: tuple[PublishedRow, ...]


def published_rows() -> tuple[PublishedRow, ...]:
    """The rows of `published.json`."""
    content = (Path(__file__).parent / "published.json").read_bytes()
    return msgspec.json.decode(content, type=_Table).rows
