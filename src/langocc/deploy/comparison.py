# SPDX-License-Identifier: Apache-2.0
"""How far an exported step is from the model, in numbers."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from langocc.deploy.arrivals import Arrival, augmentations_of
from langocc.deploy.facts import key_pose
from langocc.deploy.feeding import Geometry, Step, Tensors, arrived, step_inputs, without_missing
from langocc.deploy.geometry_step import geometry_inputs
from langocc.deploy.step import StreamStep
from langocc.features.input_images import normalised
from langocc.features.sample import camera_rig
from langocc.field import FREE, VoxelField
from langocc.predictor import ClassQueries, Predictor
from langocc.render.rows import unit_rows
from langocc.scenes.dataset import Dataset
from langocc.scenes.frame import Frame
from langocc.scenes.occ3d import FREE_ID

MOVED = 1e-3
"""Difference of densities from which a voxel counts as moved, 1/m."""


@dataclass(frozen=True)
class GeometryDifference:
    """Where a geometry graph puts what the model puts elsewhere.

    Attributes:
        points: Share of lifted points in another voxel.
        places: Share of points compared by stereo on another side of an image's rim.
    """

    points: float
    places: float


@dataclass(frozen=True)
class Difference:
    """Two answers on one frame.

    Attributes:
        density: Largest difference, 1/m.
        moved: Share of voxels whose densities differ by more than `MOVED`.
        answer: Share of voxels of another class; of features, the largest difference.
        history: Largest difference of what is handed on, relative to the largest value; None: not
            compared.
    """

    density: float
    moved: float
    answer: float
    history: float | None = None


def difference(one: Tensors, other: Tensors) -> Difference:
    """Of two outputs of a step."""
    steps = [
        float((value - other[name]).abs().max() / other[name].abs().max().clamp(min=1e-9))
        for name, value in one.items()
        if name.startswith("next_") and name in other and value.numel()
    ]
    apart = (one["density"] - other["density"]).abs()
    return Difference(
        float(apart.max()),
        float((apart > MOVED).float().mean()),
        _answers_apart(one, other),
        max(steps) if steps else None,
    )


def geometry_of(predictor: Predictor, run: Step) -> Geometry:
    """What a `GeometryStep`, or the graph of it, makes of frames' poses."""

    def geometry(shown: Sequence[Arrival]) -> Tensors:
        poses = [
            torch.from_numpy(
                np.stack(
                    [c.global_from_ego @ c.ego_from_cam for c in arrival.frame.cameras.values()]
                )
            )
            for arrival in shown
        ]
        key = torch.from_numpy(key_pose(predictor.model, shown[0].frame))
        return without_missing(run(geometry_inputs(predictor.model, poses, key)), shown)

    return geometry


def geometry_apart(
    predictor: Predictor, frames: Sequence[Frame], geometry: Geometry
) -> GeometryDifference:
    """The largest shares among frames of one scene."""
    back = range(predictor.config.model.input_frames)
    drive = [arrived(predictor, frame) for frame in frames]
    points, places = [0.0], [0.0]
    for index in range(len(drive)):
        shown = [drive[max(index - earlier, 0)] for earlier in back]
        given, expected = geometry(shown), step_inputs(predictor, shown)
        points.append(float((given["cells"] != expected["cells"]).float().mean()))
        if "places" in expected:
            inside = [(each["places"].abs() <= 1).all(dim=-1) for each in (given, expected)]
            places.append(float((inside[0] != inside[1]).float().mean()))
    return GeometryDifference(max(points), max(places))


@torch.no_grad()
def models_apart(
    one: Predictor,
    other: Predictor,
    dataset: Dataset,
    frame: Frame,
    classes: ClassQueries | None,
    threshold: float,
) -> Difference:
    """Two sets of weights of one network on a frame: density, and classes or features."""
    fields = [predictor.field(dataset, frame.token) for predictor in (one, other)]
    answers = [{"density": field.density[0]} | _said(field, threshold, classes) for field in fields]
    return difference(*answers)


@torch.no_grad()
def whole_pass(
    predictor: Predictor, step: StreamStep, shown: Sequence[Frame], classes: ClassQueries | None
) -> Tensors:
    """What the model itself says in one stateless forward pass, as the step puts it."""
    sample = predictor.config.sample
    cut = torch.stack([arrived(predictor, frame).inputs for frame in shown])
    images = normalised(cut[None], sample.swap_rgb)
    augmentations = augmentations_of(shown[0], sample.input_size)
    rig = camera_rig(shown[0], shown, augmentations, np.eye(3))
    field = predictor.model(images, rig)
    return {"density": field.density[0]} | _said(field, step.threshold, classes)


def _said(field: VoxelField, threshold: float, classes: ClassQueries | None) -> dict[str, Tensor]:
    if classes is None:
        rows = field.features.flatten(0, 3)
        assert field.head is not None
        hidden, inverse = unit_rows(rows, field.head)
        features = torch.cat([hidden, inverse[:, None]], dim=1)
        return {"features": features.view(*field.density.shape[1:], -1)}
    best = field.classes(classes.vectors, threshold)[0]
    ids = torch.tensor([*classes.class_ids, FREE_ID], dtype=torch.uint8)
    return {"semantics": ids[torch.where(best == FREE, len(ids) - 1, best)]}


def _answers_apart(one: Tensors, other: Tensors) -> float:
    if "semantics" in one:
        return float((one["semantics"] != other["semantics"]).float().mean())
    return float((one["features"] - other["features"]).abs().max())
