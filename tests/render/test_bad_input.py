"""Input nobody meant to give: a defined answer or a clear error, never a NaN loss."""

from dataclasses import replace

import pytest
import torch
from render_kit import GRID, random_head, random_rays, random_volumes

from langocc.field import VoxelField
from langocc.geometry.rays import RayBatch
from langocc.render.config import RenderConfig
from langocc.render.objective import LossConfig, objective

EVERYTHING = LossConfig(
    opacity_weight=0.1, distortion_weight=0.1, density_variation_weight=0.1, sparsity_weight=0.1
)


def step(rays: RayBatch, implementation: str, density: torch.Tensor | None = None):
    """Loss, gradients and what was rendered, of one training step."""
    volume, features = random_volumes()
    density = volume if density is None else density
    density.requires_grad_()
    features.requires_grad_()
    field = VoxelField(GRID, density, features, random_head())
    config = RenderConfig(far_m=8.0, jitter=False, implementation=implementation)
    seen = field.render(rays, config)
    is_sky = torch.arange(rays.origins.shape[1]).expand(rays.origins.shape[:2]) % 3 == 0
    loss = objective(seen, replace(rays, is_sky=is_sky), density, EVERYTHING).total
    loss.backward()
    for gradient in (density.grad, features.grad):
        assert gradient is None or gradient.isfinite().all()
    assert loss.isfinite()
    return seen


IMPLEMENTATIONS = pytest.mark.parametrize("implementation", ["readable", "sparse"])


@IMPLEMENTATIONS
@pytest.mark.parametrize(
    ("origin", "direction"),
    [
        ([0.0, 0.0, 0.0], [0.0, 0.0, 0.0]),
        ([float("nan"), 0.0, 0.0], [1.0, 0.0, 0.0]),
        ([0.0, 0.0, 0.0], [float("nan"), 0.0, 0.0]),
        ([0.0, float("inf"), 0.0], [1.0, 0.0, 0.0]),
        ([1e30, 0.0, 0.0], [1.0, 0.0, 0.0]),
        ([100.0, 0.0, 0.0], [1.0, 0.0, 0.0]),
    ],
)
def test_rays_that_cannot_see_see_nothing(implementation, origin, direction):
    rays = random_rays()
    rays.origins[0, 3] = torch.tensor(origin)
    rays.directions[0, 3] = torch.tensor(direction)
    seen = step(rays, implementation)
    assert float(seen.opacity[0, 3]) == 0
    assert float(seen.depth_m[0, 3]) == 8.0
    assert not seen.features[0, 3].any()
    assert float(seen.opacity[0, 4]) > 0


@IMPLEMENTATIONS
def test_all_rays_miss(implementation):
    seen = step(random_rays(rays=5, miss=5), implementation)
    assert not seen.opacity.any()


@IMPLEMENTATIONS
def test_no_rays(implementation):
    seen = step(random_rays(rays=0, miss=0), implementation)
    assert seen.features.shape == (2, 0, 12)


@IMPLEMENTATIONS
def test_empty_and_opaque_fields(implementation):
    shape = (2, *GRID.shape)
    assert not step(random_rays(), implementation, torch.zeros(shape)).opacity.any()
    seen = step(random_rays(), implementation, torch.full(shape, 1e4))
    # The samples gather where the light stops, within a fraction of the first interval.
    assert float(seen.opacity[0, 0]) == pytest.approx(1.0, abs=1e-4)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_density_that_is_no_number_is_refused(value):
    density, features = random_volumes()
    density[0, 1, 2, 3] = value
    field = VoxelField(GRID, density, features, random_head())
    with pytest.raises(ValueError, match="density: expected finite"):
        field.render(random_rays())


def test_another_number_of_scenes_is_refused():
    density, features = random_volumes(batch=1)
    field = VoxelField(GRID, density, features, random_head())
    with pytest.raises(ValueError, match="expected 1 scenes, got 2"):
        field.render(random_rays(batch=2))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"near_m": 5.0, "far_m": 5.0}, "near_m < far_m"),
        ({"near_m": -1.0}, "near_m"),
        ({"near_m": 6.0, "far_m": 5.0}, "got 6.0 and 5.0"),
        ({"samples": 1}, "at least 2"),
        ({"proposals": 0}, "at least 2"),
        ({"chunk_rays": 0}, "chunk_rays"),
    ],
)
def test_ranges_that_hold_no_ray_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        RenderConfig(**options)
