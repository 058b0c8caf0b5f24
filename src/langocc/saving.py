# SPDX-License-Identifier: Apache-2.0
"""Predictions of many frames into a folder, taken up where a killed run stopped."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from langocc.errors import ConfigError
from langocc.evaluate.origin import RECORD, read_record, write_record
from langocc.evaluate.predictions import missing_tokens, write_prediction
from langocc.field import VoxelField
from langocc.predictor import ClassQueries, Predictor, predict_classes, predict_points
from langocc.scenes.dataset import Dataset
from langocc.scenes.frame import Frame
from langocc.train.config import config_as_dict


@dataclass(frozen=True)
class SavePlan:
    """What a folder of predictions was made with; another plan replaces its files.

    Attributes:
        threshold: Density from which a voxel is occupied, 1/m.
        vocabulary: Name of the prompts' vocabulary.
        templates: Prompts were averaged over the templates.
        points: LiDAR points' features are saved as well.
    """

    threshold: float
    vocabulary: str
    templates: bool
    points: bool


def save_predictions(
    predictor: Predictor,
    dataset: Dataset,
    frames: Sequence[Frame],
    queries: ClassQueries | None,
    folder: Path,
    plan: SavePlan,
    watch: Callable[[Frame, VoxelField | None], None] = lambda frame, field: None,
) -> None:
    """Writes `<token>.npz` of every frame; files of the same plan and checkpoint are kept.

    Args:
        predictor: The model.
        dataset: Where the frames' past is found.
        frames: Frames to predict.
        queries: The vocabulary's vectors; None for a model of colours.
        folder: Where to write.
        plan: What else decides about the files' content.
        watch: Called after every frame with its field; None for frames that were there.

    Raises:
        DataError: an image is missing or damaged.
        ConfigError: the folder holds archives that are no predictions of ours.
        OSError: the disk is full or the folder cannot be written.
    """
    _claim(folder, origin_of(predictor) | vars(plan))
    missing = set(missing_tokens(folder, [frame.token for frame in frames]))
    for frame in frames:
        field = None
        if frame.token in missing:
            field = predictor.field(dataset, frame.token)
            points = plan.points and frame.lidar is not None
            write_prediction(
                folder,
                frame.token,
                predict_classes(field, queries, plan.threshold),
                predict_points(field, frame) if points else None,
            )
        watch(frame, field)


def origin_of(predictor: Predictor) -> dict[str, Any]:
    """What a report says of a model: its checkpoint, teacher, first weights and configuration."""
    return {
        "checkpoint": dict(predictor.checkpoint),
        "teacher": str(predictor.facts.get("teacher", "")),
        "initialisation": str(predictor.facts.get("initial", predictor.config.initial)),
        "config": config_as_dict(predictor.config),
    }


def _claim(folder: Path, record: dict[str, Any]) -> None:
    """Makes the folder one of this record: files of another one are stale and are removed."""
    found = read_record(folder)
    # Files of the same plan and weights are the same files, whatever else a record says of them.
    deciding = ("checkpoint", *SavePlan.__annotations__)
    if found is not None and all(found.get(name) == record[name] for name in deciding):
        if found != record:
            write_record(folder, record)
        return
    stale = list(folder.glob("*.npz"))
    if stale and found is None:
        raise ConfigError(
            f"{folder}: holds {len(stale)} .npz files that were not written here ({RECORD} is "
            "missing); name another folder"
        )
    for file in stale:
        file.unlink()
    write_record(folder, record)
