"""Rendering against closed forms, slow loops, invariances, and gradients against differences."""

import math

import pytest
import torch
from render_kit import GRID, random_head, random_rays, random_volumes
from torch.nn.functional import normalize

from langocc.field import VoxelField
from langocc.geometry.grid import VoxelGrid
from langocc.geometry.rays import RayBatch
from langocc.render.compositing import ray_weights
from langocc.render.config import RenderConfig
from langocc.render.lookup import Box, corners, lookup, voxel_coordinates
from langocc.render.objective import LossConfig, objective
from langocc.render.readable import composite_features, place_samples, render_geometry
from langocc.render.sampling import draw_uniforms
from langocc.render.sparse import sparse_features
from langocc.render.volume import Volume

WIDE = VoxelGrid((-20.0, -20.0, -20.0), (20.0, 20.0, 20.0), 2.0)


def one_ray(origin=(0.0, 0.0, 0.0), direction=(1.0, 0.0, 0.0)) -> RayBatch:
    return RayBatch(torch.tensor([[origin]]), torch.tensor([[direction]]))


def density_field(density: torch.Tensor, grid: VoxelGrid = WIDE) -> VoxelField:
    return VoxelField(grid, density, torch.zeros(*density.shape, 1))


def test_uniform_density_stops_light_exponentially():
    """In sigma = 0.3/m the opacity up to 15 m is 1 - exp(-4.5) and the mean depth is known."""
    sigma, far = 0.3, 15.0
    field = density_field(torch.full((1, *WIDE.shape), sigma))
    config = RenderConfig(near_m=0.0, far_m=far, jitter=False, samples=2000)
    seen = field.render(one_ray(), config)
    opacity = 1 - math.exp(-sigma * far)
    assert float(seen.opacity) == pytest.approx(opacity, abs=1e-4)
    mean = 1 / sigma - far * math.exp(-sigma * far) / opacity
    assert float(seen.depth_m) == pytest.approx(mean, rel=1e-3)


def test_opaque_wall_hides_what_is_behind_it():
    """A wall 8 m ahead of 50/m: the ray stops where its density first rises, and sees its colour.

    Voxel 14's value sits at x = 9.47 m (align_corners), the one before at 7.37 m: the density rises
    linearly between them, so half the light is gone once the integral of the ramp reaches ln 2.
    """
    density = torch.zeros(1, *WIDE.shape)
    density[:, 14:] = 50.0
    features = torch.zeros(1, *WIDE.shape, 6)
    features[:, 14], features[:, 15:] = 1.0, -1.0
    head = random_head()
    field = VoxelField(WIDE, density, features, head)
    seen = field.render(one_ray(), RenderConfig(far_m=20.0, jitter=False, implementation="sparse"))
    pitch = 40 / 19
    ramp_start = 13 * pitch - 20
    median = ramp_start + math.sqrt(2 * math.log(2) * pitch / 50)
    # The samples gather where the light stops; 1e-3 passes between the last one and the far end.
    assert float(seen.opacity) == pytest.approx(1.0, abs=1e-3)
    assert float(seen.depth_m) == pytest.approx(median, abs=0.1)
    wall = normalize(head(torch.ones(6)), dim=-1)
    # Between voxel 13 (features zero) and 14: the head is not linear, so only the direction of the
    # interpolated unit vectors is known.
    empty = normalize(head(torch.zeros(6)), dim=-1)
    share = torch.linalg.lstsq(torch.stack([empty, wall], 1), seen.features[0, 0, :, None])
    assert float((share.solution > 0).all())
    assert float(share.residuals.sum()) < 1e-6


def test_two_depths_of_a_thin_veil_before_a_denser_one():
    """Mean and densest place differ: a veil of 0.05/m all the way, thickest at voxel 14.

    Voxel 14's value sits at 9.47 m. The veil's optical depth to 18 m is 0.9 and the bump adds
    0.25 * 2.105 m: its mean depth is computed here by plain summation.
    """
    pitch = 40 / 19
    density = torch.full((1, *WIDE.shape), 0.05)
    density[:, 14] = 0.3
    seen = density_field(density).render(
        one_ray(), RenderConfig(near_m=0.0, far_m=18.0, jitter=False, samples=1500)
    )
    bump_m = 14 * pitch - 20
    assert float(seen.peak_depth_m) == pytest.approx(bump_m, abs=0.05)
    count = 100_000
    light, mean, stopped = 1.0, 0.0, 0.0
    step = 18.0 / count
    for i in range(count):
        at = (i + 0.5) * step
        sigma = 0.05 + 0.25 * max(0.0, 1 - abs(at - bump_m) / pitch)
        weight = light * (1 - math.exp(-sigma * step))
        light, mean, stopped = light - weight, mean + weight * at, stopped + weight
    assert float(seen.opacity) == pytest.approx(stopped, abs=1e-3)
    assert float(seen.depth_m) == pytest.approx(mean / stopped, abs=0.03)


def test_empty_ray_sees_nothing():
    seen = density_field(torch.zeros(1, *WIDE.shape)).render(one_ray(), RenderConfig(far_m=19.0))
    assert float(seen.opacity) == 0
    assert float(seen.depth_m) == 19.0
    assert float(seen.peak_depth_m) == 19.0


def test_weights_equal_the_recursive_definition():
    generator = torch.Generator().manual_seed(3)
    sigma = torch.rand(5, 20, generator=generator, dtype=torch.float64)
    lengths = torch.rand(5, 20, generator=generator, dtype=torch.float64)
    expected = torch.zeros_like(sigma)
    for ray in range(5):
        light = 1.0
        for sample in range(20):
            left = light * math.exp(-float(sigma[ray, sample] * lengths[ray, sample]))
            expected[ray, sample] = light - left
            light = left
    torch.testing.assert_close(ray_weights(sigma, lengths), expected)


def test_lookup_equals_a_loop_over_corners():
    generator = torch.Generator().manual_seed(4)
    volume = torch.randn(1, 4, 3, 2, 5, generator=generator, dtype=torch.float64)
    box = Box((0.0, 0.0, 0.0), (6.0, 4.0, 1.0))
    points = torch.rand(1, 200, 3, generator=generator, dtype=torch.float64) * 12 - 3
    for align in (True, False):
        coordinates = voxel_coordinates(points, box, (4, 3, 2), align)[0]
        index, weight = corners(coordinates, (4, 3, 2))
        rows = volume.flatten(1, 3)[0]
        value = sum(
            (weight[:, c] * (index[:, c] >= 0))[:, None] * rows[index[:, c].clamp(min=0)]
            for c in range(8)
        )
        torch.testing.assert_close(lookup(volume, points, box, align)[0], value)


def test_values_fade_to_zero_over_one_pitch_beyond_the_box():
    volume = torch.ones(1, 3, 3, 3, 1)
    box = Box((0.0, 0.0, 0.0), (2.0, 2.0, 2.0))
    points = torch.tensor([[[2.0, 1, 1], [2.25, 1, 1], [2.5, 1, 1], [3.0, 1, 1], [3.5, 1, 1]]])
    torch.testing.assert_close(
        lookup(volume, points, box)[0, :, 0], torch.tensor([1.0, 0.75, 0.5, 0.0, 0.0])
    )


@pytest.mark.parametrize("implementation", ["readable", "sparse"])
def test_moving_field_and_rays_together_changes_nothing(implementation):
    """A quarter turn about z and a shift: the only rigid motions that map a grid onto a grid."""
    density, features = random_volumes(dtype=torch.float64)
    head, rays = random_head(dtype=torch.float64), random_rays()
    config = RenderConfig(far_m=8.0, jitter=False, implementation=implementation)
    seen = VoxelField(GRID, density, features, head).render(rays, config)
    # (x, y) -> (-y, x), then + 10 m in x.
    turned = VoxelGrid((7.0, -4.0, -1.0), (13.0, 4.0, 1.0), 0.5)

    def turn(volume: torch.Tensor) -> torch.Tensor:
        return volume.transpose(1, 2).flip(1)

    def turn_vectors(vectors: torch.Tensor) -> torch.Tensor:
        return torch.stack([-vectors[..., 1], vectors[..., 0], vectors[..., 2]], dim=-1)

    origins = turn_vectors(rays.origins) + torch.tensor([10.0, 0.0, 0.0])
    moved = RayBatch(origins, turn_vectors(rays.directions))
    again = VoxelField(turned, turn(density), turn(features), head).render(moved, config)
    # Rays are float32: positions change by rounding of 10 m.
    torch.testing.assert_close(again.features, seen.features, rtol=1e-4, atol=2e-5)
    torch.testing.assert_close(again.depth_m, seen.depth_m, rtol=1e-4, atol=2e-5)


@pytest.mark.parametrize("implementation", ["readable", "sparse"])
@pytest.mark.parametrize("chunk", [1, 7, 40, 1000])
def test_chunks_change_nothing(implementation, chunk):
    density, features = random_volumes()
    field, rays = VoxelField(GRID, density, features, random_head()), random_rays()

    def render(chunk_rays):
        config = RenderConfig(far_m=8.0, implementation=implementation, chunk_rays=chunk_rays)
        return field.render(rays, config, generator=torch.Generator().manual_seed(5))

    whole, parts = render(None), render(chunk)
    torch.testing.assert_close(parts.features, whole.features, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(parts.weights, whole.weights, rtol=0, atol=0)


@pytest.mark.parametrize("implementation", ["readable", "sparse"])
def test_gradients_equal_finite_differences(implementation):
    """In float64, through density, features and all weights of the head."""
    grid = VoxelGrid((0.0, 0.0, 0.0), (3.0, 2.0, 2.0), 1.0)
    generator = torch.Generator().manual_seed(6)
    density = torch.rand(1, *grid.shape, generator=generator, dtype=torch.float64)
    features = torch.randn(1, *grid.shape, 6, generator=generator, dtype=torch.float64)
    head = random_head(out=3, dtype=torch.float64)
    origins = torch.tensor([[[0.2, 0.3, 0.4], [2.9, 1.5, 1.0], [9.0, 9.0, 9.0]]])
    directions = torch.tensor([[[0.9, 0.3, 0.3], [-1.0, 0.0, 0.1], [1.0, 0.0, 0.0]]])
    rays = RayBatch(origins.double(), normalize(directions.double(), dim=-1))
    config = RenderConfig(
        far_m=3.0, proposals=4, samples=5, jitter=False, implementation=implementation
    )
    parameters = list(head.parameters())

    # Positions carry no gradient, so they are held fixed while the density is varied.
    box = Box(grid.lower_m, grid.upper_m)
    uniforms = draw_uniforms(1, 3, config, density.device).double()
    samples = place_samples(density, rays.origins, rays.directions, box, config, uniforms)

    def render(density, features, *_):
        weights = render_geometry(density, samples, box, config).weights
        if implementation == "readable":
            unit = normalize(head(features), dim=-1)
            return composite_features(unit, weights, samples, box)[:, :2]
        volume = Volume(density, features, head, "language", box)
        return sparse_features(volume, head, weights, samples)[:, :2]

    inputs = [density.requires_grad_(), features.requires_grad_(), *parameters]
    assert torch.autograd.gradcheck(render, inputs)


@pytest.mark.parametrize("variant", ["language", "rgb"])
@pytest.mark.parametrize("bias", [True, False])
def test_sparse_equals_readable(variant, bias):
    """Values to 1e-12 and gradients to 1e-12 in float64: the identities are exact."""
    results = []
    for implementation in ("readable", "sparse"):
        density, features = random_volumes(dtype=torch.float64)
        head = random_head(out=27 if variant == "rgb" else 12, dtype=torch.float64)
        if not bias:
            head.last.bias = None
        inputs = [density.requires_grad_(), features.requires_grad_(), *head.parameters()]
        rays = random_rays()
        field = VoxelField(GRID, density, features, head, variant)
        config = RenderConfig(far_m=8.0, implementation=implementation)
        seen = field.render(rays, config, generator=torch.Generator().manual_seed(1))
        loss = objective(seen, rays, density, LossConfig(distortion_weight=0.1)).total
        answer = seen.features if variant == "language" else seen.colour
        results.append([answer, loss, *torch.autograd.grad(loss, inputs)])
    for readable, sparse in zip(*results, strict=True):
        assert readable.abs().max() > 0
        torch.testing.assert_close(sparse, readable, rtol=1e-10, atol=1e-12)


def test_half_precision_features_are_accepted():
    density, features = random_volumes()
    rays, config = random_rays(), RenderConfig(far_m=8.0, jitter=False)
    head = random_head()
    exact = VoxelField(GRID, density, features, head).render(rays, config)
    field = VoxelField(GRID, density, features.bfloat16(), head.bfloat16())
    rounded = field.render(rays, config)
    # bfloat16 keeps 8 bits: unit vectors of 12 channels agree to about 1e-2.
    torch.testing.assert_close(rounded.features.float(), exact.features, rtol=0, atol=3e-2)
