# SPDX-License-Identifier: Apache-2.0
"""The text side of a trained model: the text tower it was taught with, in the model's own space."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import Tensor

from langocc.errors import ConfigError
from langocc.field import VoxelField
from langocc.predictor import ClassQueries, Predictor
from langocc.teachers.load import load_teacher
from langocc.teachers.names import TEXT_CLIP, speaks_for
from langocc.teachers.reducer import Reducer
from langocc.teachers.teacher import Teacher
from langocc.teachers.text import Vocabulary


@dataclass(frozen=True)
class Speaker:
    """Turns text into vectors that a model's features can be compared with.

    Attributes:
        teacher: Gives the text tower.
        reducer: Leads to the model's smaller space; None: it has the teacher's.
        templates: Average each text over the 85 prompt templates, as published.
    """

    teacher: Teacher
    reducer: Reducer | None = None
    templates: bool = True

    @torch.no_grad()
    def vectors(self, prompts: Sequence[str]) -> Float[Tensor, "prompt channel"]:
        """Unit vectors of prompts."""
        vectors = self.teacher.text(prompts, templates=self.templates).float()
        return vectors if self.reducer is None else self.reducer.reduce(vectors)

    def classes(self, vocabulary: Vocabulary) -> ClassQueries:
        """The vectors of a vocabulary's prompts with their classes."""
        return ClassQueries(self.vectors(vocabulary.prompts), vocabulary.class_ids)

    @torch.no_grad()
    def similarity(
        self, field: VoxelField, queries: Sequence[str], threshold: float
    ) -> dict[str, Float32[np.ndarray, "x y z"]]:
        """Cosine of every occupied voxel of a field of one scene and each query; NaN where free.

        Args:
            field: What the model says.
            queries: Texts.
            threshold: Density from which a voxel is occupied, 1/m.
        """
        if not queries:
            return {}
        occupied = field.occupied(threshold)
        scores = occupied.query(self.vectors(queries)).float().cpu().numpy()
        x, y, z = occupied.index[:, 1:].cpu().numpy().T
        grids = np.full((len(queries), *field.grid.shape), np.nan, np.float32)
        grids[:, x, y, z] = scores
        return dict(zip(queries, grids, strict=True))


def speaker_of(
    predictor: Predictor, teacher: str, text: str = TEXT_CLIP, *, templates: bool = True
) -> Speaker:
    """The text side of a model, on the model's device.

    Args:
        predictor: The model.
        teacher: Name of its teacher, as for `load_teacher`.
        text: For a teacher in a checkpoint file: the CLIP that reads its texts.
        templates: Average each text over the 85 prompt templates, as published.

    Raises:
        ConfigError: the model knows colours instead of text, or another teacher taught it.
        DataError: the teacher cannot be loaded.
    """
    if predictor.config.model.variant != "language":
        raise ConfigError(
            f"{predictor.checkpoint['file']}: expected a model that was taught text, found variant "
            f"{predictor.config.model.variant!r}, which knows colours only"
        )
    loaded = load_teacher(teacher, device=predictor.device, text=text)
    taught_by = predictor.facts.get("teacher")
    if taught_by is not None and not speaks_for(loaded.id, taught_by):
        raise ConfigError(
            f"teacher: {predictor.checkpoint['file']} was taught by {taught_by}, and --teacher "
            f"{teacher} is {loaded.id}; its answers would mean nothing"
        )
    head = predictor.config.model.head
    channels = head.reduced_from or head.embedding_channels
    if loaded.channels != channels:
        raise ConfigError(
            f"teacher: the model's text space has {channels} channels, that of {loaded.id} has "
            f"{loaded.channels}"
        )
    return Speaker(loaded, predictor.model.reducer, templates)
