"""A model that knows the labels: its field answers a class's name where the class is."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from langocc.evaluate.labels import read_label
from langocc.field import VoxelField
from langocc.geometry.grid import OCC3D_GRID
from langocc.model.langocc import LangOcc
from langocc.predictor import Predictor
from langocc.presets import PRESETS
from langocc.render.volume import VoxelHead
from langocc.scenes.nuscenes import NuScenes, load
from langocc.scenes.occ3d import FREE_ID
from langocc.speaking import Speaker, speaker_of
from langocc.teachers.load import load_teacher
from langocc.teachers.text import load_vocabulary
from langocc.train.average import MovingAverage
from langocc.train.checkpoint import save_checkpoint
from langocc.train.config import config_as_dict
from langocc.view.source import Source

TINY = PRESETS["tiny"]
OCCUPIED = 0.8


class Lookup(VoxelHead):
    """One-hot classes to the vectors of their names."""

    def __init__(self, vectors: torch.Tensor) -> None:
        super().__init__()
        self.last = nn.Linear(*vectors.shape)
        self.last.weight.data, self.last.bias.data = vectors.T.clone(), torch.zeros(len(vectors.T))

    def hidden(self, features: torch.Tensor) -> torch.Tensor:
        return features


@dataclass(frozen=True)
class LabelPredictor(Predictor):
    """Takes its field from the label; denser the higher, so that thresholds differ."""

    speaker: Speaker | None = None

    def field(self, dataset: NuScenes, token: str, reader=None) -> VoxelField:
        label = dataset.folders.occ3d_label(dataset.frame(token))
        semantics = torch.from_numpy(read_label(label).semantics.astype(np.int64))
        words = load_vocabulary("city")
        first = {
            i: prompt for prompt, i in reversed([*zip(words.prompts, words.class_ids, strict=True)])
        }
        names = [first[i] for i in range(FREE_ID)] + ["sky"]
        features = nn.functional.one_hot(semantics, len(names)).float()
        height = torch.linspace(0, 0.1, OCC3D_GRID.shape[2])
        density = torch.where(semantics == FREE_ID, 0.0, OCCUPIED + height)
        head = Lookup(self.speaker.vectors(names))
        return VoxelField(OCC3D_GRID, density[None], features[None], head)


def label_source(root: Path, split: str = "val") -> Source:
    dataset = load(root)
    facts, checkpoint = {"teacher": load_teacher("city-clip").id}, {"file": "labels", "step": 0}
    parts = LangOcc(TINY.model), TINY, facts, checkpoint, torch.device("cpu")
    speaker = speaker_of(Predictor(*parts), "city-clip")
    classes = speaker.classes(load_vocabulary("city"))
    predictor = LabelPredictor(*parts, speaker)
    return Source(predictor, speaker, classes, dataset, list(dataset.frames(split)))


def untrained_run(folder: Path, **facts: str) -> Path:
    """A run folder with the weights that training starts from."""
    torch.manual_seed(0)
    model = LangOcc(TINY.model)
    average = MovingAverage(model, TINY.average)
    metadata = {"step": 0, "config": config_as_dict(TINY), "facts": facts}
    path = folder / "checkpoints" / "step-00000000.safetensors"
    save_checkpoint(path, model, average, None, metadata)
    return folder
