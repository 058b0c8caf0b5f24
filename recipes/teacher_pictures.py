# SPDX-License-Identifier: Apache-2.0
"""Draws what each form of a teacher makes of one photograph, as principal colours.

    python recipes/teacher_pictures.py ROOT OUT.png --teacher city-clip --camera CAM_FRONT

Left the photograph; per form the three leading components of its unit features, spread over red,
green and blue for each form by itself, and below them the class of the nearest prompt (`others` is
what the prompts of `background` stand for: sky). Pictures of
nuScenes photographs fall under nuScenes' licence.
"""

import argparse
from pathlib import Path
from typing import get_args

import numpy as np
import torch
from PIL import Image
from torch.nn import functional

from langocc.errors import ConfigError
from langocc.scenes.images import read_image
from langocc.scenes.nuscenes import load
from langocc.scenes.occ3d import OCC3D_PALETTE
from langocc.teachers.load import load_teacher
from langocc.teachers.maskclip import Form
from langocc.teachers.text import load_vocabulary
from langocc.view.colours import feature_colours
from langocc.view.pictures import PAPER
from langocc.view.sheets import class_legend, sheet, stacked


def main() -> None:
    """One sheet of a photograph and all forms."""
    parser = argparse.ArgumentParser(description="Principal colours of each form of a teacher.")
    parser.add_argument("root", type=Path, help="data root")
    parser.add_argument("out", type=Path, help="PNG to write")
    parser.add_argument("--work", type=Path, help="folder of the index")
    parser.add_argument("--token", help="key frame; default: the first")
    parser.add_argument("--camera", default="CAM_FRONT")
    parser.add_argument("--teacher", default="city-clip")
    parser.add_argument("--vocabulary", default="city", help="prompts of the classes")
    parser.add_argument("--image-height", type=int, help="pixels, before the teacher")
    parser.add_argument("--width", type=int, default=400, help="of a tile, pixels")
    options = parser.parse_args()
    dataset = load(options.root, work=options.work)
    frame = dataset.frame(options.token) if options.token else next(dataset.frames())
    if options.camera not in frame.cameras:
        raise ConfigError(f"camera {options.camera!r}: there are {', '.join(frame.cameras)}")
    camera = frame.cameras[options.camera]
    image = read_image(camera.image_path, (camera.width, camera.height))
    size = (options.width, round(options.width * camera.height / camera.width))
    vocabulary = load_vocabulary(options.vocabulary)
    photograph = Image.fromarray(image).resize(size, Image.Resampling.LANCZOS)
    nothing = Image.new("RGB", size, PAPER)
    tiles, classes, seen = (
        {options.camera: photograph},
        {"class of the nearest prompt": nothing},
        set(),
    )
    for form in get_args(Form):
        teacher = load_teacher(options.teacher, form, image_height_px=options.image_height)
        dense = teacher.dense(torch.from_numpy(image.copy()).permute(2, 0, 1)[None])[0].float()
        unit = functional.normalize(dense, dim=0).permute(1, 2, 0)
        colours = feature_colours([unit.flatten(0, 1).numpy()])[0]
        tiles[form] = tile(colours.reshape(*unit.shape[:2], 3), size)
        nearest = (unit @ teacher.text(vocabulary.prompts).T).argmax(-1)
        ids = vocabulary.class_of_prompt()[nearest].numpy()
        classes[f"{form}: class"] = tile(np.asarray(OCC3D_PALETTE, np.uint8)[ids], size)
        seen |= set(ids.ravel().tolist())
    page = sheet(tiles | classes, len(tiles))
    page = stacked([page, class_legend(sorted(seen), page.width)])
    options.out.parent.mkdir(parents=True, exist_ok=True)
    page.quantize(128).save(options.out, optimize=True)


def tile(colours: np.ndarray, size: tuple[int, int]) -> Image.Image:
    """A map of the teacher's own cells, enlarged without smoothing."""
    return Image.fromarray(colours).resize(size, Image.Resampling.NEAREST)


if __name__ == "__main__":
    main()
