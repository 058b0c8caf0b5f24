# SPDX-License-Identifier: Apache-2.0
"""How a stream computes: op by op, in the arithmetic asked for."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from langocc.features.input_images import normalised
from langocc.field import VoxelField
from langocc.geometry.rig import CameraRig
from langocc.model import stages
from langocc.model.langocc import LangOcc
from langocc.model.stages import Seen
from langocc.train.precision import Precision, chosen_precision, computing


@dataclass(frozen=True)
class Lifted:
    """What becomes one frame's voxels.

    Attributes:
        reduced: From `stages.see`.
        matched: From `Engine.match`; None without stereo.
        is_missing: Cameras without an image, on the processor.
    """

    reduced: Float[Tensor, "cam channel height width"]
    matched: Float[Tensor, "cam depth height width"] | None
    is_missing: Bool[Tensor, " cam"]


@runtime_checkable
class Engine(Protocol):
    """The three parts of a frame's work.

    Features lie on the engine's device, a rig (of one scene) on the processor: composing a few
    small matrices there is quicker than on a GPU.
    """

    model: LangOcc

    def see(self, inputs: UInt8[Tensor, "cam height width 3"]) -> Seen:
        """Features of a frame's RGB inputs."""
        ...

    def match(
        self,
        current: Float[Tensor, "cam channel4 height4 width4"],
        reference: Float[Tensor, "cam channel4 height4 width4"],
        rig: CameraRig,
        frame: int,
        is_blind: Bool[Tensor, " cam"],
    ) -> Float[Tensor, "cam depth height width"]:
        """As `stages.match`, of a frame of the rig and the one before it."""
        ...

    def answer(self, frames: Sequence[Lifted], rig: CameraRig) -> VoxelField:
        """The field of the lifted frames, newest first as in the rig."""
        ...


class Eager:
    """The model's own operations, one after another: the numbers of a whole forward pass."""

    def __init__(self, model: LangOcc, *, swap_rgb: bool, precision: Precision = "fp32") -> None:
        """A model in evaluation mode; `swap_rgb` as it was trained."""
        self.model = model
        self.swap_rgb = swap_rgb
        self.device = model.frustum4.device
        self.precision: Precision = chosen_precision(precision, self.device)

    @torch.no_grad()
    def see(self, inputs: UInt8[Tensor, "cam height width 3"]) -> Seen:
        """Features of a frame's RGB inputs."""
        images = normalised(inputs.to(self.device, non_blocking=True), self.swap_rgb)
        with computing(self.precision, self.device):
            return stages.see(self.model, images)

    @torch.no_grad()
    def match(
        self,
        current: Float[Tensor, "cam channel4 height4 width4"],
        reference: Float[Tensor, "cam channel4 height4 width4"],
        rig: CameraRig,
        frame: int,
        is_blind: Bool[Tensor, " cam"],
    ) -> Float[Tensor, "cam depth height width"]:
        """As `stages.match`, of a frame of the rig and the one before it."""
        places = stages.stereo_places(self.model, rig, frame)
        is_blind = is_blind.to(self.device, non_blocking=True)
        with computing(self.precision, self.device):
            return stages.match(self.model, current, reference, places, is_blind)

    @torch.no_grad()
    def answer(self, frames: Sequence[Lifted], rig: CameraRig) -> VoxelField:
        """The field of the lifted frames, newest first as in the rig."""
        volumes = []
        for index, frame in enumerate(frames):
            is_missing = frame.is_missing.to(self.device, non_blocking=True)
            where = stages.placement(self.model, rig, index, is_missing)
            with computing(self.precision, self.device):
                volumes.append(stages.place(self.model, frame.reduced, frame.matched, where))
        with computing(self.precision, self.device):
            return stages.fuse(self.model, volumes[::-1])
