# SPDX-License-Identifier: Apache-2.0
"""The training objective: the paper's loss, and the terms that may be added to it."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from langocc.errors import ConfigError
from langocc.geometry.rays import RayBatch
from langocc.render import losses
from langocc.render.rendered import RenderedRays
from langocc.scenes.occ3d import OCC3D_CLASSES

FEATURE_LOSSES = {
    "weighted": losses.weighted_cosine_mse,
    "cosine": losses.cosine,
    "mse": losses.mse,
}


MOVABLE_CLASSES = (
    "bicycle",
    "bus",
    "car",
    "construction_vehicle",
    "motorcycle",
    "pedestrian",
    "trailer",
    "truck",
)
"""Occ3D classes of what may be elsewhere half a second later."""


@dataclass(frozen=True)
class LossConfig:
    """Terms of the loss; the defaults are the published ones, where one term is active."""

    feature: Literal["weighted", "cosine", "mse"] = "weighted"
    """Distance of rendered and teacher features (paper, loss ablation)."""
    feature_weight: float = 1.0
    """Weight of the feature loss, or of the colour loss of an rgb field."""
    opacity_weight: float = 0.0
    """Weight of the opacity loss; needs rays with `is_sky`. On the city 0.1 helped depth, and 1
    ruined the field (docs/results.md)."""
    distortion_weight: float = 0.0
    """Weight of the distortion loss, per metre (published, off: 0.01). From the first step on, even
    0.003 may end in a wall before the camera or an empty field (docs/results.md)."""
    distortion_from: int = 0
    """Step, from 0 on, at which the distortion loss begins. As long as no surface has been found,
    least spread is a wall before the camera, or nothing at all."""
    density_variation_weight: float = 0.0
    """Weight of the density's total variation (published, off: 0.05)."""
    sparsity_weight: float = 0.0
    """Weight of the mean density (published, off)."""
    feature_variation_weight: float = 0.0
    """Weight of the total variation of the voxel features, the head's input (published, off: 0.002
    of the head's output, a volume that is never built here)."""
    surface_weight: float = 0.0
    """Weight of direct questions to the field: occupied where a ray ends, free at points before it
    (as QueryOcc asks); needs samples with `ranges` where ranges are
    `measured`."""
    surface_feature_weight: float = 0.0
    """Weight of the feature loss at the same ends: the voxel there should say what the ray shows,
    whatever the rendering of the ray."""
    surface_range: Literal["measured", "rendered"] = "measured"
    """Where a ray ends: as the LiDAR measured, or where the field itself stops it."""
    surface_end: Literal["voxel", "point"] = "voxel"
    """What is occupied where a ray ends: the nearest voxel, which is what evaluation looks at, or
    the trilinear density at the point, which up to eight voxels share. Rendered ends lie where
    density fades in, before the voxel that stops them: there it is always the point."""
    free_points: int = 4
    """Points between a camera and the end of its ray that are asked whether they are free."""
    depth_weight: float = 0.0
    """Weight of the depth net's cross-entropy against LiDAR depth (published, off: 0.05); needs
    samples with `lidar_depth`."""
    text_weight: float = 0.0
    """Weight of the text loss: rendered features should choose among the prompts of a `vocabulary`
    as the teacher's do (paper and published code have no such term)."""
    text_temperature: float = 0.05
    """Divides the cosines that the prompts compete with."""
    movable: Literal["keep", "drop"] = "keep"
    """`drop`: rays of other times do not count where the teacher sees something that may have moved
    (method.md section 8b); needs a `vocabulary`."""
    movable_extra: float = 0.0
    """Movable things weigh 1 + this in the loss; needs a `vocabulary`."""
    movable_classes: tuple[str, ...] = MOVABLE_CLASSES
    """Occ3D classes that count as movable. The published code takes the ids 0 to 7."""

    def __post_init__(self) -> None:
        """Refuses classes that Occ3D does not have, and a temperature that divides by nothing."""
        if not self.text_temperature > 0:
            raise ConfigError(
                f"loss.text-temperature: expected more than 0, found {self.text_temperature}"
            )
        for name in self.movable_classes:
            if name not in OCC3D_CLASSES:
                raise ConfigError(
                    f"loss.movable-classes: unknown class {name!r}; there are "
                    f"{', '.join(OCC3D_CLASSES)}"
                )

    def at(self, step: int) -> "LossConfig":
        """The terms that count at a step of the training, from 0 on."""
        return self if step >= self.distortion_from else replace(self, distortion_weight=0.0)

    @property
    def asks_surfaces(self) -> bool:
        """Whether the field is asked at points."""
        return self.surface_weight != 0 or self.surface_feature_weight != 0

    @property
    def uses_ranges(self) -> bool:
        """Whether a LiDAR's ranges teach geometry, too; numbers have to say so."""
        asks_measured = self.asks_surfaces and self.surface_range == "measured"
        return asks_measured or self.depth_weight != 0

    @property
    def needs_movable(self) -> bool:
        """Whether rays are weighed by whether they show something movable."""
        return self.movable == "drop" or self.movable_extra != 0

    @property
    def needs_vocabulary(self) -> bool:
        """Whether a term asks what features are called."""
        return self.needs_movable or self.text_weight != 0


@dataclass(frozen=True)
class Objective:
    """The loss and its terms, unweighted; a term that is off is None."""

    total: Float[Tensor, ""]
    feature: Float[Tensor, ""]
    text: Float[Tensor, ""] | None = None
    opacity: Float[Tensor, ""] | None = None
    distortion: Float[Tensor, ""] | None = None
    density_variation: Float[Tensor, ""] | None = None
    sparsity: Float[Tensor, ""] | None = None
    feature_variation: Float[Tensor, ""] | None = None
    surface: Float[Tensor, ""] | None = None
    surface_feature: Float[Tensor, ""] | None = None
    depth: Float[Tensor, ""] | None = None


@dataclass(frozen=True)
class DepthGuess:
    """What the depth net says of the key frame's images, and what the LiDAR measured.

    Attributes:
        distribution: Probability of each depth bin.
        measured_m: Smallest depth in each pixel's block, metres; 0: none.
        first_m: Lower edge of the first bin, metres.
        step_m: Width of a bin, metres.
    """

    distribution: Float[Tensor, "view bin rows columns"]
    measured_m: Float[Tensor, "view rows columns"]
    first_m: float
    step_m: float


@dataclass(frozen=True)
class SurfaceAnswers:
    """What the field says where rays end and where they pass.

    Attributes:
        density: At the ends, 1/m.
        is_end: Rays whose end is known and inside the grid.
        free_density: At points before the end, 1/m, without the voxels that other rays end in.
        is_free: Rays known to pass there: those with an end, and sky.
        features: Unit features at the ends; None: not asked for.
        pitch_m: Size of the cell that a surface should fill, metres.
    """

    density: Float[Tensor, "batch ray"]
    is_end: Bool[Tensor, "batch ray"]
    free_density: Float[Tensor, "batch ray point"]
    is_free: Bool[Tensor, "batch ray"]
    features: Float[Tensor, "batch ray channel"] | None
    pitch_m: float


Mean = Callable[[Tensor], Tensor]
"""Mean of a count over the processes that share a batch; a count has no gradient."""


def _alone(count: Tensor) -> Tensor:
    return count


def feature_loss(
    rendered: RenderedRays, rays: RayBatch, config: LossConfig, mean: Mean = _alone
) -> Float[Tensor, ""]:
    """Distance of what rays see to what the teacher (or the camera) saw there.

    Rays that miss the field weigh nothing but are counted (published). Sky rays have no target:
    they neither weigh nor count.

    Raises:
        ValueError: the rays lack the target that the field renders.
    """
    weights, scale = _counted(rendered, rays, mean)
    if rendered.features is not None:
        if rays.features is None:
            raise ValueError("rays.features: expected teacher features, got None")
        target = rays.features.to(rendered.features)
        return FEATURE_LOSSES[config.feature](rendered.features, target, weights) * scale
    if rendered.colour is None or rays.rgb is None:
        raise ValueError("rays.rgb: expected colours beside a rendered colour, got None")
    return losses.rgb_l1(rendered.colour, rays.rgb.to(rendered.colour), weights) * scale


def _counted(
    rendered: RenderedRays, rays: RayBatch, mean: Mean
) -> tuple[Float[Tensor, "batch ray"], float | Tensor]:
    """Weights of rays that have a target, and what makes a mean over all one over these."""
    weights = (rendered.opacity > 0).to(rendered.opacity)
    if rays.weights is not None:
        weights = weights * rays.weights
    if rays.is_sky is None:
        return weights, 1.0
    is_target = ~rays.is_sky
    return weights * is_target, is_target.numel() / mean(is_target.sum().float()).clamp(min=1)


def objective(
    rendered: RenderedRays,
    rays: RayBatch,
    density: Float[Tensor, "batch x y z"],
    config: LossConfig,
    *,
    features: Float[Tensor, "batch x y z feature"] | None = None,
    prompts: Float[Tensor, "prompt channel"] | None = None,
    surface: SurfaceAnswers | None = None,
    depth: DepthGuess | None = None,
    mean: Mean = _alone,
) -> Objective:
    """The loss of one training step.

    Args:
        rendered: What the rays see.
        rays: What they should see.
        density: The field's density, for the terms that act on voxels.
        config: Terms and weights.
        features: The field's voxel features, for their total variation.
        prompts: Text embeddings in the space of the rays' features, for the text term.
        surface: For the terms at surfaces.
        depth: For the depth term.
        mean: Averages the counts that losses are divided by over all processes, so that the mean of
            their losses is the loss of the whole batch.

    Raises:
        ValueError: something that a term needs is missing.

    Source: method.md sections 4 (step 5), 8b and 10.
    """
    feature = feature_loss(rendered, rays, config, mean)
    total = config.feature_weight * feature
    terms: dict[str, Tensor] = {}
    if config.text_weight:
        terms["text"] = _text(rendered, rays, prompts, config, mean)
    if config.opacity_weight:
        terms["opacity"] = _opacity(rendered, rays)
    if config.distortion_weight:
        terms["distortion"] = losses.distortion(rendered.weights, rendered.edges_m)
    if config.density_variation_weight:
        terms["density_variation"] = losses.total_variation(density[..., None])
    if config.sparsity_weight:
        terms["sparsity"] = losses.sparsity(density)
    if config.feature_variation_weight:
        if features is None:
            raise ValueError("features: their total variation needs them, got None")
        terms["feature_variation"] = losses.total_variation(features)
    if config.asks_surfaces:
        terms |= _surface_terms(surface, rays, config)
    if config.depth_weight:
        if depth is None:
            raise ValueError("depth: the depth loss needs it, got None")
        terms["depth"] = _depth(depth, mean)
    for name, term in terms.items():
        total = total + getattr(config, f"{name}_weight") * term
    return Objective(total, feature, **terms)


def _text(
    rendered: RenderedRays,
    rays: RayBatch,
    prompts: Float[Tensor, "prompt channel"] | None,
    config: LossConfig,
    mean: Mean,
) -> Float[Tensor, ""]:
    if prompts is None or rendered.features is None or rays.features is None:
        raise ValueError("prompts: the text loss needs them and features of field and rays")
    weights, scale = _counted(rendered, rays, mean)
    target = rays.features.to(rendered.features)
    temperature = config.text_temperature
    return losses.text_choice(rendered.features, target, prompts, weights, temperature) * scale


def _opacity(rendered: RenderedRays, rays: RayBatch) -> Float[Tensor, ""]:
    if rays.is_sky is None:
        raise ValueError("rays.is_sky: the opacity loss needs it, got None")
    weights = torch.ones_like(rendered.opacity) if rays.weights is None else rays.weights
    if rays.is_hit is not None:  # what is neither sky nor a sure hit may end beyond the range
        weights = weights * (rays.is_sky | rays.is_hit)
    return losses.opacity_loss(rendered.opacity, rays.is_sky, weights)


def _surface_terms(
    surface: SurfaceAnswers | None, rays: RayBatch, config: LossConfig
) -> dict[str, Tensor]:
    if surface is None:
        raise ValueError("surface: the surface loss needs the field's answers, got None")
    weights = torch.ones_like(surface.density) if rays.weights is None else rays.weights
    terms = {}
    if config.surface_weight:
        occupied = losses.surface_cost(surface.density, surface.pitch_m)
        free = losses.free_cost(surface.free_density, surface.pitch_m)
        terms["surface"] = losses.ray_mean(occupied, weights * surface.is_end) + losses.ray_mean(
            free, weights * surface.is_free
        )
    if config.surface_feature_weight:
        if surface.features is None or rays.features is None:
            raise ValueError("surface: its feature loss needs features of field and rays, got None")
        target = rays.features.to(surface.features)
        compare = FEATURE_LOSSES[config.feature]
        terms["surface_feature"] = compare(surface.features, target, weights * surface.is_end)
    return terms


def _depth(depth: DepthGuess, mean: Mean) -> Float[Tensor, ""]:
    edges = (depth.first_m, depth.step_m)
    count = losses.labelled_pixels(depth.measured_m, depth.distribution.shape[1], *edges)
    own, shared = (c.clamp(min=1) for c in (count, mean(count)))
    return losses.depth_bins(depth.distribution, depth.measured_m, *edges) * (own / shared)
