# SPDX-License-Identifier: Apache-2.0
"""Draws the README's picture: `python recipes/teaser.py runs/demo docs/images/teaser.png`."""

import sys
from pathlib import Path

import numpy as np
from PIL import Image

from langocc.evaluate.labels import read_label
from langocc.predictor import Predictor, predict_classes
from langocc.scenes.nuscenes import load
from langocc.speaking import speaker_of
from langocc.teachers.load import load_teacher
from langocc.teachers.text import load_vocabulary
from langocc.view.colours import heat_range
from langocc.view.frame_figures import photographs
from langocc.view.pictures import class_oblique, heat_oblique
from langocc.view.sheets import sheet, stacked

QUERY = "a tree"


def main(demo: Path, target: Path) -> None:
    """Six photographs above truth, prediction and one answer, of a street not trained on."""
    dataset = load(demo / "city")
    predictor = Predictor.load(demo / "run")
    speaker = speaker_of(predictor, "city-clip")
    assert load_teacher("city-clip").id == predictor.facts["teacher"]
    frames = dataset.scenes[dataset.splits["val"][-1]]
    frame = frames[len(frames) // 2]
    field = predictor.field(dataset, frame.token)
    predicted = predict_classes(
        field, speaker.classes(load_vocabulary("city")), predictor.threshold
    ).semantics
    label = dataset.folders.occ3d_label(frame)
    assert label is not None
    scores = field.query(speaker.vectors([QUERY]))[0, 0].cpu().numpy()
    scores = np.where((field.density[0] >= predictor.threshold).cpu().numpy(), scores, np.nan)
    low, high = heat_range(scores.ravel())
    answer = heat_oblique(np.clip((scores - low) / (high - low), 0, 1), field.grid)
    tiles = {
        "truth": class_oblique(read_label(label).semantics),
        "predicted from the six images": class_oblique(predicted),
        f"“{QUERY}”": answer,
    }
    cameras = photographs(frame, 560)
    width = cameras.width // 3 - 8
    small = {
        name: image.resize(
            (width, round(image.height * width / image.width)), Image.Resampling.LANCZOS
        )
        for name, image in tiles.items()
    }
    target.parent.mkdir(parents=True, exist_ok=True)
    stacked([cameras, sheet(small, 3)]).convert("RGB").quantize(128).save(target, optimize=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
