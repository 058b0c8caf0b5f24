# SPDX-License-Identifier: Apache-2.0
"""Baselines as folders of saved predictions, so that they are scored like any model."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float

from langocc.errors import DataError
from langocc.evaluate.labels import read_label
from langocc.evaluate.oracle import oracle_features, oracle_prediction
from langocc.evaluate.predictions import write_prediction
from langocc.evaluate.prior import Prior, class_vectors, learn_prior
from langocc.evaluate.projected import lidar_points_ego, occupancy_from_points, project_teacher
from langocc.scenes.frame import Frame
from langocc.teachers.teacher import Teacher


def prior_of(frames: Sequence[Frame], label_path: Callable[[Frame], Path]) -> Prior:
    """The prior of training frames.

    Raises:
        DataError: there is no training frame, or a label is missing or damaged.
    """
    if not frames:
        raise DataError("prior: expected training frames with labels, got none")
    return learn_prior(read_label(label_path(frame)) for frame in frames)


def write_prior(
    prior: Prior,
    frames: Sequence[Frame],
    folder: Path,
    prompt_vectors: Float[np.ndarray, "prompt channel"] | None = None,
    class_ids: Sequence[int] = (),
) -> None:
    """Writes the prior's answer for every frame.

    Args:
        prior: What a place usually is.
        frames: Frames to answer for.
        folder: Where to write.
        prompt_vectors: Text vectors of the vocabulary; with them, frames that have a LiDAR also get
            `point_features`.
        class_ids: Occ3D id of each prompt.
    """
    vectors = None if prompt_vectors is None else class_vectors(prompt_vectors, class_ids)
    for frame in frames:
        features = None
        if vectors is not None and frame.lidar is not None:
            features = prior.point_features(lidar_points_ego(frame), vectors)
        write_prediction(folder, frame.token, prior.prediction(), features)


def write_oracle(
    frames: Sequence[Frame],
    label_path: Callable[[Frame], Path],
    folder: Path,
    prompt_vectors: Float[np.ndarray, "prompt channel"],
    class_ids: Sequence[int],
) -> None:
    """Writes the oracle teacher's answer for every frame; features for those that have a LiDAR.

    Raises:
        DataError: a label or LiDAR file is missing or damaged.
    """
    vectors = class_vectors(prompt_vectors, class_ids)
    for frame in frames:
        label, features = read_label(label_path(frame)), None
        if frame.lidar is not None:
            features = oracle_features(label, lidar_points_ego(frame), vectors)
        prediction = oracle_prediction(label, prompt_vectors, tuple(class_ids))
        write_prediction(folder, frame.token, prediction, features)


def write_projected(
    frames: Sequence[Frame],
    teacher: Teacher,
    folder: Path,
    prompt_vectors: Float[torch.Tensor, "prompt channel"],
    class_ids: Sequence[int],
    device: str = "cpu",
) -> None:
    """Writes the projected teacher's answer for every frame.

    Raises:
        DataError: a frame has no LiDAR, or a file is missing or damaged.
    """
    for frame in frames:
        points = project_teacher(frame, teacher, device)
        prediction = occupancy_from_points(points, prompt_vectors.cpu(), class_ids)
        write_prediction(folder, frame.token, prediction, points.features.astype(np.float16))
