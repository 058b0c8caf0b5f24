# SPDX-License-Identifier: Apache-2.0
"""Frames in, grids and answers out: what earlier frames computed is reused, not approximated."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float32, UInt8
from torch import Tensor

from langocc.asking import Model
from langocc.deploy.arrivals import Arrival, Pictures, augmentations_of, checked_frame, cut_pictures
from langocc.deploy.engine import Eager, Engine, Lifted
from langocc.deploy.fast import Fast
from langocc.deploy.memory import Memory, Pace, Remembered, cut_between, stereo_key
from langocc.features.sample import camera_rig
from langocc.field import VoxelField
from langocc.geometry.rig import CameraRig
from langocc.predictor import Predictor, predict_classes
from langocc.scenes.frame import Frame


@dataclass(frozen=True)
class StreamAnswer:
    """What a stream says of one frame, in the vehicle's frame at the key time.

    Attributes:
        frame: The frame, with every camera of the stream.
        shown: Tokens of the frames the model saw, newest first. The key frame's own token where it
            stands in for a frame that is not there, as at the start of a scene.
        notes: What was not as it should be: cameras without an image, gaps, cuts.
        missing: Cameras without an image: what they alone see is unknown.
        field: Density and features.
        model: What the stream was made from.
    """

    frame: Frame
    shown: tuple[str, ...]
    notes: tuple[str, ...]
    missing: tuple[str, ...]
    field: VoxelField
    model: Predictor | Model

    def semantics(self, threshold: float | None = None) -> UInt8[np.ndarray, "x y z"]:
        """Occ3D id of each voxel of Occ3D's grid; 17 is free.

        Args:
            threshold: Density from which a voxel is occupied, 1/m; None: the model's own.

        Raises:
            ValueError: the stream was made from a predictor, which knows no classes.
        """
        model = self._speaking()
        level = model.predictor.threshold if threshold is None else threshold
        semantics = predict_classes(self.field, model.classes, level).semantics
        assert semantics is not None
        return semantics

    def similarity(
        self, *queries: str, threshold: float | None = None
    ) -> Mapping[str, Float32[np.ndarray, "x y z"]]:
        """Query -> cosine of each occupied voxel of the field's grid; NaN where it is free.

        Raises:
            ValueError: as `semantics`.
        """
        model = self._speaking()
        level = model.predictor.threshold if threshold is None else threshold
        return model.speaker.similarity(self.field, queries, level)

    def _speaking(self) -> Model:
        if not isinstance(self.model, Model):
            raise ValueError("stream: expected one made from langocc.load(...), got a predictor's")
        return self.model


class Stream:
    """A model that watches one vehicle.

    Each frame's images are looked at once; each pair of frames is compared once. What is reused is
    what a whole forward pass would compute anew, bit for bit.

    Example:
        model = langocc.load("runs/demo/run")
        stream = langocc.Stream(model)
        for frame in dataset.frames("val"):
            answer = stream.push(frame)
            print(answer.similarity("red car")["red car"], *answer.notes)
    """

    def __init__(
        self, model: Model | Predictor, pace: Pace | None = None, engine: Engine | None = None
    ) -> None:
        """Starts without a past.

        Args:
            model: From `langocc.load`, or a predictor (which answers with fields alone).
            pace: How far apart frames of the past lie; None: half a second, as in nuScenes.
            engine: Computes; None: the model's own operations in its own precision, the numbers of
                `Model.predict`. On a GPU `Stream.fast` makes one that keeps up with cameras.
        """
        self.model = model
        self.predictor = model.predictor if isinstance(model, Model) else model
        self.config = self.predictor.config
        swap_rgb = self.config.sample.swap_rgb
        self.engine = engine or Eager(self.predictor.model, swap_rgb=swap_rgb)
        self.memory = Memory(pace or Pace(), self.config.model.history_frames)

    @staticmethod
    def fast(model: Model, pace: Pace | None = None) -> "Stream":
        """A stream in bfloat16 and CUDA graphs: see `langocc.deploy.fast.Fast`."""
        predictor = model.predictor
        swap_rgb = predictor.config.sample.swap_rgb
        engine = Fast(predictor.model, model.classes.vectors, swap_rgb=swap_rgb)
        return Stream(model, pace, engine)

    def reset(self) -> None:
        """Forgets all frames: for another vehicle, another rig, or an earlier time."""
        self.memory.forget()

    def push(
        self, frame: Frame, images: Pictures | UInt8[Tensor, "cam height width 3"] | None = None
    ) -> StreamAnswer:
        """What the model says of the vehicle's surroundings now. Refused frames leave no trace.

        Args:
            frame: Cameras, poses, time, scene. Later than the last one of the same scene.
            images: RGB camera images by name, None for a camera without one; or all network inputs
                as one tensor (in pinned memory: not to be written until the answer has been read);
                or None: the frame's image files. A file that is missing or damaged is a camera
                without an image.

        Raises:
            ValueError: a frame that is not later than the last one, a camera that the stream does
                not know, a pose or calibration that cannot be, an image of another size, or no
                image at all.
        """
        newest = self.memory.newest
        frame, absent = checked_frame(frame, newest)
        arrival, notes = self._arrival(frame, images, absent), list(absent)
        if newest is not None:
            if frame.scene == newest.scene and frame.timestamp_us <= newest.timestamp_us:
                raise ValueError(
                    f"frame {frame.token}: expected a time after {newest.timestamp_us} us, that of "
                    f"frame {newest.token}, got {frame.timestamp_us} us"
                )
            cut = cut_between(newest, frame, self.memory.pace)
            if cut is not None:
                self.memory.forget()
                notes.append(f"{cut}: earlier frames are forgotten")
        seen = self.engine.see(arrival.inputs)  # a GPU is busy with it during what follows
        before, gap = self.memory.past_of(frame)
        key = Remembered(frame, seen, arrival.is_missing, before)
        self.memory.add(key)
        shown = self.memory.shown(key)
        is_missing = arrival.is_missing.tolist()
        return StreamAnswer(
            frame,
            tuple(remembered.frame.token for remembered in shown),
            (*notes, *arrival.notes, *([gap] if gap else [])),
            tuple(name for name, m in zip(frame.cameras, is_missing, strict=True) if m),
            self._field(shown),
            self.model,
        )

    def _arrival(
        self,
        frame: Frame,
        images: Pictures | UInt8[Tensor, "cam height width 3"] | None,
        notes: Sequence[str],
    ) -> Arrival:
        width, height = self.config.sample.input_size
        absent = [note.split(":")[0] for note in notes]
        if not isinstance(images, Tensor):
            decode = self.config.sample.decode
            return cut_pictures(frame, images, absent, (width, height), decode)
        expected = (len(frame.cameras), height, width, 3)
        if tuple(images.shape) != expected or images.dtype != torch.uint8:
            raise ValueError(
                f"images: expected uint8 {expected}, got {images.dtype} {tuple(images.shape)}"
            )
        is_missing = torch.tensor([name in absent for name in frame.cameras])
        return Arrival(frame, images, is_missing, ())

    def _field(self, shown: Sequence[Remembered]) -> VoxelField:
        """The field of the key frame and its past, newest first."""
        config, frames = self.config.model, [remembered.frame for remembered in shown]
        cuts = augmentations_of(frames[0], self.config.sample.input_size)
        rig = camera_rig(frames[0], frames, cuts, np.eye(3))
        lifted = []
        for index, remembered in enumerate(shown[: config.lifted_frames]):
            matched = self._matched(shown, index, rig) if config.stereo else None
            lifted.append(Lifted(remembered.seen.reduced, matched, remembered.is_missing))
        return self.engine.answer(lifted, rig)

    def _matched(self, shown: Sequence[Remembered], index: int, rig: CameraRig) -> Tensor:
        """Stereo features of a frame and the one before it: those of an earlier time, or new."""
        frame, reference = shown[index], shown[index + 1]
        name = reference.frame.token, stereo_key(rig)
        if name not in frame.matches:
            stride4 = frame.seen.stride4, reference.seen.stride4
            is_blind = frame.is_missing | reference.is_missing
            frame.matches[name] = self.engine.match(*stride4, rig, index, is_blind)
        return frame.matches[name]
