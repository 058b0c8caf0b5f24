# SPDX-License-Identifier: Apache-2.0
"""A model beside three baselines, on the same frames and by the same measures.

The prior answers with the most frequent label per voxel of the training scenes; the projected
teacher with its features at the LiDAR points; the oracle teacher with the true labels, said in its
words. A model that does not beat the prior has learnt nothing from its images; the oracle is what
knowing every class would bring.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from langocc.errors import DataError
from langocc.evaluate.baselines import prior_of, write_oracle, write_prior, write_projected
from langocc.evaluate.benchmark import read_rows
from langocc.evaluate.lookup import frame_lookup
from langocc.evaluate.occ3d import OccupancyOptions, evaluate_predictions
from langocc.evaluate.origin import write_record
from langocc.evaluate.retrieval import evaluate_retrieval
from langocc.scenes.dataset import Split
from langocc.scenes.frame import Frame
from langocc.scenes.nuscenes import NuScenes
from langocc.teachers.teacher import Teacher
from langocc.teachers.text import Vocabulary


@dataclass(frozen=True)
class Scores:
    """Numbers of one method on one split, percent; NaN where the data has nothing to measure.

    Attributes:
        iou: Occupied or free, camera-visible voxels.
        miou_17: Mean over Occ3D's classes 0..16, the same voxels.
        miou_15: The same without `others` and `other_flat`.
        retrieval: mAP of text queries over LiDAR points, protocol `langocc`.
        retrieval_visible: The same over points that a camera sees.
        queries: Rows of the benchmark that it is the mean of.
    """

    iou: float
    miou_17: float
    miou_15: float
    retrieval: float
    retrieval_visible: float
    queries: int


def score(folder: Path, dataset: NuScenes, split: Split, teacher: Teacher) -> Scores:
    """Scores a folder of predictions.

    Raises:
        DataError: a prediction or label is missing or damaged.
    """
    frames = list(dataset.frames(split))
    counts = evaluate_predictions(
        folder, frames, lambda frame: label_of(dataset, frame), OccupancyOptions("camera", ())
    )
    occupancy = next(iter(counts.scores().values()))
    retrieval = retrieval_visible = float("nan")
    rows = []
    if dataset.folders.retrieval is not None:
        rows = read_rows(dataset.folders.retrieval, (split,))
    if rows:
        queries = sorted({row.query for row in rows})
        vectors = dict(zip(queries, teacher.text(queries).float().cpu().numpy(), strict=True))
        result = evaluate_retrieval(folder, rows, frame_lookup(dataset), vectors, ("langocc",))
        means = result.split("langocc", split)
        retrieval, retrieval_visible = means.map, means.visible_map
    return Scores(
        occupancy.occupied_iou,
        occupancy.miou_17,
        occupancy.miou_15,
        retrieval,
        retrieval_visible,
        len(rows),
    )


def write_baselines(
    folder: Path, dataset: NuScenes, split: Split, teacher: Teacher, vocabulary: Vocabulary
) -> dict[str, Path]:
    """Predictions of all baselines on a split; name -> folder.

    Raises:
        DataError: there are no training labels, or a file is missing or damaged.
    """
    frames: Sequence[Frame] = list(dataset.frames(split))
    vectors = teacher.text(vocabulary.prompts)
    words = (vectors.float().cpu().numpy(), vocabulary.class_ids)
    prior = prior_of(list(dataset.frames("train")), lambda frame: label_of(dataset, frame))
    names = ("prior", "projected teacher", "oracle teacher")
    folders = {name: folder / name.replace(" ", "-") for name in names}
    record = {"teacher": teacher.id, "vocabulary": vocabulary.name, "initialisation": "no model"}
    for place in folders.values():
        write_record(place, record)
    write_prior(prior, frames, folders["prior"], *words)
    write_oracle(frames, lambda frame: label_of(dataset, frame), folders["oracle teacher"], *words)
    device = str(vectors.device)
    with torch.inference_mode():
        write_projected(
            frames,
            teacher,
            folders["projected teacher"],
            vectors.float(),
            vocabulary.class_ids,
            device,
        )
    return folders


def label_of(dataset: NuScenes, frame: Frame) -> Path:
    """Path of a frame's Occ3D label.

    Raises:
        DataError: the data root has no labels.
    """
    path = dataset.folders.occ3d_label(frame)
    if path is None:
        raise DataError(f"{dataset.root}: no Occ3D labels; expected the folder gts/")
    return path
