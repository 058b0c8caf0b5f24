"""Losses against loops written out, and against what they must do at their extremes."""

import math
from dataclasses import replace

import pytest
import torch
from render_kit import GRID, random_head, random_rays, random_volumes
from torch.nn.functional import normalize

from langocc.field import VoxelField
from langocc.render import losses
from langocc.render.config import RenderConfig
from langocc.render.objective import LossConfig, objective
from langocc.render.rendered import RenderedRays

CONFIG = RenderConfig(far_m=8.0, jitter=False)


def rendered(opacity: torch.Tensor, **more: torch.Tensor) -> RenderedRays:
    samples = opacity[..., None].expand(*opacity.shape, 1)
    return RenderedRays(opacity, samples, samples, samples, 0.0, 1.0, **more)


def test_distortion_equals_the_double_sum():
    generator = torch.Generator().manual_seed(0)
    weights = torch.rand(2, 3, 6, generator=generator, dtype=torch.float64)
    edges = torch.rand(2, 3, 7, generator=generator, dtype=torch.float64).cumsum(-1)
    middle, lengths = (edges[..., 1:] + edges[..., :-1]) / 2, edges.diff(dim=-1)
    apart = (middle[..., :, None] - middle[..., None, :]).abs()
    expected = (weights[..., :, None] * weights[..., None, :] * apart).sum((-1, -2))
    expected = expected + (weights.square() * lengths).sum(-1) / 3
    torch.testing.assert_close(losses.distortion(weights, edges), expected.mean())


def test_total_variation_by_hand():
    """One voxel of 3 in a 2 x 2 x 2 cube of zeros: three neighbours, 9 each, over 8 elements."""
    volume = torch.zeros(1, 2, 2, 2, 1)
    volume[0, 0, 0, 0] = 3.0
    assert float(losses.total_variation(volume)) == pytest.approx(27 / 8)


def test_sparsity_is_the_mean_density():
    assert float(losses.sparsity(torch.tensor([[[[1.0, 0.0, 0.5, 0.5]]]]))) == pytest.approx(0.5)


def test_opacity_loss_by_hand():
    opacity = torch.tensor([[0.25, 0.25, 0.0, 0.0]])
    is_sky = torch.tensor([[True, False, True, False]])
    loss = losses.opacity_loss(opacity, is_sky, torch.ones(1, 4))
    expected = (-math.log(0.75) - math.log(0.25)) / 4  # rays that miss cost nothing
    assert float(loss) == pytest.approx(expected, rel=1e-4)


def test_opacity_loss_is_finite_where_it_is_entirely_wrong():
    opacity = torch.tensor([[1.0, 1e-30]], requires_grad=True)
    loss = losses.opacity_loss(opacity, torch.tensor([[True, False]]), torch.ones(1, 2))
    loss.backward()
    assert loss.isfinite()
    assert opacity.grad is not None
    assert opacity.grad.isfinite().all()


def test_feature_losses_rank_directions_alike():
    target = normalize(torch.tensor([[[1.0, 0.0, 0.0]]]), dim=-1)
    near = normalize(torch.tensor([[[1.0, 0.2, 0.0]]]), dim=-1)
    far = normalize(torch.tensor([[[1.0, 2.0, 0.0]]]), dim=-1)
    one = torch.ones(1, 1)
    for loss in (losses.weighted_cosine_mse, losses.mse, losses.cosine):
        assert float(loss(target, target, one)) == pytest.approx(0, abs=1e-6)
        assert 0 < float(loss(near, target, one)) < float(loss(far, target, one))
    # Of unit vectors the squared error is 2 (1 - cos).
    assert float(losses.mse(far, target, one)) == pytest.approx(
        2 * float(losses.cosine(far, target, one)), rel=1e-5
    )


def test_colour_loss_is_the_mean_over_rays_and_colours():
    error = losses.rgb_l1(
        torch.zeros(1, 2, 3), torch.full((1, 2, 3), 0.5), torch.tensor([[1.0, 0]])
    )
    assert float(error) == pytest.approx(0.25)


def test_nearest_block_depth_ignores_pixels_without_depth():
    depth = torch.zeros(1, 4, 4)
    depth[0, 0, 0], depth[0, 1, 1], depth[0, 3, 3] = 7.0, 5.0, 2.0
    expected = torch.tensor([[[5.0, 0.0], [0.0, 2.0]]])
    torch.testing.assert_close(losses.nearest_block_depth(depth, 2), expected)


def test_depth_bins_by_hand():
    """Two labelled pixels in bins 0 and 2 of [1, 1.5), [1.5, 2), [2, 2.5); 0 and 9 m are not."""
    distribution = torch.tensor([0.5, 0.25, 0.25])[None, :, None, None].expand(1, 3, 1, 4)
    depth = torch.tensor([[[1.2, 2.0, 0.0, 9.0]]])
    first = -math.log(0.5) - 2 * math.log(0.75)
    second = -math.log(0.25) - math.log(0.5) - math.log(0.75)
    assert float(losses.depth_bins(distribution, depth)) == pytest.approx((first + second) / 2)
    assert float(losses.depth_bins(distribution, torch.zeros(1, 1, 4))) == 0


def test_movable_rays_of_other_times_are_dropped_and_others_weighed():
    target = torch.tensor([[[1.0, 0.0], [1.0, 0.1], [0.0, 1.0]]])
    prompts, movable = torch.eye(2), torch.tensor([True, False])
    other_time = torch.tensor([[True, False, True]])
    weights = losses.movable_ray_weights(target, prompts, movable, other_time, extra=0.5)
    torch.testing.assert_close(weights, torch.tensor([[0.0, 1.5, 1.0]]))
    kept = losses.movable_ray_weights(target, prompts, movable, other_time, drop=False)
    torch.testing.assert_close(kept, torch.ones(1, 3))


def test_rays_that_miss_weigh_nothing_but_are_counted():
    rays = random_rays(miss=4)
    density, features = random_volumes()
    seen = VoxelField(GRID, density, features, random_head()).render(rays, CONFIG)
    hit = seen.opacity > 0
    assert int((~hit).sum()) >= 8
    both = objective(seen, rays, density, LossConfig()).total
    per_ray = 2 * (1 - (seen.features * rays.features).sum(-1))
    expected = (per_ray * (seen.features - rays.features).square().sum(-1))[hit].sum() / hit.numel()
    torch.testing.assert_close(both, expected)


def test_sky_rays_do_not_thin_out_the_feature_loss():
    density, features = random_volumes()
    field, rays = VoxelField(GRID, density, features, random_head()), random_rays(miss=0)
    seen = field.render(rays, CONFIG)
    is_sky = torch.zeros_like(seen.opacity, dtype=torch.bool)
    is_sky[:, 20:] = True
    loss = objective(seen, replace(rays, is_sky=is_sky), density, LossConfig()).feature
    half = random_rays(miss=0)
    half = replace(
        half,
        origins=half.origins[:, :20],
        directions=half.directions[:, :20],
        features=half.features[:, :20],
        rgb=None,
    )
    alone = objective(field.render(half, CONFIG), half, density, LossConfig()).feature
    torch.testing.assert_close(loss, alone)


def test_terms_add_up():
    density, features = random_volumes()
    rays = random_rays()
    rays = replace(rays, is_sky=torch.arange(40).expand(2, 40) % 4 == 0)
    seen = VoxelField(GRID, density, features, random_head()).render(rays, CONFIG)
    config = LossConfig(
        feature_weight=2.0,
        opacity_weight=0.3,
        distortion_weight=0.1,
        density_variation_weight=0.05,
        sparsity_weight=0.01,
    )
    terms = objective(seen, rays, density, config)
    assert terms.opacity is not None
    assert terms.distortion is not None
    assert terms.density_variation is not None
    assert terms.sparsity is not None
    expected = 2.0 * terms.feature + 0.3 * terms.opacity + 0.1 * terms.distortion
    expected = expected + 0.05 * terms.density_variation + 0.01 * terms.sparsity
    torch.testing.assert_close(terms.total, expected)
    assert objective(seen, rays, density, LossConfig()).opacity is None


@pytest.mark.parametrize(
    ("missing", "config", "message"),
    [
        ({"features": None}, LossConfig(), r"rays\.features"),
        ({}, LossConfig(opacity_weight=0.1), r"rays\.is_sky"),
    ],
)
def test_missing_targets_are_named(missing, config, message):
    density, features = random_volumes()
    rays = random_rays()
    seen = VoxelField(GRID, density, features, random_head()).render(rays, CONFIG)
    with pytest.raises(ValueError, match=message):
        objective(seen, replace(rays, **missing), density, config)


def test_ray_weights_weigh_the_loss():
    opacity = torch.ones(1, 2)
    seen = rendered(opacity, features=torch.tensor([[[1.0, 0.0], [0.0, 1.0]]]))
    rays = random_rays(batch=1, rays=2, channels=2, miss=0)
    rays = replace(rays, features=torch.tensor([[[0.0, 1.0], [1.0, 0.0]]]))
    density = torch.zeros(1, 1, 1, 1)
    once = objective(seen, rays, density, LossConfig(feature="mse")).total
    weighed = replace(rays, weights=torch.tensor([[3.0, 0.0]]))
    torch.testing.assert_close(
        objective(seen, weighed, density, LossConfig(feature="mse")).total, once * 1.5
    )


def test_features_that_choose_among_texts_alike_cost_nothing():
    target = torch.tensor([[[1.0, 0.0, 0.0], [0.6, 0.8, 0.0]]])
    weights = torch.ones(1, 2)
    # The third axis is no text's, and length is no direction.
    predicted = (3 * target).requires_grad_()
    cost = losses.text_choice(predicted, target, 5 * torch.eye(3)[:2], weights, 0.1)
    assert float(cost) == pytest.approx(0.0, abs=1e-6)
    cost.backward()
    assert float(predicted.grad.abs().max()) < 1e-5


def test_text_choice_by_hand():
    target, predicted = torch.tensor([[[1.0, 0.0]]]), torch.tensor([[[0.0, 2.0]]])
    cost = losses.text_choice(predicted, target, torch.eye(2), torch.ones(1, 1), 0.5)
    sure = math.exp(2) / (math.exp(2) + 1)  # softmax of (1, 0) / 0.5
    unsure = 1 - sure
    by_hand = sure * math.log(sure / unsure) + unsure * math.log(unsure / sure)
    assert float(cost) == pytest.approx(by_hand, rel=1e-5)
    half = losses.text_choice(predicted, target, torch.eye(2), torch.full((1, 1), 0.5), 0.5)
    assert float(half) == pytest.approx(by_hand / 2, rel=1e-5)


def test_text_choice_leaves_the_teacher_alone():
    target = torch.rand(1, 4, 6, requires_grad=True)
    predicted = torch.rand(1, 4, 6, requires_grad=True)
    losses.text_choice(predicted, target, torch.rand(3, 6), torch.ones(1, 4), 0.1).backward()
    assert target.grad is None
    assert float(predicted.grad.abs().sum()) > 0
