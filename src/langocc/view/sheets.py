# SPDX-License-Identifier: Apache-2.0
"""Pictures beside each other, with titles; legends."""

from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from langocc.scenes.occ3d import OCC3D_CLASSES, OCC3D_PALETTE
from langocc.view.colours import heat_colours
from langocc.view.pictures import INK, PAPER

_GAP = 12


def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Pillow's own typeface, so that pictures are the same everywhere."""
    return ImageFont.load_default(size)


def sheet(tiles: Mapping[str, Image.Image], columns: int, title_size: int = 18) -> Image.Image:
    """Pictures in rows with their titles above; the cells are as large as the largest picture."""
    width = max(tile.width for tile in tiles.values())
    height = max(tile.height for tile in tiles.values())
    bar = round(title_size * 1.7)
    columns = min(columns, len(tiles))
    rows = -(-len(tiles) // columns)
    size = (columns * (width + _GAP) + _GAP, rows * (height + bar + _GAP) + _GAP)
    page = Image.new("RGB", size, PAPER)
    pen = ImageDraw.Draw(page)
    for index, (title, tile) in enumerate(tiles.items()):
        x = _GAP + index % columns * (width + _GAP)
        y = _GAP + index // columns * (height + bar + _GAP)
        pen.text((x, y + bar / 2 - 2), title, INK, font(title_size), anchor="lm")
        page.paste(tile, (x, y + bar))
    return page


def class_legend(ids: Sequence[int], width: int = 1200, text_size: int = 16) -> Image.Image:
    """Swatches with the names of Occ3D classes, in as many rows as they need."""
    cells = [(i, OCC3D_CLASSES[i].replace("_", " ")) for i in ids if i < len(OCC3D_CLASSES)]
    return swatches([(name, OCC3D_PALETTE[i]) for i, name in cells], width, text_size)


def swatches(
    names: Sequence[tuple[str, tuple[int, int, int]]], width: int, text_size: int = 16
) -> Image.Image:
    """Squares of colours with their names, in as many rows as they need."""
    face = font(text_size)
    lengths = [round(face.getlength(name)) + text_size * 3 for name, _ in names]
    places, x, y, line = [], _GAP, _GAP // 2, round(text_size * 1.7)
    for length in lengths:
        if x + length > width and x > _GAP:
            x, y = _GAP, y + line
        places.append((x, y))
        x += length
    page = Image.new("RGB", (width, y + line + _GAP // 2), PAPER)
    pen = ImageDraw.Draw(page)
    for (name, colour), (left, top) in zip(names, places, strict=True):
        box = (left, top + 3, left + text_size, top + 3 + text_size)
        pen.rounded_rectangle(box, radius=3, fill=colour, outline=(150, 150, 150))
        middle = top + 3 + text_size / 2
        pen.text((left + text_size * 1.5, middle), name, INK, face, anchor="lm")
    return page


def heat_legend(low: str, high: str, width: int = 360, text_size: int = 15) -> Image.Image:
    """The heat scale between two words."""
    face = font(text_size)
    page = Image.new("RGB", (width, round(text_size * 2)), PAPER)
    pen = ImageDraw.Draw(page)
    left, right = face.getlength(low) + 2 * _GAP, width - face.getlength(high) - 2 * _GAP
    bar = heat_colours(np.linspace(0, 1, max(round(right - left), 1))[None].repeat(text_size, 0))
    page.paste(Image.fromarray(bar), (round(left), text_size // 2))
    pen.text((_GAP, text_size), low, INK, face, anchor="lm")
    pen.text((width - _GAP, text_size), high, INK, face, anchor="rm")
    return page


def stacked(images: Sequence[Image.Image]) -> Image.Image:
    """Pictures below each other, left-aligned."""
    page = Image.new("RGB", (max(i.width for i in images), sum(i.height for i in images)), PAPER)
    y = 0
    for image in images:
        page.paste(image, (0, y))
        y += image.height
    return page


def beside(images: Sequence[Image.Image]) -> Image.Image:
    """Pictures from left to right, aligned at their tops."""
    page = Image.new("RGB", (sum(i.width for i in images), max(i.height for i in images)), PAPER)
    x = 0
    for image in images:
        page.paste(image, (x, 0))
        x += image.width
    return page
