# SPDX-License-Identifier: Apache-2.0
"""A rig at a glance: cameras from above, and the ground's grid drawn into each image."""

import colorsys
from collections.abc import Mapping

import numpy as np
from PIL import Image, ImageDraw

from langocc.scenes.frame import Camera, Frame
from langocc.scenes.rig_check import project
from langocc.view.pictures import INK, PAPER, photograph
from langocc.view.sheets import font, sheet, stacked

GRID_M = 5.0
"""Distance of the ground's lines, metres."""

REACH_M = 40.0
"""How far the ground is drawn, metres."""

Colour = tuple[int, int, int]

AHEAD: Colour = (235, 60, 50)
LEFT: Colour = (40, 190, 80)
PLAIN: Colour = (255, 255, 255)


def draw_rig(frame: Frame, width: int = 520) -> Image.Image:
    """Top view and one tile per camera.

    The lines lie on z = 0 of the ego frame, 5 m apart; red runs ahead of the vehicle, green to its
    left. With right extrinsics they lie on the road, and end at the horizon.

    Args:
        frame: Cameras and their images.
        width: Of each tile, pixels.

    Raises:
        DataError: an image is missing, damaged or of another size than its camera.
    """
    names, cameras = list(frame.cameras), list(frame.cameras.values())
    colours = dict(zip(names, _hues(len(names)), strict=True))
    above = Image.new("RGB", (2 * width + 36, 2 * width), PAPER)
    near = _from_above(frame.cameras, colours, 4.0, width)
    far = _from_above(frame.cameras, colours, 25.0, width)
    above.paste(near, (12, width // 4))
    above.paste(far, (24 + width, width // 4))
    above = above.crop((0, width // 4, above.width, width // 4 + width))
    tiles = {
        name: _framed(ground_on_image(camera, width), colours[name])
        for name, camera in zip(names, cameras, strict=True)
    }
    return stacked([_title(above.width), above, sheet(tiles, columns=2)])


def ground_on_image(camera: Camera, width: int = 520) -> Image.Image:
    """A camera's image with the ground's grid drawn over it."""
    image = photograph(camera, width)
    pen = ImageDraw.Draw(image)
    scale = width / camera.width
    steps = np.arange(-REACH_M, REACH_M + 0.1, 0.25)
    for at in np.arange(-REACH_M, REACH_M + 0.1, GRID_M):
        _line(pen, camera, scale, np.column_stack([steps, np.full_like(steps, at)]), PLAIN, 1)
        _line(pen, camera, scale, np.column_stack([np.full_like(steps, at), steps]), PLAIN, 1)
    axis = steps[steps >= 0]
    zero = np.zeros_like(axis)
    _line(pen, camera, scale, np.column_stack([axis, zero]), AHEAD, 3)
    _line(pen, camera, scale, np.column_stack([zero, axis]), LEFT, 3)
    return image


def _line(
    pen: ImageDraw.ImageDraw,
    camera: Camera,
    scale: float,
    ground: np.ndarray,
    colour: Colour,
    width: int,
) -> None:
    """A line on z = 0, piece by piece, as far as it lies before the camera."""
    pixels, depth_m = project(camera, np.column_stack([ground, np.zeros(len(ground))]))
    # Pieces far outside the image are left out: a grazing point may lie millions of pixels away.
    size = np.array([camera.width, camera.height])
    is_near = ((pixels > -2 * size) & (pixels < 3 * size)).all(axis=1)
    is_drawn = (depth_m > 0.2) & is_near
    points = pixels * scale
    for at in np.flatnonzero(is_drawn[:-1] & is_drawn[1:]):
        pen.line([*points[at], *points[at + 1]], fill=colour, width=width)


def _from_above(
    cameras: Mapping[str, Camera], colours: Mapping[str, Colour], reach_m: float, size: int
) -> Image.Image:
    """The ego frame from above, ahead is up: positions, and wedges of the fields of view."""
    image = Image.new("RGBA", (size, size), (*PAPER, 255))
    middle, scale = size / 2, size / 2 / reach_m

    def place(x_m: float, y_m: float) -> tuple[float, float]:
        return middle - y_m * scale, middle - x_m * scale

    _ground_from_above(ImageDraw.Draw(image), place, reach_m, size)
    for name, camera in cameras.items():
        layer = Image.new("RGBA", (size, size))
        pen = ImageDraw.Draw(layer)
        x, y = camera.ego_from_cam[:2, 3]
        edges = [place(x, y), *(place(*end) for end in _wedge(camera, reach_m * 0.8))]
        pen.polygon(edges, fill=(*colours[name], 60), outline=(*colours[name], 255))
        left, top = place(x, y)
        pen.ellipse((left - 4, top - 4, left + 4, top + 4), fill=(*colours[name], 255))
        image = Image.alpha_composite(image, layer)
    pen = ImageDraw.Draw(image)
    for name, camera in cameras.items():
        first, last = _wedge(camera, reach_m * 0.62)
        where = place(*((first + last) / 2))
        pen.text(where, name, INK, font(13), anchor="mm", stroke_width=2, stroke_fill=PAPER)
    return image.convert("RGB")


def _ground_from_above(pen: ImageDraw.ImageDraw, place, reach_m: float, size: int) -> None:  # noqa: ANN001
    step = 1.0 if reach_m < 10 else GRID_M
    for at in np.arange(-np.floor(reach_m / step), reach_m / step + 1) * step:
        pen.line([*place(at, -reach_m), *place(at, reach_m)], fill=(222, 222, 218))
        pen.line([*place(-reach_m, at), *place(reach_m, at)], fill=(222, 222, 218))
    pen.line([*place(0.0, 0.0), *place(reach_m, 0.0)], fill=AHEAD, width=2)
    pen.line([*place(0.0, 0.0), *place(0.0, reach_m)], fill=LEFT, width=2)
    pen.text((8, size - 8), f"lines {step:.0f} m apart, ahead is up", INK, font(13), anchor="ls")


def _wedge(camera: Camera, length_m: float) -> np.ndarray:
    """Ends (x, y in the ego frame, metres) of the image's left and right edge, seen from above."""
    (fx, _, cx), _, _ = camera.intrinsics
    rays = np.array([[-cx / fx, 0, 1], [(camera.width - cx) / fx, 0, 1]])
    rays /= np.linalg.norm(rays, axis=1, keepdims=True)
    origin, rotation = camera.ego_from_cam[:3, 3], camera.ego_from_cam[:3, :3]
    return (origin + length_m * rays @ rotation.T)[:, :2]


def _hues(count: int) -> list[Colour]:
    shades = [colorsys.hsv_to_rgb(at / count, 0.75, 0.85) for at in range(count)]
    return [(round(255 * r), round(255 * g), round(255 * b)) for r, g, b in shades]


def _framed(tile: Image.Image, colour: Colour) -> Image.Image:
    ImageDraw.Draw(tile).rectangle((0, 0, tile.width - 1, tile.height - 1), outline=colour, width=4)
    return tile


def _title(width: int) -> Image.Image:
    page = Image.new("RGB", (width, 44), PAPER)
    text = "The grid is z = 0 of the ego frame and must lie on the road. Red: ahead. Green: left."
    ImageDraw.Draw(page).text((12, 22), text, INK, font(17), anchor="lm")
    return page
