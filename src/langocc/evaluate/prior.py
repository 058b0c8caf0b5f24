# SPDX-License-Identifier: Apache-2.0
"""The prior: what a place usually is, whatever the cameras show. A model must beat it.

Each voxel answers with its most frequent label over the training scenes, counted where a camera saw
it. Streets look alike from a vehicle, so this is a strong baseline for occupancy (method.md section
10). A text query is answered by the similarity of the query to the prompts of the voxel's class.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float16, UInt8

from langocc.evaluate.labels import Occ3DLabel
from langocc.evaluate.predictions import Prediction
from langocc.geometry.grid import OCC3D_GRID, VoxelGrid
from langocc.scenes.occ3d import FREE_ID, OCC3D_CLASSES

_CLASSES = len(OCC3D_CLASSES)


@dataclass(frozen=True)
class Prior:
    """Most frequent labels.

    Attributes:
        semantics: Most frequent id, free included; free where no camera ever saw the voxel.
        classes: Most frequent class 0..16; 17 where the voxel was never seen occupied.
        frames: Labels it was counted over.
    """

    semantics: UInt8[np.ndarray, "x y z"]
    classes: UInt8[np.ndarray, "x y z"]
    frames: int

    def prediction(self) -> Prediction:
        """The same answer for every frame."""
        return Prediction(self.semantics)

    def point_features(
        self,
        points_ego_m: Float[np.ndarray, "point 3"],
        class_vectors: Float[np.ndarray, "17 channel"],
        grid: VoxelGrid = OCC3D_GRID,
    ) -> Float16[np.ndarray, "point channel"]:
        """The class vector of each point's voxel, as a saved prediction holds it.

        A point is a hit, so the voxel's most frequent *class* answers, free or not; zeros (no
        answer, the lowest score) where nothing was ever seen. Points outside the grid read its
        nearest voxel.
        """
        cells = np.floor((points_ego_m - np.asarray(grid.lower_m)) / grid.edges_m).astype(int)
        x, y, z = np.clip(cells, 0, np.asarray(grid.shape) - 1).T
        vectors = np.concatenate([class_vectors, np.zeros_like(class_vectors[:1])])
        return vectors.astype(np.float16)[self.classes[x, y, z]]


def learn_prior(labels: Iterable[Occ3DLabel]) -> Prior:
    """Counts labels of training frames, voxel by voxel, where a camera saw them.

    Ties go to the lower id. Labels that are no Occ3D id are left out.

    Raises:
        ValueError: no label was given, or their shapes differ.
    """
    counts, shape, frames = np.zeros((0, 0), np.int32), (), 0
    for label in labels:
        if not frames:
            shape = label.semantics.shape
            counts = np.zeros((FREE_ID + 1, label.semantics.size), np.int32)
        if label.semantics.shape != shape:
            raise ValueError(f"labels: expected the shape {shape}, got {label.semantics.shape}")
        seen = np.flatnonzero(label.mask_camera & (label.semantics <= FREE_ID))
        counts[label.semantics.ravel()[seen], seen] += 1
        frames += 1
    if not frames:
        raise ValueError("labels: expected at least one training label, got none")
    semantics = np.where(counts.any(axis=0), counts.argmax(axis=0), FREE_ID)
    classes = counts[:_CLASSES].argmax(axis=0)
    classes[~counts[:_CLASSES].any(axis=0)] = FREE_ID
    return Prior(
        semantics.astype(np.uint8).reshape(shape), classes.astype(np.uint8).reshape(shape), frames
    )


def class_vectors(
    prompt_vectors: Float[np.ndarray, "prompt channel"], class_ids: Sequence[int]
) -> Float[np.ndarray, "17 channel"]:
    """Unit mean of each class's prompt vectors; zeros for a class without prompts."""
    sums = np.zeros((_CLASSES, prompt_vectors.shape[1]), prompt_vectors.dtype)
    np.add.at(sums, np.asarray(class_ids), prompt_vectors)
    norms = np.linalg.norm(sums, axis=1, keepdims=True)
    return np.divide(sums, norms, out=np.zeros_like(sums), where=norms > 0)
