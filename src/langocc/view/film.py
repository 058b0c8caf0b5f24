# SPDX-License-Identifier: Apache-2.0
"""Films: the picture of one moment, and many of them as a GIF or mp4."""

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

import numpy as np
from jaxtyping import Bool, UInt8
from PIL import Image

from langocc.errors import ConfigError, DataError
from langocc.files import replacing
from langocc.geometry.grid import OCC3D_GRID
from langocc.scenes.frame import Frame
from langocc.scenes.occ3d import FREE_ID, OCC3D_CLASSES, OCC3D_PALETTE
from langocc.view.difference import (
    difference,
    difference_bev,
    difference_legend,
    difference_oblique,
)
from langocc.view.frame_figures import camera_title
from langocc.view.pictures import bev_classes, class_oblique, photograph
from langocc.view.sheets import beside, class_legend, sheet, stacked

ENDINGS = (".gif", ".mp4")


def film_picture(
    frame: Frame,
    semantics: UInt8[np.ndarray, "x y z"],
    truth: UInt8[np.ndarray, "x y z"] | None,
    width: int,
    judged: Bool[np.ndarray, "x y z"] | None = None,
) -> Image.Image:
    """Cameras, voxels in perspective and from above, and the legend, always of the same size.

    Args:
        frame: The moment.
        semantics: Predicted Occ3D ids.
        truth: True Occ3D ids; None leaves them out.
        width: Of the picture, pixels; even, as is its height.
        judged: Voxels whose difference to the truth is drawn, too; None: no difference.

    Raises:
        DataError: an image is missing or damaged.
    """
    kinds = None if judged is None or truth is None else difference(semantics, truth, judged)
    side = 400 if kinds is None else 680  # as high as the rows of voxels
    cameras = {camera_title(n): photograph(c, side) for n, c in frame.cameras.items()}
    versions = {"predicted": semantics} | ({} if truth is None else {"true": truth})
    rows = []
    for name, ids in versions.items():
        above = bev_classes(ids, OCC3D_GRID, 2)
        rows.append(_row(name, class_oblique(ids, OCC3D_GRID, (640, above.height)), above))
    if kinds is not None:
        above = difference_bev(kinds, OCC3D_GRID, 2)
        aside = difference_oblique(kinds, OCC3D_GRID, (640, above.height))
        rows.append(_row("difference where a camera sees", aside, above))
    voxels = stacked(rows)
    page = beside([sheet(cameras, 2 if truth is not None else 3), voxels])
    every = [i for i in range(len(OCC3D_CLASSES)) if i != FREE_ID]
    legends = [class_legend(every, page.width)]
    if kinds is not None:
        legends.append(difference_legend(page.width))
    page = stacked([page, *legends])
    height = round(page.height * width / page.width / 2) * 2
    return page.resize((width, height), Image.Resampling.LANCZOS)


def _row(name: str, aside: Image.Image, above: Image.Image) -> Image.Image:
    """Voxels from behind and from above, side by side."""
    tiles = {name: aside, f"{name}, from above": above}
    return beside([sheet({title: tile}, 1) for title, tile in tiles.items()])


def check_film(path: Path) -> None:
    """Refuses, before anything slow, what `write_film` cannot write.

    Raises:
        ConfigError: another ending than .gif or .mp4, or an mp4 without the package imageio-ffmpeg.
    """
    if path.suffix.lower() not in ENDINGS:
        raise ConfigError(f"out: expected a name that ends in .gif or .mp4, got {path.name!r}")
    if path.suffix.lower() == ".mp4":
        try:
            import_module("imageio_ffmpeg")
        except ImportError:
            raise ConfigError(
                f"out: {path.name}: mp4 needs the package imageio-ffmpeg, which is not installed; "
                "`pip install 'langocc[film]'` installs it, and .gif needs nothing"
            ) from None


def write_film(path: Path, pictures: Sequence[Path], frames_per_second: float) -> None:
    """Writes pictures of one size as a film, whole or not at all.

    Args:
        path: Ends in .gif or .mp4.
        pictures: Image files in order, at least one.
        frames_per_second: Pictures a second.

    Raises:
        ConfigError: as for `check_film`.
        DataError: the mp4 could not be encoded.
        OSError: the disk is full or the folder cannot be written.
    """
    check_film(path)
    with replacing(path) as temporary:
        if path.suffix.lower() == ".mp4":
            _write_mp4(temporary, pictures, frames_per_second)
        else:
            _write_gif(temporary, pictures, frames_per_second)


def _write_gif(path: Path, pictures: Sequence[Path], frames_per_second: float) -> None:
    palette = _palette(pictures)
    frames = [Image.open(p).convert("RGB").quantize(palette=palette) for p in pictures]
    duration_ms = round(1000 / frames_per_second)
    rest = {"append_images": frames[1:], "duration": duration_ms, "loop": 0}
    frames[0].save(path, "GIF", save_all=True, **rest)


def _palette(pictures: Sequence[Path]) -> Image.Image:
    """256 colours for all pictures, so that what does not move does not flicker.

    The classes' own, as lit on a cube's sides, are among them: a rare class keeps its colour.
    """
    sides = np.array([1.0, 0.86, 0.7])
    fixed = np.array(OCC3D_PALETTE)[:, None] * sides[:, None]
    fixed = np.round(fixed).astype(np.uint8).reshape(-1, 3)
    small = [Image.open(p).convert("RGB").reduce(4) for p in pictures]
    others = stacked(small).quantize(256 - len(fixed), Image.Quantize.MEDIANCUT)
    seen = np.array(others.getpalette(), np.uint8).reshape(-1, 3)
    palette = Image.new("P", (1, 1))
    palette.putpalette(np.concatenate([fixed, seen]).tobytes())
    return palette


def _write_mp4(path: Path, pictures: Sequence[Path], frames_per_second: float) -> None:
    write_frames = import_module("imageio_ffmpeg").write_frames

    size = Image.open(pictures[0]).size
    options = {"fps": frames_per_second, "macro_block_size": 2, "output_params": ["-f", "mp4"]}
    writer = write_frames(str(path), size, **options)
    try:
        writer.send(None)
        for picture in pictures:
            writer.send(Image.open(picture).convert("RGB").tobytes())
    finally:
        writer.close()
    if not path.is_file() or not path.stat().st_size:
        raise DataError(f"{path}: the encoder wrote nothing")
