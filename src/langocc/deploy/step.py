# SPDX-License-Identifier: Apache-2.0
"""One frame of a stream as a function of tensors alone: what is exported.

History goes in and comes out; geometry goes in, because it moves with the vehicle and needs
float64. At a scene's start, run the first frame `1 + history_frames` times, from zeros and each
time with the history of the run before: then it stands in for its own past, as in training.
"""

from collections.abc import Mapping
from typing import Literal

import torch
from jaxtyping import UInt8
from torch import Tensor, nn

from langocc.deploy.plain_ops import plain_cost_volume, plain_splat
from langocc.features.input_images import normalised
from langocc.model import stages
from langocc.model.config import ModelConfig
from langocc.model.langocc import LangOcc
from langocc.model.stages import Placement
from langocc.predictor import ClassQueries
from langocc.render.rows import unit_rows
from langocc.scenes.occ3d import FREE_ID

Answers = Literal["classes", "features"]
"""`classes`: a class per voxel. `features`: what texts can be compared with."""


def past_names(config: ModelConfig) -> list[str]:
    """What a model's history consists of."""
    has_past = config.lifted_frames > 1
    names = {
        "stride4": config.stereo,
        "reduced": has_past,
        "matched": has_past and config.stereo,
    }
    return [name for name, is_there in names.items() if is_there]


def input_names(config: ModelConfig) -> list[str]:
    """Arguments of `StreamStep`, in order."""
    geometry = ["numbers", "cells", *(["places"] if config.stereo else [])]
    return ["images", *geometry, *(f"past_{name}" for name in past_names(config))]


def output_names(config: ModelConfig, answers: Answers) -> list[str]:
    """Results of `StreamStep`, in order."""
    said = ["semantics"] if answers == "classes" else ["features", "projection"]
    return ["density", *said, *(f"next_{name}" for name in past_names(config))]


class StreamStep(nn.Module):
    """A frame's work on tensors of fixed shapes, one scene.

    Inputs (`lifted`: frames that become voxels, `cam` cameras, newest frame first):
        images: uint8 [cam, height, width, 3], RGB network inputs of the frame.
        numbers: float32 [lifted, cam, 27], `projection.camera_numbers`.
        cells: int64 [lifted, cam, depth, height16, width16], `lift.voxel_cells`; -1: in none, also
            for all points of a camera without an image.
        places: float32 [cam, depth, height4, width4, 2], `projection.stereo_grid` of the frame in
            the one before; -2: nowhere, also where one of the two images is missing.
        past_stride4: float32 [cam, channel4, height4, width4].
        past_reduced, past_matched: float32 [lifted - 1, cam, channel, height16, width16].

    Outputs:
        density: float32 [x, y, z], 1/m.
        semantics: uint8 [x, y, z], Occ3D ids, 17 where the density is below the threshold.
        features: float32 [x, y, z, hidden + 1]; the cosine of a unit text vector t and a voxel is
            (t @ projection) @ feature.
        projection: float32 [channel, hidden + 1].
        next_*: The history of the next frame.
    """

    class_weight: Tensor
    class_bias: Tensor
    class_ids: Tensor

    def __init__(
        self, model: LangOcc, classes: ClassQueries | None, *, swap_rgb: bool, threshold: float
    ) -> None:
        """Classes are folded into the last layer; None: features instead."""
        super().__init__()
        self.model = model
        self.swap_rgb = swap_rgb
        self.threshold = threshold
        self.answers: Answers = "features" if classes is None else "classes"
        self.names = input_names(model.config)
        last = model.head.last
        if classes is not None:
            vectors = classes.vectors.to(last.weight)
            self.register_buffer("class_weight", (vectors @ last.weight).detach())
            self.register_buffer("class_bias", (vectors @ last.bias).detach())
            ids = torch.tensor(classes.class_ids, dtype=torch.uint8, device=last.weight.device)
            self.register_buffer("class_ids", ids)

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """See the class; arguments as `input_names`, results as `output_names`."""
        given = dict(zip(self.names, tensors, strict=True))
        history = self._history(given)
        volumes = []
        for frame in reversed(range(self.model.config.lifted_frames)):  # oldest first
            where = Placement(given["numbers"][frame], given["cells"][frame][None])
            matched = history["matched"][frame] if "matched" in history else None
            reduced = history["reduced"][frame]
            volumes.append(stages.place(self.model, reduced, matched, where, plain_splat))
        density, rows = self._voxels(volumes)
        nexts = self._next(history, given)
        return density, *self._said(density, rows), *nexts

    def _history(self, given: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """This frame's features before those of earlier ones."""
        images: UInt8[Tensor, "cam height width 3"] = given["images"]
        seen = stages.see(self.model, normalised(images, self.swap_rgb))
        new = {"stride4": seen.stride4, "reduced": seen.reduced[None]}
        if self.model.config.stereo:
            reference, places = given["past_stride4"], given["places"]
            sees = torch.zeros(images.shape[0], dtype=torch.bool, device=images.device)
            matched = stages.match(
                self.model, seen.stride4, reference, places, sees, plain_cost_volume
            )
            new["matched"] = matched[None]
        for name in ("reduced", "matched"):
            if f"past_{name}" in given:
                new[name] = torch.cat([new[name], given[f"past_{name}"]])
        return new

    def _next(self, history: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> list[Tensor]:
        """What the next frame takes; frames that it no longer lifts fall out."""
        lifted = self.model.config.lifted_frames
        return [
            history[name] if name == "stride4" else history[name][: lifted - 1]
            for name in past_names(self.model.config)
        ]

    def _voxels(self, volumes: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Density, and features as rows: `LangOcc.decode` in one piece."""
        model = self.model
        volume = model.pyramid(model.encoder(torch.cat(volumes, dim=1)))
        features = model.final_conv(volume).relu_()[0].permute(1, 2, 3, 0)
        rows = features.flatten(0, 2)
        density = model.config.head.density_scale * model.density_head(rows).float().sigmoid()
        return density.view(features.shape[:3]), rows

    def _said(self, density: Tensor, rows: Tensor) -> tuple[Tensor, ...]:
        head, shape = self.model.head, density.shape
        if self.answers == "classes":
            logits = head.hidden(rows) @ self.class_weight.T + self.class_bias
            ids = self.class_ids[logits.argmax(dim=-1)].view(shape)
            return (torch.where(density < self.threshold, FREE_ID, ids),)
        hidden, inverse = unit_rows(rows, head)
        features = torch.cat([hidden, inverse[:, None]], dim=1).view(*shape, -1)
        projection = torch.cat([head.last.weight, head.last.bias[:, None]], dim=1)
        return features, projection.clone()
