# SPDX-License-Identifier: Apache-2.0
"""A trained model from Python: `langocc.load(checkpoint).predict(frame, "yellow crane")`."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float16, Float32, UInt8

from langocc.errors import LangOccError
from langocc.field import VoxelField
from langocc.geometry.grid import OCC3D_GRID, VoxelGrid
from langocc.predictor import ClassQueries, Predictor, predict_classes
from langocc.queries import check_queries, word_notes
from langocc.scenes.dataset import Dataset
from langocc.scenes.frame import Frame
from langocc.scenes.occ3d import FREE_ID
from langocc.speaking import Speaker, speaker_of
from langocc.teachers.names import TEXT_CLIP
from langocc.teachers.text import load_vocabulary


@dataclass(frozen=True)
class Answer:
    """What a model says of one frame, in the vehicle's frame at the key time.

    Attributes:
        frame: The frame.
        field: Density and features, for everything else: `field.render`, `field.at`.
        semantics: Occ3D id of each voxel of `grid`; 17 is free.
        density: 1/m, on `grid`.
        similarity: Query -> cosine of each occupied voxel on `field.grid`; NaN where it is free.
        grid: Occ3D's grid: x ahead, y left, z up.
    """

    frame: Frame
    field: VoxelField
    semantics: UInt8[np.ndarray, "x y z"]
    density: Float16[np.ndarray, "x y z"]
    similarity: Mapping[str, Float32[np.ndarray, "cell_x cell_y cell_z"]]
    grid: VoxelGrid = OCC3D_GRID

    @property
    def occupied(self) -> Bool[np.ndarray, "x y z"]:
        """Voxels of `grid` that are not free."""
        return np.asarray(self.semantics != FREE_ID)

    def best(self, query: str, count: int = 10) -> Float32[np.ndarray, "voxel 3"]:
        """Centres of the voxels most alike a query, best first, metres.

        Raises:
            ValueError: the query was not asked.
        """
        if query not in self.similarity:
            asked = ", ".join(map(repr, self.similarity)) or "none"
            raise ValueError(f"query: expected one that was asked ({asked}), got {query!r}")
        scores = self.similarity[query].ravel()
        known = np.flatnonzero(np.isfinite(scores))
        order = known[np.argsort(-scores[known], kind="stable")[:count]]
        return self.field.grid.centres_m().reshape(-1, 3)[order].astype(np.float32)


@dataclass(frozen=True)
class Model:
    """A trained model and the text tower that it was taught with."""

    predictor: Predictor
    speaker: Speaker
    classes: ClassQueries

    def predict(
        self,
        frame: Frame,
        *queries: str,
        before: Sequence[Frame] = (),
        threshold: float | None = None,
    ) -> Answer:
        """Occupancy of a frame, and where texts are found in it.

        Args:
            frame: From `langocc.open_dataset(root)`, or made by hand.
            queries: Texts to look for.
            before: Frames before it, the newest last; a model that looks back uses them, and
                without them the frame itself stands in, which shows no motion.
            threshold: Density from which a voxel is occupied, 1/m; None: the model's own.

        Raises:
            ValueError: a query is empty or too long, or the threshold is no density.
            DataError: an image is missing or damaged.
        """
        try:
            check_queries(queries)
        except LangOccError as error:
            raise ValueError(str(error)) from None
        level = self.predictor.threshold if threshold is None else threshold
        if not 0 < level < float("inf"):
            raise ValueError(f"threshold: expected a density > 0 1/m, got {threshold}")
        for note in word_notes(self.speaker.teacher, queries):
            warnings.warn(note, stacklevel=2)
        dataset = Dataset(Path(), {frame.scene: [*before, frame]}, {})
        field = self.predictor.field(dataset, frame.token)
        prediction = predict_classes(field, self.classes, level)
        assert prediction.semantics is not None
        assert prediction.density is not None
        similarity = self.speaker.similarity(field, queries, level)
        return Answer(frame, field, prediction.semantics, prediction.density, similarity)


def load(
    checkpoint: str | Path,
    *,
    device: str = "cpu",
    teacher: str = "city-clip",
    text: str = TEXT_CLIP,
    vocabulary: str = "city",
) -> Model:
    """A trained model, ready to be asked.

    Args:
        checkpoint: Run folder (its newest checkpoint), checkpoint file, folder of
            `save_pretrained`, or the name of a model of the package.
        device: cpu, cuda, cuda:1, ...
        teacher: The CLIP that the model was taught with, a name or a folder.
        text: For a teacher in a checkpoint file: the CLIP that reads its texts.
        vocabulary: Prompts of the classes: city, v1, v2, or a YAML file.

    Raises:
        DataError: a file is missing or damaged.
        ConfigError: another teacher taught the model, or it was taught colours only.
    """
    predictor = Predictor.load(Path(checkpoint), device)
    speaker = speaker_of(predictor, teacher, text)
    return Model(predictor, speaker, speaker.classes(load_vocabulary(vocabulary)))
