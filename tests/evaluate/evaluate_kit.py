"""Hand-made frames, labels and predictions, small enough to write thousands."""

from pathlib import Path

import numpy as np

from langocc.evaluate.archives import write_arrays
from langocc.evaluate.predictions import Prediction, write_prediction
from langocc.scenes.frame import Frame

SHAPE = (12, 10, 4)


def make_frame(token: str, scene: str = "scene-a") -> Frame:
    return Frame(token, scene, 0, {}, np.eye(4))


def random_ids(generator: np.random.Generator, shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    return generator.integers(0, 18, shape).astype(np.uint8)


class Split:
    """Frames with labels and predictions on disk."""

    def __init__(self, folder: Path, frames: int = 6, scenes: int = 3) -> None:
        self.gts, self.predictions = folder / "gts", folder / "predictions"
        self.frames = [make_frame(f"t{i}", f"scene-{i % scenes}") for i in range(frames)]
        generator = np.random.default_rng(0)
        self.labels, self.masks, self.semantics, self.density = {}, {}, {}, {}
        for frame in self.frames:
            token = frame.token
            self.labels[token] = random_ids(generator)
            self.masks[token] = generator.random(SHAPE) < 0.4
            classes = np.where(
                generator.random(SHAPE) < 0.5, self.labels[token], random_ids(generator)
            )
            self.density[token] = generator.random(SHAPE).astype(np.float16)
            self.semantics[token] = np.where(self.density[token] < 0.1, 17, classes).astype("u1")
            self.write_label(token)
            write_prediction(
                self.predictions,
                token,
                Prediction(self.semantics[token], self.density[token], threshold=0.1),
            )

    def label_path(self, frame: Frame) -> Path:
        return self.gts / frame.scene / frame.token / "labels.npz"

    def write_label(self, token: str) -> None:
        frame = next(f for f in self.frames if f.token == token)
        mask = self.masks[token].astype(np.uint8)
        arrays = {"semantics": self.labels[token], "mask_camera": mask, "mask_lidar": mask}
        write_arrays(self.label_path(frame), arrays)
