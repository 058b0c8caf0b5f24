# SPDX-License-Identifier: Apache-2.0
"""What a page shows: a model, its text side, and frames."""

from collections.abc import Sequence
from dataclasses import dataclass

from langocc.predictor import ClassQueries, Predictor
from langocc.scenes.frame import Frame
from langocc.scenes.nuscenes import NuScenes
from langocc.speaking import Speaker


@dataclass(frozen=True)
class Source:
    """Where frames and answers come from.

    Attributes:
        predictor: The model.
        speaker: Its text side.
        classes: Prompts of the classes.
        dataset: Finds frames and labels.
        frames: Frames in the order in which they are shown.
    """

    predictor: Predictor
    speaker: Speaker
    classes: ClassQueries
    dataset: NuScenes
    frames: Sequence[Frame]
