# SPDX-License-Identifier: Apache-2.0
"""One frame as a page of one file: voxels to turn, photographs, and answers to prepared queries.

The page needs no network and no server; its viewer is export_page.js, plain JavaScript and WebGL.
"""

import base64
import html
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, UInt8
from PIL import Image

from langocc.errors import ConfigError
from langocc.evaluate.projected import lidar_points_ego
from langocc.field import VoxelField
from langocc.files import replacing
from langocc.geometry.grid import OCC3D_GRID, VoxelGrid
from langocc.predictor import ClassQueries
from langocc.queries import word_notes
from langocc.scenes.frame import Frame
from langocc.scenes.occ3d import FREE_ID, OCC3D_CLASSES, OCC3D_PALETTE
from langocc.speaking import Speaker
from langocc.view.colours import heat_colours, heat_range
from langocc.view.difference import COLOURS, NAMES, SAME_FREE
from langocc.view.frame_figures import camera_title
from langocc.view.live_frame import MOST_VOXELS, Prediction, prepare
from langocc.view.pictures import class_oblique, eye_of, mark_of_vehicle, photograph
from langocc.view.voxel_faces import open_faces

MOST_BYTES = 5_000_000
"""Size that no page exceeds."""

CODE_BYTES = 60_000
"""Set aside for script, style, legend and the names of queries."""

MOST_POINTS = 30_000
"""LiDAR points of a page; of more, every second, third, ... is kept."""

QUERIES = (
    *("a red car", "a yellow taxi", "a car", "a truck", "a bus", "a van", "a motorcycle"),
    *("a bicycle", "a person", "a construction worker", "a traffic cone", "an excavator"),
    *("a yellow crane", "a barrier", "the road", "a crosswalk", "a sidewalk", "grass", "a tree"),
    *("a hedge", "a house", "an office tower", "a wall", "a fence", "a street sign"),
    *("a traffic light", "a bench"),
)
"""Texts that every page answers; a user's own come first."""


@dataclass(frozen=True)
class Exported:
    """What a page shows.

    Attributes:
        frame: Its photographs are put into the page.
        field: What the model says.
        truth: True Occ3D ids; None: there is no label.
        threshold: Density from which a voxel is occupied, 1/m.
        queries: The user's own texts.
        facts: Name -> value, printed at the foot.
        difference: Prediction against truth, as `view.difference` numbers it; None: no truth.
    """

    frame: Frame
    field: VoxelField
    truth: UInt8[np.ndarray, "x y z"] | None
    threshold: float
    queries: Sequence[str]
    facts: Mapping[str, str]
    difference: UInt8[np.ndarray, "x y z"] | None = None


def write_export(path: Path, shown: Exported, speaker: Speaker, classes: ClassQueries) -> None:
    """Writes the page, at most `MOST_BYTES`; beyond, the densest voxels are shown, and it says so.

    Args:
        path: The file; whole or not there.
        shown: What to show.
        speaker: Answers the queries.
        classes: Prompts of the classes.

    Raises:
        ConfigError: so many queries or cameras that no useful page holds them.
        DataError: an image is missing or damaged.
        OSError: the disk is full or the folder cannot be written.
    """
    page = export_html(shown, speaker, classes)
    if len(page) > MOST_BYTES:
        raise ConfigError(
            f"{path}: expected a page of at most {MOST_BYTES / 1e6:.0f} MB, got "
            f"{len(page) / 1e6:.1f} MB; ask fewer queries"
        )
    with replacing(path) as temporary:
        temporary.write_bytes(page)


def export_html(shown: Exported, speaker: Speaker, classes: ClassQueries) -> bytes:
    """The page in UTF-8.

    Raises:
        DataError: an image is missing or damaged.
    """
    texts = tuple(dict.fromkeys((*shown.queries, *QUERIES)))
    cameras = [_camera(shown.frame, name) for name in shown.frame.cameras]
    fixed_layers, lidar = _fixed_layers(shown), _lidar(shown.frame, shown.field.grid)
    fixed = CODE_BYTES + 200_000 + len(json.dumps([cameras, fixed_layers, lidar]))
    room = (MOST_BYTES - fixed) * 3 // 4  # base64
    most = int(np.clip(room // (5 + len(texts)), 1, MOST_VOXELS))
    prediction = prepare(shown.field, classes, shown.threshold, most)
    data = {
        "layers": {"predicted": _predicted(shown, prediction)} | fixed_layers,
        "lidar": lidar,
        "vehicle": _vehicle(shown.field.grid),
        "queries": _answers(prediction, speaker, texts),
        "cameras": cameras,
        "classes": _legend(zip(OCC3D_CLASSES, OCC3D_PALETTE, strict=True)),
        "heat": heat_colours(np.linspace(0, 1, 256)).tolist(),
        "hidden": prediction.hidden,
        "drawn": _drawn(prediction, shown.field.grid),
    }
    return _page(shown, data).encode()


def _fixed_layers(shown: Exported) -> dict[str, Any]:
    """Truth and difference, as far as they are known."""
    layers = {}
    if shown.truth is not None:
        layers["true"] = _layer(shown.truth != FREE_ID, shown.truth, OCC3D_GRID)
    if shown.difference is not None:
        differs = _layer(shown.difference != SAME_FREE, shown.difference, OCC3D_GRID)
        layers["difference"] = differs | {"classes": _legend(zip(NAMES, COLOURS, strict=True))}
    return layers


def _legend(entries: Iterable[tuple[str, tuple[int, int, int]]]) -> list[dict[str, Any]]:
    return [{"name": name.replace("_", " "), "colour": colour} for name, colour in entries]


def _lidar(frame: Frame, grid: VoxelGrid) -> dict[str, Any] | None:
    """Points of the sweep inside the grid, in steps of a 65535th of its longest side."""
    if frame.lidar is None:
        return None
    points = lidar_points_ego(frame)
    points = points[grid.contains(points)]
    points = points[:: max(-(-len(points) // MOST_POINTS), 1)]
    lower = np.asarray(grid.lower_m)
    step = float((np.asarray(grid.upper_m) - lower).max()) / 65535
    steps = np.round((points - lower) / step).astype("<u2")
    return {
        "points": _base64(steps.tobytes()),
        "count": len(steps),
        "lower": grid.lower_m,
        "step": step,
    }


def _predicted(shown: Exported, prediction: Prediction) -> dict[str, Any]:
    """The voxels of a prediction, in the order of its scores."""
    grid = shown.field.grid
    is_occupied = (shown.field.density[0] >= shown.threshold).cpu().numpy()
    index = prediction.voxels.index[:, 1:].cpu().numpy()
    return _packed(index, prediction.cubes.class_ids, is_occupied, grid)


def _layer(
    is_occupied: Bool[np.ndarray, "x y z"], ids: UInt8[np.ndarray, "x y z"], grid: VoxelGrid
) -> dict[str, Any]:
    """The visible voxels among these."""
    index = np.argwhere(open_faces(is_occupied))
    return _packed(index, ids[tuple(index.T)], is_occupied, grid)


def _packed(
    index: np.ndarray,
    ids: UInt8[np.ndarray, " voxel"],
    is_occupied: Bool[np.ndarray, "x y z"],
    grid: VoxelGrid,
) -> dict[str, Any]:
    if max(grid.shape) > 256:
        raise ValueError(f"grid: expected at most 256 cells along an axis, got {grid.shape}")
    faces = open_faces(is_occupied)[tuple(index.T)]
    rows = np.column_stack([index.astype(np.uint8), faces, ids])
    return {
        "voxels": _base64(rows.tobytes()),
        "count": len(rows),
        "lower": grid.lower_m,
        "cell": grid.edges_m,
    }


def _vehicle(grid: VoxelGrid) -> dict[str, Any]:
    is_there = mark_of_vehicle(grid)
    return _layer(is_there, np.zeros(grid.shape, np.uint8), grid)


def _answers(
    prediction: Prediction, speaker: Speaker, texts: Sequence[str]
) -> list[dict[str, Any]]:
    """For each text one byte a voxel: its heat."""
    scores = prediction.scores(speaker.vectors(texts))
    answers = []
    for text, row in zip(texts, scores, strict=True):
        low, high = heat_range(row)
        heat = np.round(np.clip((row - low) / (high - low), 0, 1) * 255).astype(np.uint8)
        answers.append(
            {
                "text": text,
                "low": round(low, 4),
                "high": round(high, 4),
                "heat": _base64(heat.tobytes()),
                "note": " ".join(word_notes(speaker.teacher, [text])),
            }
        )
    return answers


def _camera(frame: Frame, name: str, width: int = 480) -> dict[str, Any]:
    """A photograph and how points of the key ego frame fall on it."""
    image = photograph(frame.cameras[name], width)
    eye = eye_of(frame, name, width)
    return {
        "name": camera_title(name),
        "image": _picture(image),
        "width": eye.width,
        "height": eye.height,
        "intrinsics": eye.intrinsics.round(6).tolist(),
        "cam_from_ego": eye.cam_from_ego.round(6).tolist(),
    }


def _drawn(prediction: Prediction, grid: VoxelGrid) -> str:
    """What is shown where a browser has no WebGL."""
    ids = np.full(grid.shape, FREE_ID, np.uint8)
    ids[tuple(prediction.voxels.index[:, 1:].cpu().numpy().T)] = prediction.cubes.class_ids
    return _picture(class_oblique(ids, grid, (960, 600)))


def _picture(image: Image.Image) -> str:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=82)
    return f"data:image/jpeg;base64,{_base64(buffer.getvalue())}"


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _page(shown: Exported, data: Mapping[str, Any]) -> str:
    folder = Path(__file__).parent
    parts = {
        "title": html.escape(f"{shown.frame.scene} · {shown.frame.token[:8]}"),
        "facts": "".join(
            f"<dt>{html.escape(name)}</dt><dd>{html.escape(value)}</dd>"
            for name, value in shown.facts.items()
        ),
        "style": (folder / "export_page.css").read_text(encoding="utf-8"),
        "script": (folder / "export_page.js").read_text(encoding="utf-8"),
        "data": json.dumps(data, separators=(",", ":")).replace("<", "\\u003c"),
    }
    page = (folder / "export_page.html").read_text(encoding="utf-8")
    for name, text in parts.items():  # data last: nothing in it is a place to fill
        page = page.replace(f"<!-- {name} -->", text)
    return page
