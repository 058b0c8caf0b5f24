# SPDX-License-Identifier: Apache-2.0
"""Draws the README's picture: six photographs above truth, prediction and one answer.

    python recipes/teaser.py CITY MODEL OUT.jpg --token TOKEN --query "a yellow truck"

CITY is a data root with labels, MODEL a run or a model of the package, TOKEN a key frame that the
model was not trained on (default: the middle of the last scene of val).
"""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

from langocc.evaluate.labels import read_label
from langocc.predictor import Predictor, predict_classes
from langocc.scenes.nuscenes import load
from langocc.speaking import speaker_of
from langocc.teachers.text import load_vocabulary
from langocc.view.colours import heat_range
from langocc.view.frame_figures import photographs
from langocc.view.pictures import class_oblique, heat_oblique
from langocc.view.sheets import sheet, stacked


def main() -> None:
    """Reads the command line and draws."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("city", type=Path)
    parser.add_argument("model", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--token", default="")
    parser.add_argument("--query", default="a tree")
    options = parser.parse_args()
    draw(options.city, options.model, options.out, options.token, options.query)


def draw(city: Path, model: Path, target: Path, token: str, query: str) -> None:
    """Writes the picture of one key frame."""
    dataset = load(city)
    predictor = Predictor.load(model)
    speaker = speaker_of(predictor, "city-clip")
    frames = dataset.scenes[dataset.splits["val"][-1]]
    frame = dataset.frame(token) if token else frames[len(frames) // 2]
    field = predictor.field(dataset, frame.token)
    predicted = predict_classes(
        field, speaker.classes(load_vocabulary("city")), predictor.threshold
    ).semantics
    label = dataset.folders.occ3d_label(frame)
    assert label is not None
    scores = field.query(speaker.vectors([query]))[0, 0].cpu().numpy()
    scores = np.where((field.density[0] >= predictor.threshold).cpu().numpy(), scores, np.nan)
    low, high = heat_range(scores.ravel())
    answer = heat_oblique(np.clip((scores - low) / (high - low), 0, 1), field.grid)
    tiles = {
        "truth": class_oblique(read_label(label).semantics),
        "predicted from the six images": class_oblique(predicted),
        f"“{query}”": answer,
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
    stacked([cameras, sheet(small, 3)]).convert("RGB").save(target, quality=88, optimize=True)


if __name__ == "__main__":
    main()
