# SPDX-License-Identifier: Apache-2.0
"""What goes with an exported step: all that a program without this package has to know.

JSON. Lengths in metres, sizes in pixels (height first for the network's input, width first for
images), matrices by rows.
"""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from langocc.deploy.arrivals import augmentations_of
from langocc.deploy.export import OPSET
from langocc.deploy.feeding import Tensors
from langocc.deploy.step import StreamStep, output_names
from langocc.geometry.augment import ImageAugmentation
from langocc.model.langocc import LangOcc
from langocc.predictor import Predictor
from langocc.provenance import software
from langocc.saving import origin_of
from langocc.scenes.frame import Frame


def step_facts(
    predictor: Predictor, step: StreamStep, frame: Frame, inputs: Tensors
) -> dict[str, Any]:
    """Facts of a step exported for a frame's rig.

    Args:
        predictor: The model.
        step: The step.
        frame: A frame of the fixed rig.
        inputs: Inputs of the shapes that the step was exported for, history included.
    """
    config = predictor.config.model
    origin = origin_of(predictor)
    cuts = augmentations_of(frame, predictor.config.sample.input_size)
    return {
        "opset": OPSET,
        "inputs": {n: [str(t.dtype)[6:], list(t.shape)] for n, t in inputs.items()},
        "outputs": output_names(config, step.answers),
        "answers": step.answers,
        "threshold": step.threshold,
        "input_size": list(config.input_size),
        "history_frames": config.history_frames,
        "lifted_frames": config.lifted_frames,
        "stereo": config.stereo,
        "grid": asdict(config.grid) | {"shape": list(config.grid.shape)},
        "cameras": [_camera(*pair) for pair in zip(frame.cameras, cuts, strict=True)],
        "checkpoint": origin["checkpoint"],
        "teacher": origin["teacher"],
        "initialisation": origin["initialisation"],
        "software": software(),
    }


def drive_record(model: LangOcc, frames: Sequence[Frame]) -> list[dict[str, Any]]:
    """Images and poses of frames, as `examples/run_onnx.py` reads them."""
    return [
        {
            "token": frame.token,
            "global_from_key": key_pose(model, frame).tolist(),
            "cameras": {
                name: {
                    "image": str(camera.image_path.resolve()),
                    "global_from_cam": (camera.global_from_ego @ camera.ego_from_cam).tolist(),
                }
                for name, camera in frame.cameras.items()
            },
        }
        for frame in frames
    ]


def key_pose(model: LangOcc, frame: Frame) -> np.ndarray:
    """global_from_key, as `projection.key_from_cam` takes it."""
    if model.config.quirks.first_camera_is_key:
        return np.asarray(next(iter(frame.cameras.values())).global_from_ego)
    return np.asarray(frame.global_from_ego)


def _camera(name: str, cut: ImageAugmentation) -> dict[str, Any]:
    """How a camera's image becomes an input."""
    return {
        "name": name,
        "image_size": list(cut.image_size),
        "resized_size": list(cut.resized_size),
        "crop_box": list(cut.crop_box),
    }
