# SPDX-License-Identifier: Apache-2.0
"""The engine for a GPU: norms folded, bfloat16, channels last, each part one CUDA graph."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from langocc.deploy.compact import folded, narrowed
from langocc.deploy.engine import Lifted
from langocc.deploy.prepared import Answering, Prepared, PreparedField
from langocc.deploy.recorded import Recorded, Tensors
from langocc.deploy.rig_rows import compared_rows, comparisons, lifted_rows, placements
from langocc.deploy.texts import OneText
from langocc.features.input_images import MEAN, STD
from langocc.geometry.rig import CameraRig
from langocc.model import stages
from langocc.model.langocc import LangOcc
from langocc.model.stages import Seen


class Fast:
    """An engine for a fixed number of cameras that answers texts and a vocabulary.

    Its numbers are those of `Eager` to the rounding of bfloat16. On a GPU, fields it gives out
    share memory with the next one: read or clone them before the next frame.
    """

    def __init__(
        self,
        model: LangOcc,
        vectors: Float[Tensor, "class out"],
        *,
        swap_rgb: bool,
        dtype: torch.dtype = torch.bfloat16,
    ) -> None:
        """A copy of the model is made; changes of its weights after that do not count.

        Args:
            model: On the engine's device.
            vectors: Class vectors, in the space of the model's features.
            swap_rgb: As it was trained.
            dtype: Of convolutions and matrix products; float32 on a processor for tests.

        Raises:
            ValueError: a model that was taught colours instead of text.
        """
        if model.config.variant != "language":
            raise ValueError(
                f"model: expected one that was taught text, got {model.config.variant}"
            )
        self.model = narrowed(folded(model), dtype)
        self.swap_rgb, self.dtype = swap_rgb, dtype
        self.device = model.frustum4.device
        self.mean = torch.tensor(MEAN, device=self.device)
        self.std = torch.tensor(STD, device=self.device)
        self.answering = Answering(self.model.head, vectors.to(self.device)).to(self.device)
        self._see = Recorded(self._seen, self.device)
        self._match = Recorded(self._matched, self.device)
        self._answer = Recorded(self._answered, self.device)
        self._see_all = Recorded(self._seen_all, self.device)
        self._answer_all = Recorded(self._answered_all, self.device)
        self._texts: dict[int, OneText] = {}

    @torch.no_grad()
    def see(self, inputs: UInt8[Tensor, "cam height width 3"]) -> Seen:
        """Features of a frame's RGB inputs."""
        return Seen(*(part.clone() for part in self._see(inputs)))

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
        (matched,) = self._match(current, reference, compared_rows(rig, [frame], [is_blind]))
        return matched.clone()

    @torch.no_grad()
    def answer(self, frames: Sequence[Lifted], rig: CameraRig) -> PreparedField:
        """The field of the lifted frames, newest first as in the rig, with its answers."""
        rows = lifted_rows(rig, self.model.config.quirks, [frame.is_missing for frame in frames])
        flat = [part for f in frames for part in (f.reduced, f.matched) if part is not None]
        return self._field(self._answer(rows, *flat))

    @torch.no_grad()
    def whole(
        self, inputs: UInt8[Tensor, "frame cam height width 3"], rig: CameraRig
    ) -> PreparedField:
        """A stateless pass: nothing is known of earlier frames.

        Args:
            inputs: RGB, newest first.
            rig: The same frames' cameras, on the processor; looked at while the GPU looks at the
                images.
        """
        seen, config = self._see_all(inputs), self.model.config
        lifted, nothing = range(config.lifted_frames), torch.zeros(inputs.shape[1]).bool()
        rows = [lifted_rows(rig, config.quirks, [nothing for _ in lifted])]
        if config.stereo:
            rows.append(compared_rows(rig, lifted, [nothing for _ in lifted]))
        return self._field(self._answer_all(*seen, *rows))

    def _seen(self, inputs: Tensor) -> Tensors:
        with self._computing():
            seen = stages.see(self.model, self._normalised(inputs))
        return seen.stride4, seen.reduced

    def _matched(self, current: Tensor, reference: Tensor, rows: Tensor) -> Tensors:
        places, is_blind = comparisons(self.model, rows)
        with self._computing():
            return (stages.match(self.model, current, reference, places[0], is_blind[0]),)

    def _answered(self, rows: Tensor, *flat: Tensor) -> Tensors:
        width, where = 1 + int(self.model.config.stereo), placements(self.model, rows)
        with self._computing():
            volumes = []
            for index in reversed(range(len(where))):
                reduced, *matched = flat[width * index : width * (index + 1)]
                given = (reduced, matched[0] if matched else None, where[index])
                volumes.append(stages.place(self.model, *given))
            return self._prepared(volumes)

    def _seen_all(self, inputs: Tensor) -> Tensors:
        """Stereo features of all frames, and what is lifted of all but a mere reference."""
        config, cams = self.model.config, inputs.shape[1]
        lifted = config.lifted_frames * cams
        with self._computing():
            images = self._normalised(inputs.flatten(0, 1))
            seen = stages.see(self.model, images[:lifted])
            stride4 = [seen.stride4]
            if config.stereo:
                stride4.append(self.model.backbone.stereo_features(images[lifted:]))
            return torch.cat(stride4), seen.reduced

    def _answered_all(
        self, stride4: Tensor, reduced: Tensor, rows: Tensor, *compared: Tensor
    ) -> Tensors:
        where, cams = placements(self.model, rows), rows.shape[1]
        maps, features = stride4.split(cams), reduced.split(cams)
        pairs = list(zip(*comparisons(self.model, *compared), strict=True)) if compared else []
        with self._computing():
            volumes = []
            for i in reversed(range(len(where))):
                matched = None
                if pairs:
                    matched = stages.match(self.model, maps[i], maps[i + 1], *pairs[i])
                volumes.append(stages.place(self.model, features[i], matched, where[i]))
            return self._prepared(volumes)

    def _prepared(self, volumes: Sequence[Tensor]) -> Tensors:
        field = stages.fuse(self.model, volumes)
        return field.density, field.features, *self.answering(field.features.flatten(0, 3))

    def _field(self, said: Tensors) -> PreparedField:
        density, features, hidden, inverse, best = said
        config, head = self.model.config, self.model.head
        prepared = Prepared(hidden, inverse, self.answering.vectors, best)
        if self.device.type == "cuda":  # where each graph leaves its results at one place
            if hidden.data_ptr() not in self._texts:
                self._texts[hidden.data_ptr()] = OneText(hidden, inverse, head.last)
            prepared = replace(prepared, text=self._texts[hidden.data_ptr()])
        on_faces = config.quirks.values_on_faces
        return PreparedField(config.grid, density, features, head, "language", on_faces, prepared)

    def _normalised(self, inputs: Tensor) -> Tensor:
        """As `input_images.normalised`, stored channels last; no constant comes from the host."""
        inputs = inputs.flip(-1) if self.swap_rgb else inputs
        return ((inputs.float() - self.mean) / self.std).movedim(-1, -3)

    def _computing(self) -> torch.autocast:
        enabled = self.dtype != torch.float32
        dtype = self.dtype if enabled else torch.bfloat16
        return torch.autocast(self.device.type, dtype, enabled=enabled, cache_enabled=False)
