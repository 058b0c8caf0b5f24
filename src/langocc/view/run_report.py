# SPDX-License-Identifier: Apache-2.0
"""`report.html` of a run: numbers beside the baselines, and pictures of what the model sees."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from langocc.comparison import Scores, label_of
from langocc.evaluate.labels import read_label
from langocc.field import VoxelField
from langocc.predictor import ClassQueries, Predictor, predict_classes
from langocc.provenance import software
from langocc.scenes.frame import Frame
from langocc.scenes.nuscenes import NuScenes
from langocc.teachers.teacher import Teacher
from langocc.view.frame_figures import (
    camera_occupancy,
    camera_title,
    feature_views,
    occupancy_figures,
    photographs,
    query_figures,
)
from langocc.view.page import Column, Figure, Page, Row, Section, write_page
from langocc.view.rendered_views import render_view

COLUMNS = (
    Column("IoU", "%, camera mask"),
    Column("mIoU", "%, 17 classes, camera mask"),
    Column("mIoU", "%, 15 classes, camera mask"),
    Column("retrieval mAP", "%, LiDAR points in the grid"),
    Column("visible mAP", "%, of points that a camera sees"),
)


def write_run_report(
    path: Path,
    predictor: Predictor,
    dataset: NuScenes,
    teacher: Teacher,
    queries: ClassQueries,
    scores: Mapping[str, Scores],
    tokens: Sequence[str],
    texts: Sequence[str],
) -> Path:
    """Writes the page.

    Args:
        path: Where to.
        predictor: The model.
        dataset: The frames.
        teacher: Answers texts and shows its features.
        queries: The vocabulary.
        scores: Numbers by method; the model's own is called "model".
        tokens: Key frames shown.
        texts: Queries shown on each of them.

    Raises:
        DataError: an image or label is missing or damaged.
    """
    sections = []
    for token in tokens:
        frame = dataset.frame(token)
        field = predictor.field(dataset, token)
        sections += [
            _scene_section(frame, field, dataset, queries, predictor.threshold),
            _feature_section(frame, field, predictor, teacher),
            _query_section(frame, field, teacher, texts, predictor.threshold),
        ]
    page = Page(
        title="LangOcc: what the model sees, and how well",
        summary=(
            "A voxel grid of density and CLIP-aligned features, learnt from camera images by "
            f"rendering it back to the cameras{_beside_images(predictor)}. No 3D label was used in "
            "training; the scenes below were not trained on."
        ),
        columns=COLUMNS,
        rows=[
            Row(
                name,
                [s.iou, s.miou_17, s.miou_15, s.retrieval, s.retrieval_visible],
                is_ours=name == "model",
            )
            for name, s in scores.items()
        ],
        sections=sections,
        facts={
            "checkpoint": f"{predictor.checkpoint['file']}, "
            f"sha256 {predictor.checkpoint['sha256'][:12]}",
            "preset": str(predictor.facts.get("preset", "")),
            "initial weights": str(predictor.facts.get("initial", "")),
            "teacher": teacher.id,
            "steps": str(predictor.checkpoint["step"]),
            "occupied from": f"{predictor.threshold:g} /m",
            "data": f"{dataset.root.name}, {dataset.version}",
            **software(),
        },
    )
    return write_page(path, page)


def _beside_images(predictor: Predictor) -> str:
    uses_ranges = predictor.config.loss.uses_ranges
    return " and from the ranges that a LiDAR measured" if uses_ranges else ""


def _scene_section(
    frame: Frame, field: VoxelField, dataset: NuScenes, queries: ClassQueries, threshold: float
) -> Section:
    prediction = predict_classes(field, queries, threshold).semantics
    truth = read_label(label_of(dataset, frame)).semantics
    return Section(
        f"Scene {frame.scene}",
        "What the cameras see, and the occupancy predicted from it beside the truth. Truth is "
        "shown whole, also where no camera sees it.",
        [
            Figure("Six cameras", photographs(frame), is_wide=True),
            *occupancy_figures(prediction, truth),
            Figure("Occupied voxels", camera_occupancy(frame, prediction), is_wide=True),
        ],
    )


def _feature_section(
    frame: Frame, field: VoxelField, predictor: Predictor, teacher: Teacher
) -> Section:
    names = list(frame.cameras)[:3]
    views = {n: render_view(field, frame, n, teacher, predictor.config.render) for n in names}
    maps = {
        "teacher": {camera_title(n): view.teacher for n, view in views.items()},
        "rendered": {camera_title(n): view.features for n, view in views.items()},
    }
    return Section(
        "Features, rendered back to the cameras",
        "Colours are the leading principal components, the same in all pictures: alike colours "
        "mean alike meaning. The teacher sees the image; the rendered row sees only the voxels.",
        [Figure("Teacher and rendered features", feature_views(maps), is_wide=True)],
    )


def _query_section(
    frame: Frame, field: VoxelField, teacher: Teacher, texts: Sequence[str], threshold: float
) -> Section:
    similarity = field.query(teacher.text(texts).to(field.density.device))[0].cpu().numpy()
    occupied = (field.density[0] >= threshold).cpu().numpy()
    figures = []
    for text, scores in zip(texts, similarity, strict=True):
        seen = np.where(occupied, scores, np.nan)
        figures += query_figures(frame, text, seen, field.grid)
    return Section(
        "Ask it anything",
        "Similarity of every occupied voxel to a text: red is most alike. The texts are free; "
        "the live viewer takes your own.",
        figures,
    )
