# SPDX-License-Identifier: Apache-2.0
"""Figures of one frame for the report page: photographs, occupancy, answers to text, features."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

from langocc.features.sources import project, strictly_inside
from langocc.geometry.grid import OCC3D_GRID, VoxelGrid
from langocc.geometry.rigid import transform_points
from langocc.scenes.frame import Frame
from langocc.scenes.occ3d import FREE_ID
from langocc.view.colours import class_colours, feature_colours, heat_range
from langocc.view.page import Figure
from langocc.view.pictures import (
    bev_classes,
    bev_heat,
    camera_heat,
    camera_voxels,
    class_oblique,
    heat_oblique,
    photograph,
)
from langocc.view.sheets import class_legend, heat_legend, sheet, stacked


def camera_title(name: str) -> str:
    """`CAM_FRONT_LEFT` -> `front left`."""
    return name.removeprefix("CAM_").replace("_", " ").lower()


def photographs(frame: Frame, width: int = 560, columns: int = 3) -> Image.Image:
    """All cameras of a frame.

    Raises:
        DataError: an image is missing or damaged.
    """
    views = {camera_title(n): photograph(c, width) for n, c in frame.cameras.items()}
    return sheet(views, columns)


def occupancy_figures(
    prediction: UInt8[np.ndarray, "x y z"],
    truth: UInt8[np.ndarray, "x y z"],
    grid: VoxelGrid = OCC3D_GRID,
) -> list[Figure]:
    """Prediction beside truth, in perspective and from above, under one legend.

    Args:
        prediction: Occ3D ids.
        truth: Occ3D ids.
        grid: The grid of both.
    """
    ids = sorted((set(np.unique(prediction)) | set(np.unique(truth))) - {FREE_ID})
    pairs = {"Predicted": prediction, "True": truth}
    figures = [
        Figure(f"{name} occupancy", class_oblique(semantics, grid))
        for name, semantics in pairs.items()
    ]
    scale = max(1, 600 // grid.shape[1])
    tiles = {f"{name}, from above": bev_classes(s, grid, scale) for name, s in pairs.items()}
    page = sheet(tiles, 2)
    legend = class_legend([int(i) for i in ids], page.width)
    caption = "Ahead is up; rings every 10 m."
    both = stacked([page, legend])
    return [*figures, Figure("From above", both, caption, is_drawing=True, is_wide=True)]


def camera_occupancy(
    frame: Frame,
    semantics: UInt8[np.ndarray, "x y z"],
    grid: VoxelGrid = OCC3D_GRID,
    columns: int = 3,
) -> Image.Image:
    """Occupied voxels over all photographs, with a legend.

    Raises:
        DataError: an image is missing or damaged.
    """
    shown, colours = semantics != FREE_ID, class_colours(semantics)
    tiles = {
        camera_title(name): camera_voxels(frame, name, shown, colours, grid, 560)
        for name in frame.cameras
    }
    page = sheet(tiles, columns)
    ids = [int(i) for i in np.unique(semantics) if i != FREE_ID]
    return stacked([page, class_legend(ids, page.width)])


def query_figures(
    frame: Frame,
    query: str,
    scores: Float[np.ndarray, "x y z"],
    grid: VoxelGrid = OCC3D_GRID,
    cameras: int = 2,
) -> list[Figure]:
    """Answer to one text: in perspective, from above, and in the cameras that see it best.

    Args:
        frame: The frame.
        query: The text.
        scores: Similarity of each voxel to it; NaN where nothing is.
        grid: The grid.
        cameras: Photographs shown.

    Raises:
        DataError: an image is missing or damaged.
    """
    low, high = heat_range(scores.ravel())
    values = np.clip((scores - low) / (high - low), 0, 1)
    hottest = sorted(frame.cameras, key=lambda name: -_seen_heat(frame, name, values, grid))
    tiles = {
        camera_title(name): camera_heat(frame, name, values, grid, 560)
        for name in hottest[:cameras]
    }
    heat = bev_heat(values, grid, max(1, 600 // grid.shape[1]))
    above = stacked([heat, heat_legend("unlike", "like", heat.width)])
    quoted = f"“{query}”"
    return [
        Figure(quoted, heat_oblique(values, grid)),
        Figure(f"{quoted} from above", above, is_drawing=True),
        Figure(f"{quoted} in the cameras", sheet(tiles, cameras), is_wide=True),
    ]


def feature_views(
    maps: Mapping[str, Mapping[str, Float[np.ndarray, "height width channel"]]],
    width: int = 560,
) -> Image.Image:
    """Feature maps as colours that mean the same in every picture.

    Args:
        maps: Title of a row ("teacher", "rendered") -> camera title -> features; an all-zero
            feature is white.
        width: Of each picture, pixels.
    """
    arrays = {(r, c): f for r, row in maps.items() for c, f in row.items()}
    flat = [f.reshape(-1, f.shape[-1]) for f in arrays.values()]
    painted = feature_colours(flat, [np.asarray(f.any(axis=1)) for f in flat])
    tiles = {}
    for (row, camera), array, colours in zip(arrays, arrays.values(), painted, strict=True):
        image = Image.fromarray(colours.reshape(*array.shape[:2], 3))
        height = round(width * array.shape[0] / array.shape[1])
        tiles[f"{camera}, {row}"] = image.resize((width, height), Image.Resampling.BILINEAR)
    return sheet(tiles, max(len(row) for row in maps.values()))


def _seen_heat(
    frame: Frame, name: str, values: Float[np.ndarray, "x y z"], grid: VoxelGrid
) -> float:
    """How much of the hot half of the voxels a camera has in its picture, near ones first."""
    hot = np.nan_to_num(values) > 0.5
    points = transform_points(frame.global_from_ego, grid.centres_m()[hot])
    row_col, depths_m = project(points, frame.cameras[name])
    inside = (depths_m > 1.0) & strictly_inside(row_col, frame.cameras[name])
    return float((values[hot][inside] / depths_m[inside]).sum())
