# SPDX-License-Identifier: Apache-2.0
"""Pictures of one predicted frame as PNG files in a folder of its own."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, UInt8
from PIL import Image

from langocc.field import VoxelField
from langocc.files import replacing
from langocc.geometry.grid import OCC3D_GRID
from langocc.render.config import RenderConfig
from langocc.scenes.frame import Frame
from langocc.scenes.occ3d import FREE_ID
from langocc.view.depth import check_depth, depth_map, depth_picture, front_camera
from langocc.view.difference import (
    difference,
    difference_bev,
    difference_legend,
    difference_oblique,
)
from langocc.view.feature_voxels import feature_picture
from langocc.view.frame_figures import camera_occupancy, query_figures
from langocc.view.pictures import bev_classes, class_oblique
from langocc.view.rendered_colour import colour_picture
from langocc.view.sheets import beside, class_legend, sheet, stacked

RECORD = "pictures.json"
"""What the pictures of a folder show; written last."""


@dataclass(frozen=True)
class Shown:
    """What is known of a frame.

    Attributes:
        frame: The frame.
        field: What the model says.
        semantics: Predicted Occ3D ids.
        truth: True Occ3D ids; None: there is no label.
        answers: Query -> similarity of each of the field's voxels; NaN where nothing is.
        threshold: Density from which one of the field's voxels is occupied, 1/m.
        seen: Voxels whose truth a camera sees; None: all.
    """

    frame: Frame
    field: VoxelField
    semantics: UInt8[np.ndarray, "x y z"]
    truth: UInt8[np.ndarray, "x y z"] | None
    answers: Mapping[str, Float[np.ndarray, "cell_x cell_y cell_z"]]
    threshold: float
    seen: Bool[np.ndarray, "x y z"] | None = None

    @property
    def difference(self) -> UInt8[np.ndarray, "x y z"] | None:
        """Prediction against truth, as `view.difference` numbers it; None without truth."""
        if self.truth is None:
            return None
        return difference(self.semantics, self.truth, self.seen)


def are_drawn(folder: Path, record: Mapping[str, Any]) -> bool:
    """Whether the folder holds all pictures of this record."""
    try:
        return json.loads((folder / RECORD).read_text()) == record
    except (FileNotFoundError, json.JSONDecodeError):
        return False


def draw_files(
    folder: Path, shown: Shown, config: RenderConfig, record: Mapping[str, Any]
) -> dict[str, str]:
    """Draws cameras.png, occupancy.png, depth.png, features.png, and a picture for each query.

    A field of colours has no features: its picture is colours.png.

    Args:
        folder: Of this frame; pictures of another record are removed.
        shown: What to draw.
        config: How depth is rendered.
        record: What `are_drawn` asks for.

    Returns:
        What was measured on the way, by name.

    Raises:
        DataError: an image or the LiDAR file is missing or damaged.
        OSError: the disk is full or the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for stale in (*folder.glob("*.png"), folder / RECORD):
        stale.unlink(missing_ok=True)
    name = front_camera(shown.frame)
    check = None
    if shown.frame.lidar is not None:
        check = check_depth(shown.field, shown.frame, name, config)
    depth_m = depth_map(shown.field, shown.frame, name, config)
    _save(folder / "depth.png", depth_picture(shown.frame, name, depth_m, check, config.far_m))
    _save(folder / "cameras.png", camera_occupancy(shown.frame, shown.semantics))
    _save(folder / "occupancy.png", occupancy_picture(shown.semantics, shown.truth, shown.seen))
    if shown.field.variant == "rgb":
        _save(folder / "colours.png", colour_picture(shown.field, shown.frame, name, config))
    else:
        _save(folder / "features.png", feature_picture(shown.field, shown.threshold))
    for file, picture in _answers(shown):
        _save(folder / file, picture)
    with replacing(folder / RECORD) as path:
        path.write_text(json.dumps(record, indent=2) + "\n")
    return {} if check is None else {f"depth of {name}": str(check)}


def occupancy_picture(
    semantics: UInt8[np.ndarray, "x y z"],
    truth: UInt8[np.ndarray, "x y z"] | None,
    seen: Bool[np.ndarray, "x y z"] | None = None,
) -> Image.Image:
    """Occupancy in perspective and from above; with truth and difference where there is truth.

    Args:
        semantics: Predicted Occ3D ids.
        truth: True Occ3D ids.
        seen: Voxels that are judged in the difference; None: all.
    """
    size = (950, 600) if truth is None else (800, 505)
    versions = {"predicted": semantics} | ({} if truth is None else {"true": truth})
    sides = {f"{n}, from behind": class_oblique(i, OCC3D_GRID, size) for n, i in versions.items()}
    tops = {f"{n}, from above (ahead is up)": bev_classes(i) for n, i in versions.items()}
    if truth is not None:
        kinds = difference(semantics, truth, seen)
        what = "difference" if seen is None else "difference where a camera sees"
        sides[what] = difference_oblique(kinds, OCC3D_GRID, size)
        tops[f"{what}, from above"] = difference_bev(kinds)
    page = sheet(sides | tops, len(sides) if truth is not None else 2)
    there = np.unique(np.concatenate([ids.ravel() for ids in versions.values()]))
    legends = [class_legend([int(i) for i in there if i != FREE_ID], page.width)]
    if truth is not None:
        legends.append(difference_legend(page.width))
    return stacked([page, *legends])


def _answers(shown: Shown) -> Iterator[tuple[str, Image.Image]]:
    for number, (query, scores) in enumerate(shown.answers.items(), 1):
        figures = query_figures(shown.frame, query, scores, shown.field.grid)
        title = query if len(query) <= 60 else f"{query[:59]}…"
        first, above, cameras = (figure.image for figure in figures)
        answer = sheet({f"“{title}”": stacked([first, cameras])}, 1)
        page = beside([answer, sheet({"from above": above}, 1)])
        yield f"{query_name(number, query)}.png", page


def query_name(number: int, query: str) -> str:
    """File name of an answer without its ending: `query-1-yellow-crane`."""
    slug = re.sub(r"[^a-z0-9]+", "-", query.lower()).strip("-")[:40]
    return f"query-{number}{'-' * bool(slug)}{slug}"


def _save(path: Path, picture: Image.Image) -> None:
    with replacing(path) as temporary:
        picture.save(temporary, "PNG")
