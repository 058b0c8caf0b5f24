# SPDX-License-Identifier: Apache-2.0
"""Losses as pure functions. Means keep every ray in the denominator, as published."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

EPSILON = 1e-6


def ray_mean(
    per_ray: Float[Tensor, "batch ray"], weights: Float[Tensor, "batch ray"]
) -> Float[Tensor, ""]:
    """Sum of weighted values over the number of all rays; 0 without rays."""
    return (per_ray * weights).sum() / max(per_ray.numel(), 1)


def _cosine(
    one: Float[Tensor, "batch ray channel"], other: Float[Tensor, "batch ray channel"]
) -> Float[Tensor, "batch ray"]:
    """Cosine of the angle; torch's own divides both tensors, which takes two more passes."""
    lengths = [torch.linalg.vector_norm(v, dim=-1).clamp(min=1e-8) for v in (one, other)]
    return (one * other).sum(-1) / (lengths[0] * lengths[1])


def weighted_cosine_mse(
    predicted: Float[Tensor, "batch ray channel"],
    target: Float[Tensor, "batch ray channel"],
    weights: Float[Tensor, "batch ray"],
    stop_gradient: bool = True,
) -> Float[Tensor, ""]:
    """Squared error, weighted by how far the direction is off: the loss of the paper.

    mean of stopgrad(2 (1 - cos)) * sum_c (p_c - t_c)^2. With `stop_gradient` off (published as an
    option) the factor is learned through, too.

    Source: method.md section 4, step 5.
    """
    with torch.set_grad_enabled(torch.is_grad_enabled() and not stop_gradient):
        distance = 2 * (1 - _cosine(predicted, target))
    return ray_mean(distance * (predicted - target).square().sum(-1), weights)


def mse(
    predicted: Float[Tensor, "batch ray channel"],
    target: Float[Tensor, "batch ray channel"],
    weights: Float[Tensor, "batch ray"],
) -> Float[Tensor, ""]:
    """Squared error summed over channels: the first row of the paper's loss ablation."""
    return ray_mean((predicted - target).square().sum(-1), weights)


def cosine(
    predicted: Float[Tensor, "batch ray channel"],
    target: Float[Tensor, "batch ray channel"],
    weights: Float[Tensor, "batch ray"],
) -> Float[Tensor, ""]:
    """Cosine distance 1 - cos: the second row of the paper's loss ablation."""
    return ray_mean(1 - _cosine(predicted, target), weights)


def text_choice(
    predicted: Float[Tensor, "batch ray channel"],
    target: Float[Tensor, "batch ray channel"],
    prompts: Float[Tensor, "prompt channel"],
    weights: Float[Tensor, "batch ray"],
    temperature: float,
) -> Float[Tensor, ""]:
    """How differently two features choose among texts: a divergence of two softmaxes, nats.

    mean of KL(softmax(cos(t, text) / T) || softmax(cos(p, text) / T)). Every text is a negative of
    the others, and no label says which is right: the teacher's own feature does, so that the
    feature loss and this one are least at the same feature.

    Args:
        predicted: Rendered features.
        target: Teacher features; no gradient.
        prompts: Text embeddings, of any length.
        weights: Of rays.
        temperature: T, in units of a cosine.
    """
    with torch.autocast(predicted.device.type, enabled=False):
        directions = functional.normalize(prompts.float(), dim=-1)
        chosen, wanted = (
            functional.log_softmax(
                functional.normalize(one.float(), dim=-1) @ directions.T / temperature, dim=-1
            )
            for one in (predicted, target.detach())
        )
        return ray_mean((wanted.exp() * (wanted - chosen)).sum(-1), weights)


def rgb_l1(
    predicted: Float[Tensor, "batch ray 3"],
    target: Float[Tensor, "batch ray 3"],
    weights: Float[Tensor, "batch ray"],
) -> Float[Tensor, ""]:
    """Mean absolute error over rays and colours (method.md section 2, step 8)."""
    return ray_mean((predicted - target).abs().mean(-1), weights)


def opacity_loss(
    opacity: Float[Tensor, "batch ray"],
    is_sky: Bool[Tensor, "batch ray"],
    weights: Float[Tensor, "batch ray"],
) -> Float[Tensor, ""]:
    """Binary cross-entropy of a ray's summed weight: 0 for sky rays, 1 for all others.

    Source: method.md section 10. A ray that misses the grid has nothing to learn and costs 0.
    """
    opacity = opacity.clamp(0.0, 1.0)
    cost = -torch.log(torch.where(is_sky, 1 - opacity, opacity) + EPSILON)
    return ray_mean(cost, weights * (opacity > 0))


def distortion(
    weights: Float[Tensor, "batch ray sample"], edges_m: Float[Tensor, "batch ray edge"]
) -> Float[Tensor, ""]:
    """How far each ray's weights are spread, in metres.

    mean of sum_ij w_i w_j |m_i - m_j| + 1/3 sum_i w_i^2 d_i with midpoints m, lengths d. The
    midpoints increase along the ray, which makes the double sum one cumulative sum.

    Source: method.md section 8b.
    """
    middle = (edges_m[..., 1:] + edges_m[..., :-1]) / 2
    moment = weights * middle
    weight_before = weights.cumsum(-1) - weights
    moment_before = moment.cumsum(-1) - moment
    between = 2 * (moment * weight_before - weights * moment_before).sum(-1)
    within = (weights.square() * edges_m.diff(dim=-1)).sum(-1) / 3
    return ray_mean(between + within, torch.ones_like(within))


def total_variation(volume: Float[Tensor, "batch x y z channel"]) -> Float[Tensor, ""]:
    """Squared differences of neighbouring voxels, summed, per element of the volume.

    Source: method.md section 8b.
    """
    squares = (volume.diff(dim=axis).square().sum() for axis in (1, 2, 3))
    return torch.stack(list(squares)).sum() / max(volume.numel(), 1)


def sparsity(density: Float[Tensor, "batch x y z"]) -> Float[Tensor, ""]:
    """Mean absolute density (method.md section 8b)."""
    return density.abs().mean()


def surface_cost(density: Float[Tensor, "batch ray"], pitch_m: float) -> Float[Tensor, "batch ray"]:
    """What a surface costs that the field does not see, per ray.

    -log of the share of light that a cell of `pitch_m` metres and the density there would stop.
    """
    return -torch.log(-torch.expm1(-density * pitch_m) + EPSILON)


def free_cost(
    density: Float[Tensor, "batch ray point"], pitch_m: float
) -> Float[Tensor, "batch ray"]:
    """What matter costs where nothing is, mean over the points of a ray.

    -log of the share of light that a cell of `pitch_m` metres and the density there would let pass.
    """
    return density.mean(-1) * pitch_m


def nearest_block_depth(
    depth_m: Float[Tensor, "image height width"], block: int = 16
) -> Float[Tensor, "image rows columns"]:
    """Smallest positive depth of each block of pixels, metres; 0 where a block has none."""
    tiles = depth_m.unfold(1, block, block).unfold(2, block, block).flatten(3)
    nearest = torch.where(tiles > 0, tiles, torch.inf).amin(-1)
    return torch.where(nearest.isfinite(), nearest, 0.0)


def depth_bins(
    distribution: Float[Tensor, "image bin rows columns"],
    depth_m: Float[Tensor, "image rows columns"],
    first_m: float = 1.0,
    step_m: float = 0.5,
) -> Float[Tensor, ""]:
    """Binary cross-entropy of depth distributions against one-hot depths, per labelled pixel.

    Args:
        distribution: Probability of each depth bin.
        depth_m: Depth of each pixel, metres; labels outside the bins (0: none) are left out.
        first_m: Lower edge of the first bin, metres.
        step_m: Width of a bin, metres.

    Source: method.md section 8b.
    """
    bins = distribution.shape[1]
    label = ((depth_m - first_m) / step_m).floor()
    is_labelled = (label >= 0) & (label < bins)
    predicted = distribution.movedim(1, -1)[is_labelled].float()
    target = functional.one_hot(label[is_labelled].long(), bins).to(predicted)
    with torch.autocast(predicted.device.type, enabled=False):
        cost = functional.binary_cross_entropy(predicted, target, reduction="sum")
    return cost / is_labelled.sum().clamp(min=1)


def labelled_pixels(
    depth_m: Float[Tensor, "image rows columns"], bins: int, first_m: float, step_m: float
) -> Float[Tensor, ""]:
    """Number of depths that fall into a bin: what `depth_bins` divides by."""
    label = ((depth_m - first_m) / step_m).floor()
    return ((label >= 0) & (label < bins)).sum().float()


def movable_ray_weights(
    target: Float[Tensor, "batch ray channel"],
    prompts: Float[Tensor, "prompt channel"],
    is_movable: Bool[Tensor, " prompt"],
    is_other_time: Bool[Tensor, "batch ray"],
    drop: bool = True,
    extra: float = 0.0,
) -> Float[Tensor, "batch ray"]:
    """Loss weights of rays, by whether their target looks like something that moves.

    Args:
        target: Teacher features.
        prompts: Text embeddings of all classes.
        is_movable: Which prompts name things that move.
        is_other_time: The ray was seen at another time than the key frame.
        drop: Movable things seen at another time get weight 0: they may be elsewhere by now.
        extra: Movable things otherwise get weight 1 + extra.

    Source: method.md section 8b.
    """
    movable = is_movable[(target @ prompts.T.to(target)).argmax(-1)]
    weights = torch.where(movable, 1.0 + extra, 1.0).to(target)
    return torch.where(movable & is_other_time, 0.0, weights) if drop else weights
