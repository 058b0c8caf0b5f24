# SPDX-License-Identifier: Apache-2.0
"""Inputs of an exported step, and the walk along a drive that feeds history back."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from langocc.deploy.arrivals import Arrival, Pictures, augmentations_of, cut_pictures
from langocc.deploy.step import input_names, past_names
from langocc.features.sample import camera_rig
from langocc.model import stages
from langocc.model.config import ModelConfig
from langocc.model.langocc import LangOcc
from langocc.model.lift import OUTSIDE
from langocc.model.projection import BEHIND
from langocc.predictor import Predictor
from langocc.scenes.frame import Frame

Tensors = Mapping[str, Tensor]
Step = Callable[[Tensors], Tensors]
"""Inputs by name to outputs by name."""
Geometry = Callable[[Sequence[Arrival]], Tensors]
"""A frame and those before it, newest first, to a step's `numbers`, `cells` and `places`."""


def arrived(predictor: Predictor, frame: Frame, pictures: Pictures | None = None) -> Arrival:
    """A frame with its network inputs.

    Args:
        predictor: The model.
        frame: The frame.
        pictures: RGB images by camera, None where there is none; None: read from its files.

    Raises:
        ValueError: no image at all, or one of another size than its camera's.
    """
    sample = predictor.config.sample
    return cut_pictures(frame, pictures, (), sample.input_size, sample.decode)


@torch.no_grad()
def step_inputs(predictor: Predictor, shown: Sequence[Arrival]) -> dict[str, Tensor]:
    """What a step takes of a frame, but for its history. On the CPU.

    Args:
        predictor: The model.
        shown: The frame and those before it, newest first; `config.input_frames` of them.
    """
    size, model = predictor.config.sample.input_size, predictor.model
    frames = [arrival.frame for arrival in shown]
    rig = camera_rig(frames[0], frames, augmentations_of(frames[0], size), np.eye(3))
    places = [stages.placement(model, rig, frame) for frame in range(model.config.lifted_frames)]
    inputs = {
        "images": shown[0].inputs,
        "numbers": torch.stack([where.numbers for where in places]),
        "cells": torch.stack([where.cells[0] for where in places]),
    }
    if model.config.stereo:
        inputs["places"] = stages.stereo_places(model, rig, 0)
    return without_missing(inputs, shown)


def without_missing(inputs: Tensors, shown: Sequence[Arrival]) -> dict[str, Tensor]:
    """Inputs of a step in which cameras without an image lie nowhere."""
    blind = torch.stack([arrival.is_missing for arrival in shown])
    cells = inputs["cells"]
    left_out = blind[: len(cells), :, None, None, None]
    done = dict(inputs) | {"cells": cells.masked_fill(left_out, OUTSIDE)}
    if "places" in inputs:
        unmatched = (blind[0] | blind[1])[:, None, None, None, None]
        done["places"] = inputs["places"].masked_fill(unmatched, BEHIND)
    return done


def no_history(model: LangOcc, cams: int) -> dict[str, Tensor]:
    """History from which a scene's first run starts."""
    config, past = model.config, model.config.lifted_frames - 1
    rows, columns = model.frustum16.shape[2:]
    shapes = {
        "stride4": (cams, 4 * config.backbone.width, *model.frustum4.shape[2:]),
        "reduced": (past, cams, config.neck_channels, rows, columns),
        "matched": (past, cams, config.depth.bins, rows, columns),
    }
    return {f"past_{name}": torch.zeros(shapes[name]) for name in past_names(config)}


def walk(
    predictor: Predictor,
    frames: Sequence[Frame],
    step: Step,
    pictures: Callable[[Frame], Pictures] | None = None,
    geometry: Geometry | None = None,
) -> list[Tensors]:
    """Outputs of a step for each frame of a scene, history handed on from frame to frame.

    Args:
        predictor: The model.
        frames: The scene's first frames.
        step: The step.
        pictures: Gives a frame's RGB images by camera; None: read from its files.
        geometry: What the step is given in place of the model's own geometry; None: that.
    """
    config = predictor.config.model
    history = no_history(predictor.model, len(frames[0].cameras))
    said: list[Tensors] = []
    drive = [arrived(predictor, frame, pictures(frame) if pictures else None) for frame in frames]
    for index in range(len(drive)):
        shown = [drive[max(index - back, 0)] for back in range(config.input_frames)]
        inputs = step_inputs(predictor, shown)
        if geometry is not None:
            inputs |= geometry(shown)
        runs = 1 if index else 1 + config.history_frames  # the first frame is its own past
        outputs: list[Tensors] = []
        for _ in range(runs):
            outputs.append(step(inputs | history))
            history = {f"past_{name}": outputs[-1][f"next_{name}"] for name in past_names(config)}
        said.append(outputs[-1])
    return said


def in_order(config: ModelConfig, inputs: Tensors) -> tuple[Tensor, ...]:
    """Inputs as `StreamStep` takes them."""
    return tuple(inputs[name] for name in input_names(config))
