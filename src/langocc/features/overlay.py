# SPDX-License-Identifier: Apache-2.0
"""A key frame's rays over its photographs: the quickest check of a calibration."""

from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw

from langocc.features.pixels import HIT, SKY
from langocc.features.rows import Rows
from langocc.scenes.frame import Frame
from langocc.scenes.images import read_image

DEPTH_COLOURS = np.array(
    [(255, 0, 60), (255, 120, 0), (255, 235, 0), (0, 220, 90), (0, 190, 255), (70, 50, 255)]
)
"""From 0 m to `FAR_M`, evenly spaced in the depth's logarithm."""
SKY_COLOUR, HIT_COLOUR, UNSURE_COLOUR = (0, 230, 230), (120, 230, 60), (240, 200, 0)
FAR_M = 40.0
TILE_WIDTH = 640


def draw_overlay(frame: Frame, rows: Rows, path: Path, columns: int = 3) -> None:
    """Writes a contact sheet of a frame's cameras with its rays as dots.

    Measured depths run from red over yellow and green to blue (`FAR_M`). Without depth: cyan = sky,
    green = certain hit, yellow = neither.

    Raises:
        DataError: an image is missing or damaged.
    """
    tiles = []
    for index, camera in enumerate(frame.cameras.values()):
        image = Image.fromarray(read_image(camera.image_path, (camera.width, camera.height)))
        scale = TILE_WIDTH / camera.width
        tile = image.resize((TILE_WIDTH, round(camera.height * scale)))
        draw = ImageDraw.Draw(tile)
        ours = rows[rows["camera"] == index]
        for (row, col), colour in zip(ours["pixel"] * scale, ray_colours(ours), strict=True):
            draw.rectangle((col - 1, row - 1, col + 1, row + 1), fill=tuple(colour.tolist()))
        tiles.append(tile)
    lines = -(-len(tiles) // columns)
    height = max(tile.height for tile in tiles)
    sheet = Image.new("RGB", (columns * TILE_WIDTH, lines * height))
    for index, tile in enumerate(tiles):
        sheet.paste(tile, (index % columns * TILE_WIDTH, index // columns * height))
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path)


def ray_colours(rows: Rows) -> UInt8[np.ndarray, "ray 3"]:
    """Colour of each row's dot."""
    depth_m = rows["depth_m"].astype(np.float64)
    share = np.clip(np.log1p(depth_m) / np.log1p(FAR_M), 0, 1) * (len(DEPTH_COLOURS) - 1)
    stops = np.arange(len(DEPTH_COLOURS))
    colours = np.stack([np.interp(share, stops, channel) for channel in DEPTH_COLOURS.T], axis=-1)
    flags = rows["flags"]
    unmeasured = depth_m == 0
    colours[unmeasured] = UNSURE_COLOUR
    colours[unmeasured & ((flags & HIT) > 0)] = HIT_COLOUR
    colours[unmeasured & ((flags & SKY) > 0)] = SKY_COLOUR
    return colours.astype(np.uint8)
