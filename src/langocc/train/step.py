# SPDX-License-Identifier: Apache-2.0
"""One optimiser step: from a batch to loss terms and moved weights."""

import math
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from langocc.batch import Batch
from langocc.field import VoxelField
from langocc.geometry.rays import RayBatch
from langocc.model.depth_net import LiftInput
from langocc.model.langocc import LangOcc
from langocc.render.objective import DepthGuess, Objective, SurfaceAnswers, objective
from langocc.render.rendered import RenderedRays
from langocc.render.sampling import draw_uniforms
from langocc.train.across import spread_over
from langocc.train.config import TrainConfig
from langocc.train.faults import check_finite
from langocc.train.movable import MovablePrompts, movable_prompts, weighed
from langocc.train.overlap import OverlappedMean
from langocc.train.precision import (
    Precision,
    chosen_precision,
    computing,
    set_up_arithmetic,
)
from langocc.train.processes import Processes
from langocc.train.surfaces import surface_answers
from langocc.train.vocabulary import training_vocabulary


class TrainStep:
    """Renders, compares, learns."""

    def __init__(
        self,
        config: TrainConfig,
        model: LangOcc,
        optimizer: torch.optim.Optimizer,
        processes: Processes,
        checkpoints: Path,
        facts: Mapping[str, Any],
        device: torch.device,
    ) -> None:
        """Prepares a model for its batches, which may be split over processes.

        Raises:
            ConfigError: a loss needs a vocabulary and there is none that fits.
            DataError: the vocabulary's file cannot be used.
        """
        self.config, self.model, self.optimizer = config, model, optimizer
        self.processes, self.checkpoints = processes, checkpoints
        statistics = spread_over(
            model, processes, device, synchronised=config.batch_norm == "synchronised"
        )
        self._averaged = (
            OverlappedMean(model.named_parameters(), statistics, processes)
            if processes.count > 1
            else nullcontext()
        )
        self.device = device
        self.precision: Precision = chosen_precision(config.precision, device)
        set_up_arithmetic(self.precision)
        self._movable: MovablePrompts | None = None
        self._prompts: Tensor | None = None
        if (words := training_vocabulary(config, facts)) is not None:
            words = replace(words, vectors=words.vectors.to(device))
            self._prompts = self._reduced(words.vectors)
            if config.loss.needs_movable:
                self._movable = movable_prompts(words, config.loss)
        self._lift_input: LiftInput | None = None
        if config.loss.depth_weight:
            model.depth_net.register_forward_hook(self._remember)

    def __call__(self, batch: Batch, step: int) -> dict[str, float]:
        """Moves the weights; returns loss terms, `gradient`, its norm, and `seen`, as means.

        `seen` is the share of rays, sky aside, that see anything; means are over processes.

        Raises:
            DivergedError: one of them is not finite.
            ValueError: the batch lacks what a term needs.
        """
        # Dropout and jitter depend on the step alone: a resumed run draws the same.
        torch.manual_seed(self.config.seed * 1_000_003 + step)
        if batch.rays is None:
            raise ValueError("batch.rays: expected rays to train on, got None")
        with computing(self.precision, self.device):
            rays = self._targets(batch.rays)
            field = self.model(batch.images, batch.rig)
            rendered = self._render(field, rays, step, batch.tokens)
            surface = self._surface_answers(field, rays, rendered)
            losses = objective(
                rendered,
                rays,
                field.density,
                self.config.loss.at(step),
                features=field.features,
                prompts=self._prompts,
                surface=surface,
                depth=self._depth_guess(batch),
                mean=self.processes.mean,
            )
        self.optimizer.zero_grad(set_to_none=True)
        with self._averaged:
            losses.total.backward()
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip_norm)
        self.optimizer.step()
        evidence = [rays.features, rays.rgb, rendered.features, rendered.colour, rendered.opacity]
        seen = share_that_sees(rendered.opacity, rays.is_sky)
        return self._finite_terms(losses, norm, seen, step, batch.tokens, evidence)

    def _render(
        self, field: VoxelField, rays: RayBatch, step: int, tokens: tuple[str, ...]
    ) -> RenderedRays:
        try:
            return field.render(rays, self.config.render, self._jitter(rays))
        except ValueError:
            if bool(field.density.isfinite().all()):
                raise
            check_finite(
                {"density": math.nan},
                {},
                step=step,
                tokens=tokens,
                evidence=[field.density],
                checkpoints=self.checkpoints,
            )
            raise

    def _finite_terms(
        self,
        losses: Objective,
        norm: Tensor,
        seen: Tensor,
        step: int,
        tokens: tuple[str, ...],
        evidence: Sequence[Tensor | None],
    ) -> dict[str, float]:
        """All of them as numbers, means over processes."""
        terms = {entry.name: getattr(losses, entry.name) for entry in fields(losses)}
        terms = {name: term.detach() for name, term in terms.items() if term is not None}
        own = torch.stack([*terms.values(), norm, seen]).float()
        # One transfer a step, and after all work is handed over: it waits for the device.
        values = torch.stack([own, self.processes.mean(own)]).tolist()
        names = [*terms, "gradient", "seen"]
        mine, mean = (dict(zip(names, row, strict=True)) for row in values)
        check_finite(
            mine,
            mean,
            step=step,
            tokens=tokens,
            evidence=[tensor for tensor in evidence if tensor is not None],
            checkpoints=self.checkpoints,
        )
        return mean

    def _jitter(self, rays: RayBatch) -> Tensor:
        batch, count, _ = rays.origins.shape
        every = draw_uniforms(
            batch * self.processes.count, count, self.config.render, rays.origins.device
        )
        return self._own(every)

    def _surface_answers(
        self, field: VoxelField, rays: RayBatch, rendered: RenderedRays
    ) -> SurfaceAnswers | None:
        config = self.config.loss
        if not config.asks_surfaces:
            return None
        batch, count, _ = rays.origins.shape
        shape = (batch * self.processes.count, count, config.free_points)
        uniforms = self._own(torch.rand(shape, device=rays.origins.device))
        return surface_answers(field, rays, rendered, uniforms, config)

    def _own(self, every: Tensor) -> Tensor:
        """This process's part of what one process would draw for the whole batch."""
        return every.tensor_split(self.processes.count)[self.processes.rank]

    def _remember(self, module: nn.Module, inputs: object, lift_input: LiftInput) -> None:
        """Keeps what the depth net said last: the key frame comes after those before it."""
        self._lift_input = lift_input

    def _depth_guess(self, batch: Batch) -> DepthGuess | None:
        said, self._lift_input = self._lift_input, None
        if said is None:
            return None
        if batch.lidar_depth_m is None:
            raise ValueError("batch.lidar_depth_m: the depth loss needs it, got None")
        depth = self.config.model.depth
        measured_m = batch.lidar_depth_m.flatten(0, 1)
        return DepthGuess(said.depth, measured_m, depth.lower_m, depth.step_m)

    def _targets(self, rays: RayBatch) -> RayBatch:
        """Rays with weights and features as the loss takes them; reduced ones as published."""
        if self._movable is not None:
            rays = weighed(rays, self._movable, self.config.loss)
        if rays.features is None:
            return rays
        return replace(rays, features=self._reduced(rays.features))

    def _reduced(self, vectors: Float[Tensor, "... channel"]) -> Float[Tensor, "... reduced"]:
        """Vectors of the teacher's space as the field has them: the same ones without a reducer."""
        if self.model.reducer is None:
            return vectors
        return self.model.reducer.reduce(vectors).half().float()


def share_that_sees(
    opacity: Float[Tensor, "batch ray"], is_sky: Bool[Tensor, "batch ray"] | None
) -> Float[Tensor, ""]:
    """Of all rays but those of the sky, which should see nothing."""
    sees = opacity > 0
    if is_sky is None:
        return sees.float().mean()
    return (sees & ~is_sky).sum() / (~is_sky).sum().clamp(min=1)
