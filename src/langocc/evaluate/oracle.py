# SPDX-License-Identifier: Apache-2.0
"""The oracle teacher: the label of every place, said in the teacher's words. An upper bound.

Each labelled voxel holds the mean prompt of its true class. What is missed then, knowing classes
does not bring: a prompt that lies nearest to another class's mean, a query for what classes do not
tell ("a red car").
"""

import numpy as np
from jaxtyping import Float, Float16

from langocc.evaluate.labels import Occ3DLabel
from langocc.evaluate.predictions import Prediction
from langocc.evaluate.prior import class_vectors
from langocc.geometry.grid import OCC3D_GRID, VoxelGrid
from langocc.scenes.occ3d import FREE_ID, OCC3D_CLASSES

_CLASSES = len(OCC3D_CLASSES)


def oracle_prediction(
    label: Occ3DLabel,
    prompt_vectors: Float[np.ndarray, "prompt channel"],
    class_ids: tuple[int, ...],
) -> Prediction:
    """Ids of the prompts nearest to the mean prompt of each voxel's true class.

    Free where the label is free, no Occ3D id, or a class the vocabulary has no prompt for.
    """
    means = class_vectors(prompt_vectors, class_ids)
    answers = np.full(256, FREE_ID, np.uint8)  # by label id, whatever it is
    named = np.flatnonzero(means.any(axis=1))
    answers[named] = np.asarray(class_ids, np.uint8)[(means[named] @ prompt_vectors.T).argmax(1)]
    return Prediction(answers[label.semantics])


def oracle_features(
    label: Occ3DLabel,
    points_ego_m: Float[np.ndarray, "point 3"],
    vectors: Float[np.ndarray, "17 channel"],
    grid: VoxelGrid = OCC3D_GRID,
) -> Float16[np.ndarray, "point channel"]:
    """Mean prompt of the class of the voxel that each point lies in; zeros where that is free.

    A point on a surface may lie just outside the voxel that its surface is labelled in: it then
    takes the class of the first labelled voxel among the 26 around, nearer ones first.

    Args:
        label: True labels.
        points_ego_m: Key ego frame, metres. Points outside the grid get zeros.
        vectors: Mean prompt of each class.
        grid: The grid of the labels.
    """
    cells = np.floor((points_ego_m - np.asarray(grid.lower_m)) / grid.edges_m).astype(int)
    padded = np.pad(np.minimum(label.semantics, FREE_ID), 3, constant_values=FREE_ID)
    cells = np.clip(cells + 3, 1, np.asarray(padded.shape) - 2)  # outside: all around is padding
    ids = np.full(len(cells), FREE_ID, np.uint8)
    steps = np.stack(np.meshgrid(*[[-1, 0, 1]] * 3, indexing="ij"), -1).reshape(-1, 3)
    for step in steps[np.argsort(np.abs(steps).sum(axis=1), kind="stable")]:
        x, y, z = (cells + step).T
        ids = np.where(ids == FREE_ID, padded[x, y, z], ids)
    return np.concatenate([vectors, np.zeros_like(vectors[:1])]).astype(np.float16)[ids]
