# SPDX-License-Identifier: Apache-2.0
"""The training objective: the paper's loss, and the terms that may be added to it."""

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from langocc.geometry.rays import RayBatch
from langocc.render import losses
from langocc.render.rendered import RenderedRays

FEATURE_LOSSES = {
    "weighted": losses.weighted_cosine_mse,
    "cosine": losses.cosine,
    "mse": losses.mse,
}


@dataclass(frozen=True)
class LossConfig:
    """Terms of the loss; the defaults are the published ones, where one term is active."""

    feature: Literal["weighted", "cosine", "mse"] = "weighted"
    """Distance of rendered and teacher features (paper, loss ablation)."""
    feature_weight: float = 1.0
    """Weight of the feature loss, or of the colour loss of an rgb field."""
    opacity_weight: float = 0.0
    """Weight of the opacity loss (method.md section 10: 0.1 to 0.3); needs rays with `is_sky`."""
    distortion_weight: float = 0.0
    """Weight of the distortion loss, per metre (published, off: 0.01)."""
    density_variation_weight: float = 0.0
    """Weight of the density's total variation (published, off: 0.05)."""
    sparsity_weight: float = 0.0
    """Weight of the mean density (published, off)."""


@dataclass(frozen=True)
class Objective:
    """The loss and its terms, unweighted; a term that is off is None."""

    total: Float[Tensor, ""]
    feature: Float[Tensor, ""]
    opacity: Float[Tensor, ""] | None = None
    distortion: Float[Tensor, ""] | None = None
    density_variation: Float[Tensor, ""] | None = None
    sparsity: Float[Tensor, ""] | None = None


def feature_loss(rendered: RenderedRays, rays: RayBatch, config: LossConfig) -> Float[Tensor, ""]:
    """Distance of what rays see to what the teacher (or the camera) saw there.

    Rays that miss the field weigh nothing but are counted (published). Sky rays have no target:
    they neither weigh nor count.

    Raises:
        ValueError: the rays lack the target that the field renders.
    """
    weights = (rendered.opacity > 0).to(rendered.opacity)
    if rays.weights is not None:
        weights = weights * rays.weights
    scale: float | Tensor = 1.0
    if rays.is_sky is not None:
        weights = weights * ~rays.is_sky
        scale = rays.is_sky.numel() / (~rays.is_sky).sum().clamp(min=1)
    if rendered.features is not None:
        if rays.features is None:
            raise ValueError("rays.features: expected teacher features, got None")
        target = rays.features.to(rendered.features)
        return FEATURE_LOSSES[config.feature](rendered.features, target, weights) * scale
    if rendered.colour is None or rays.rgb is None:
        raise ValueError("rays.rgb: expected colours beside a rendered colour, got None")
    return losses.rgb_l1(rendered.colour, rays.rgb.to(rendered.colour), weights) * scale


def objective(
    rendered: RenderedRays,
    rays: RayBatch,
    density: Float[Tensor, "batch x y z"],
    config: LossConfig,
) -> Objective:
    """The loss of one training step.

    Args:
        rendered: What the rays see.
        rays: What they should see.
        density: The field's density, for the terms that act on voxels.
        config: Terms and weights.

    Raises:
        ValueError: the rays lack a target that a term needs.

    Source: method.md sections 4 (step 5), 8b and 10.
    """
    feature = feature_loss(rendered, rays, config)
    total = config.feature_weight * feature
    terms: dict[str, Tensor] = {}
    if config.opacity_weight:
        if rays.is_sky is None:
            raise ValueError("rays.is_sky: the opacity loss needs it, got None")
        weights = torch.ones_like(rendered.opacity) if rays.weights is None else rays.weights
        if rays.is_hit is not None:  # what is neither sky nor a sure hit may end beyond the range
            weights = weights * (rays.is_sky | rays.is_hit)
        terms["opacity"] = losses.opacity_loss(rendered.opacity, rays.is_sky, weights)
        total = total + config.opacity_weight * terms["opacity"]
    if config.distortion_weight:
        terms["distortion"] = losses.distortion(rendered.weights, rendered.edges_m)
        total = total + config.distortion_weight * terms["distortion"]
    if config.density_variation_weight:
        terms["density_variation"] = losses.total_variation(density[..., None])
        total = total + config.density_variation_weight * terms["density_variation"]
    if config.sparsity_weight:
        terms["sparsity"] = losses.sparsity(density)
        total = total + config.sparsity_weight * terms["sparsity"]
    return Objective(total, feature, **terms)
