# SPDX-License-Identifier: Apache-2.0
"""A model's rendering judged along rays of LiDAR points, frame by frame."""

from collections.abc import Iterable

import torch

from langocc.evaluate.render import RenderErrors
from langocc.evaluate.render_rays import lidar_rays
from langocc.predictor import Predictor
from langocc.scenes.dataset import Dataset
from langocc.scenes.frame import Frame
from langocc.speaking import Speaker


@torch.no_grad()
def frame_errors(
    predictor: Predictor, speaker: Speaker, dataset: Dataset, frames: Iterable[Frame], rays: int
) -> RenderErrors:
    """Errors of rendered features (against the teacher's) and depths (against the LiDAR's).

    Args:
        predictor: The model.
        speaker: Its teacher, and its reducer if it has one, on the model's device.
        dataset: Where the frames' past is found.
        frames: Frames with a LiDAR.
        rays: At most this many of each frame.

    Raises:
        DataError: a frame has no LiDAR, or a file is missing or damaged.
    """
    errors, device = RenderErrors(), str(predictor.device)
    for frame in frames:
        target = lidar_rays(frame, speaker.teacher, rays, device=device)
        features = target.rays.features
        assert features is not None
        if speaker.reducer is not None:
            features = speaker.reducer.reduce(features)
        field = predictor.field(dataset, frame.token)
        rendered = field.render(target.rays, predictor.config.render)
        assert rendered.features is not None
        found = (rendered.features[0], features[0], rendered.depth_m[0], target.lidar_m)
        errors.update(*found, frame.scene)
    return errors
