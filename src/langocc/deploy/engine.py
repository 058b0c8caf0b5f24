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
from langocc.model import stages
from langocc.model.langocc import LangOcc
from langocc.model.stages import Placement, Seen
from langocc.train.precision import Precision, chosen_precision, computing


@dataclass(frozen=True)
class Lifted:
    """What becomes one frame's voxels.

    Attributes:
        reduced: From `stages.see`.
        matched: From `stages.match`; None without stereo.
        where: From `stages.placement`.
    """

    reduced: Float[Tensor, "cam channel height width"]
    matched: Float[Tensor, "cam depth height width"] | None
    where: Placement


@runtime_checkable
class Engine(Protocol):
    """The three parts of a frame's work. Images and features lie on the engine's device."""

    model: LangOcc

    def see(self, inputs: UInt8[Tensor, "cam height width 3"]) -> Seen:
        """Features of a frame's RGB inputs."""
        ...

    def match(
        self,
        current: Float[Tensor, "cam channel4 height4 width4"],
        reference: Float[Tensor, "cam channel4 height4 width4"],
        places: Float[Tensor, "cam depth height4 width4 2"],
        is_blind: Bool[Tensor, " cam"],
    ) -> Float[Tensor, "cam depth height width"]:
        """As `stages.match`."""
        ...

    def answer(self, frames: Sequence[Lifted]) -> VoxelField:
        """The field of the lifted frames, oldest first."""
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
        places: Float[Tensor, "cam depth height4 width4 2"],
        is_blind: Bool[Tensor, " cam"],
    ) -> Float[Tensor, "cam depth height width"]:
        """As `stages.match`."""
        with computing(self.precision, self.device):
            return stages.match(self.model, current, reference, places, is_blind)

    @torch.no_grad()
    def answer(self, frames: Sequence[Lifted]) -> VoxelField:
        """The field of the lifted frames, oldest first."""
        with computing(self.precision, self.device):
            volumes = [stages.place(self.model, f.reduced, f.matched, f.where) for f in frames]
            return stages.fuse(self.model, volumes)
