# SPDX-License-Identifier: Apache-2.0
"""Pictures without a display: bird's-eye views, voxels in perspective, voxels over photographs."""

import numpy as np
from jaxtyping import Bool, Float, UInt8
from PIL import Image, ImageDraw

from langocc.geometry.grid import OCC3D_GRID, VoxelGrid
from langocc.geometry.rigid import invert_rigid
from langocc.scenes.frame import Camera, Frame
from langocc.scenes.images import read_image
from langocc.scenes.occ3d import FREE_ID
from langocc.view.colours import class_colours, heat_colours
from langocc.view.faces import Eye, draw_voxels, look_at

PAPER = (250, 250, 248)
"""Background of everything that is not a photograph."""

INK = (38, 40, 46)


def bev_classes(
    semantics: UInt8[np.ndarray, "x y z"], grid: VoxelGrid = OCC3D_GRID, scale: int = 3
) -> Image.Image:
    """From above, ahead is up: the topmost class of each column, lighter the higher it stands.

    Args:
        semantics: Occ3D ids.
        grid: The grid.
        scale: Pixels per cell.
    """
    return bev_colours(semantics != FREE_ID, class_colours(semantics), grid, scale)


def bev_colours(
    is_shown: Bool[np.ndarray, "x y z"],
    colours: UInt8[np.ndarray, "x y z 3"],
    grid: VoxelGrid = OCC3D_GRID,
    scale: int = 3,
) -> Image.Image:
    """From above, ahead is up: the topmost shown voxel of each column, lighter the higher."""
    top, any_shown = _top(is_shown)
    seen = np.take_along_axis(colours, top[..., None, None], axis=2)[:, :, 0]
    relief = 0.86 + 0.14 * top / max(is_shown.shape[2] - 1, 1)
    flat = (seen * relief[..., None]).astype(np.uint8)
    flat[~any_shown] = PAPER
    return _bev_image(flat, grid, scale)


def bev_heat(
    scores: Float[np.ndarray, "x y z"], grid: VoxelGrid = OCC3D_GRID, scale: int = 3
) -> Image.Image:
    """From above, ahead is up: the best score of a column, in [0, 1]; NaN where none is."""
    known = np.isfinite(scores)
    best = np.where(known, scores, -np.inf).max(axis=2)
    colours = heat_colours(np.where(np.isfinite(best), best, 0.0))
    colours[~known.any(axis=2)] = PAPER
    return _bev_image(colours, grid, scale)


def oblique(
    is_shown: Bool[np.ndarray, "x y z"],
    colours: UInt8[np.ndarray, "x y z 3"],
    grid: VoxelGrid = OCC3D_GRID,
    size: tuple[int, int] = (1200, 760),
    eye: Eye | None = None,
) -> Image.Image:
    """Coloured cubes from above and behind, with the vehicle's own place marked.

    Args:
        is_shown: Voxels to draw.
        colours: Their colours.
        grid: The grid.
        size: Width and height, pixels.
        eye: Another place to look from, of the same size.
    """
    if eye is None:
        reach = grid.upper_m[0]
        place = (-1.3 * reach, 0.42 * reach, 1.15 * reach)
        eye = look_at(place, (-0.08 * reach, 0.04 * reach, -1.0), size, 56.0)
    shown, colours = is_shown.copy(), colours.copy()
    _mark_vehicle(shown, colours, grid)
    return draw_voxels(_sky(size), eye, grid, shown, colours)


def class_oblique(
    semantics: UInt8[np.ndarray, "x y z"],
    grid: VoxelGrid = OCC3D_GRID,
    size: tuple[int, int] = (1200, 760),
) -> Image.Image:
    """`oblique` of Occ3D ids."""
    return oblique(semantics != FREE_ID, class_colours(semantics), grid, size)


def heat_oblique(
    scores: Float[np.ndarray, "x y z"],
    grid: VoxelGrid = OCC3D_GRID,
    size: tuple[int, int] = (1200, 760),
) -> Image.Image:
    """`oblique` of scores in [0, 1]; NaN is not drawn."""
    return oblique(np.isfinite(scores), heat_colours(scores), grid, size)


def photograph(camera: Camera, width: int = 640) -> Image.Image:
    """A camera's image, shrunk.

    Raises:
        DataError: the image is missing or damaged.
    """
    image = Image.fromarray(read_image(camera.image_path, (camera.width, camera.height)))
    return image.resize((width, round(camera.height * width / camera.width)))


def camera_voxels(
    frame: Frame,
    name: str,
    is_shown: Bool[np.ndarray, "x y z"],
    colours: UInt8[np.ndarray, "x y z 3"],
    grid: VoxelGrid = OCC3D_GRID,
    width: int = 640,
    alpha: int = 135,
    max_distance_m: float = 50.0,
) -> Image.Image:
    """Voxels over a photograph, as the camera sees them.

    Raises:
        DataError: the image is missing or damaged.
    """
    image, eye = _camera_eye(frame, name, width)
    return draw_voxels(image, eye, grid, is_shown, colours, alpha, max_distance_m=max_distance_m)


def camera_heat(
    frame: Frame,
    name: str,
    scores: Float[np.ndarray, "x y z"],
    grid: VoxelGrid = OCC3D_GRID,
    width: int = 640,
) -> Image.Image:
    """Scores of voxels in [0, 1] over a photograph; NaN is empty space, 0 leaves the photograph.

    Raises:
        DataError: the image is missing or damaged.
    """
    image, eye = _camera_eye(frame, name, width)
    values = np.round(np.clip(np.nan_to_num(scores), 0, 1) * 255).astype(np.uint8)
    grey = np.repeat(values[..., None], 3, axis=-1)
    black = Image.new("RGB", image.size)
    drawn = draw_voxels(black, eye, grid, np.isfinite(scores), grey, is_lit=False)
    return heat_over(image, np.asarray(drawn.convert("L")) / 255.0)


def heat_over(
    image: Image.Image, heat: Float[np.ndarray, "height width"], alpha: float = 0.9
) -> Image.Image:
    """A heat map in [0, 1], of any size, over a greyed photograph; what is 0 stays a photograph.

    Args:
        image: The photograph.
        heat: NaN counts as 0.
        alpha: How much of the photograph the hottest place covers.
    """
    values = np.clip(np.nan_to_num(heat), 0, 1)
    cover = Image.fromarray((255 * alpha * values).astype(np.uint8))
    mask = cover.resize(image.size, Image.Resampling.BILINEAR)
    colours = Image.fromarray(heat_colours(values)).resize(image.size, Image.Resampling.BILINEAR)
    grey = Image.blend(image, image.convert("L").convert("RGB"), 0.6)
    return Image.composite(colours, grey, mask)


def eye_of(frame: Frame, name: str, width: int = 640) -> Eye:
    """The eye of a camera whose photograph is shrunk to that width, pixels."""
    camera = frame.cameras[name]
    scale = width / camera.width
    key_from_cam = (
        invert_rigid(frame.global_from_ego) @ camera.global_from_ego @ camera.ego_from_cam
    )
    intrinsics = np.diag([scale, scale, 1.0]) @ camera.intrinsics
    height = round(camera.height * width / camera.width)
    return Eye(invert_rigid(key_from_cam), intrinsics, width, height)


def _camera_eye(frame: Frame, name: str, width: int) -> tuple[Image.Image, Eye]:
    """A camera's photograph of that width, and the eye that sees it."""
    return photograph(frame.cameras[name], width), eye_of(frame, name, width)


def _top(is_shown: Bool[np.ndarray, "x y z"]) -> tuple[np.ndarray, np.ndarray]:
    """Highest shown cell of each column, and whether there is one."""
    depth = is_shown.shape[2]
    return depth - 1 - is_shown[:, :, ::-1].argmax(axis=2), np.asarray(is_shown.any(axis=2))


def _bev_image(colours: UInt8[np.ndarray, "x y 3"], grid: VoxelGrid, scale: int) -> Image.Image:
    """Ahead (x) is up, left (y) is left; with the vehicle's outline and rings every 10 m."""
    image = Image.fromarray(np.ascontiguousarray(colours[::-1, ::-1]))
    image = image.resize((image.width * scale, image.height * scale), Image.Resampling.NEAREST)
    pen = ImageDraw.Draw(image, "RGBA")

    def place(x_m: float, y_m: float) -> tuple[float, float]:
        per_m = scale / grid.cell_m
        return (grid.upper_m[1] - y_m) * per_m, (grid.upper_m[0] - x_m) * per_m

    for radius in map(float, range(10, int(grid.upper_m[0]), 10)):
        pen.ellipse((*place(radius, radius), *place(-radius, -radius)), outline=(*INK, 46))
    outline_m = [(3.9, 0.0), (2.6, 0.9), (-1.0, 0.9), (-1.0, -0.9), (2.6, -0.9)]
    pen.polygon([place(*corner) for corner in outline_m], fill=INK, outline=PAPER)
    return image


def _mark_vehicle(
    is_shown: Bool[np.ndarray, "x y z"], colours: UInt8[np.ndarray, "x y z 3"], grid: VoxelGrid
) -> None:
    """Draws the own vehicle as dark cubes, if its place is in the grid."""
    is_vehicle = mark_of_vehicle(grid)
    is_shown[is_vehicle], colours[is_vehicle] = True, INK


def mark_of_vehicle(grid: VoxelGrid) -> Bool[np.ndarray, "x y z"]:
    """Cells of the own vehicle's box."""
    lower, upper = np.array([-0.9, -0.9, 0.2]), np.array([3.6, 0.9, 1.7])
    first = np.floor((lower - grid.lower_m) / grid.edges_m).astype(int)
    last = np.ceil((upper - grid.lower_m) / grid.edges_m).astype(int)
    box = tuple(slice(max(a, 0), max(b, 0)) for a, b in zip(first, last, strict=True))
    is_vehicle = np.zeros(grid.shape, bool)
    is_vehicle[box] = True
    return is_vehicle


def _sky(size: tuple[int, int]) -> Image.Image:
    """A pale gradient."""
    width, height = size
    ramp = np.linspace(0, 1, height)[:, None]
    rows = (1 - ramp) * np.array([226, 233, 242.0]) + ramp * np.array(PAPER, float)
    return Image.fromarray(np.repeat(rows[:, None].astype(np.uint8), width, axis=1))
