"""The Triton kernels against the readable renderer: interpreted on a CPU, compiled on a GPU."""

import os
from copy import deepcopy

import pytest
import torch

pytest.importorskip("triton", reason="Triton is not installed")

from render_kit import Head, random_head
from torch.nn.functional import normalize

from langocc.field import VoxelField
from langocc.geometry.grid import VoxelGrid
from langocc.geometry.rays import RayBatch
from langocc.render.config import RenderConfig
from langocc.render.fused import points_fused
from langocc.render.lookup import Box
from langocc.render.objective import LossConfig, objective
from langocc.render.sparse import features_at
from langocc.render.triton_rays import RaySpace, place, weigh
from langocc.render.visits import merge_visits
from langocc.render.volume import Volume

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
SMALL = VoxelGrid((-2.0, -1.5, -1.0), (2.0, 1.5, 1.0), 0.5)
interpreted = pytest.mark.skipif(
    not torch.cuda.is_available() and os.environ.get("TRITON_INTERPRET") != "1",
    reason="Triton was told not to interpret, and there is no GPU",
)


def step(implementation, density, features, head, rays, config, losses=None):
    """What rays see, the loss, and the gradients of density, features and head."""
    density = density.clone().requires_grad_()
    features = features.clone().requires_grad_()
    field = VoxelField(SMALL if density.shape[1] < 20 else VoxelGrid(), density, features, head)
    config = RenderConfig(**config, implementation=implementation)
    generator = torch.Generator(density.device).manual_seed(1)
    seen = field.render(rays, config, generator=generator)
    loss = objective(seen, rays, density, losses or LossConfig()).total
    gradients = torch.autograd.grad(loss, [density, features, *head.parameters()])
    return seen, loss, gradients


def small_rays(count: int = 5, channels: int = 12) -> RayBatch:
    generator = torch.Generator().manual_seed(2)
    origins = torch.rand(2, count, 3, generator=generator) - 0.5
    directions = torch.randn(2, count, 3, generator=generator)
    origins[:, -1] = 50.0  # misses
    directions[:, 0] = 0.0  # no direction
    features = torch.randn(2, count, channels, generator=generator)
    rays = RayBatch(origins, normalize(directions, dim=-1), normalize(features, dim=-1))
    return rays.to(DEVICE)


@interpreted
@pytest.mark.parametrize(("proposals", "samples"), [(6, 7), (8, 4)])
@pytest.mark.parametrize("bias", [True, False])
def test_kernels_equal_readable(proposals, samples, bias):
    """Both in float32: values to 1e-5 (positions: 1e-5 m), gradients to 1e-5 of their largest."""
    generator = torch.Generator().manual_seed(3)
    density = torch.rand(2, *SMALL.shape, generator=generator).to(DEVICE)
    features = torch.randn(2, *SMALL.shape, 6, generator=generator).to(DEVICE)
    head = random_head().to(DEVICE)
    if not bias:
        head.last.bias = None
    config = {"far_m": 4.0, "proposals": proposals, "samples": samples}
    arguments = (density, features, head, small_rays(), config)
    losses = LossConfig(distortion_weight=0.1)
    seen, loss, gradients = step("triton", *arguments, losses)
    expected, expected_loss, expected_gradients = step("readable", *arguments, losses)
    for name in ("features", "opacity", "depth_m", "peak_depth_m", "weights", "edges_m"):
        torch.testing.assert_close(
            getattr(seen, name), getattr(expected, name), rtol=1e-5, atol=1e-5, msg=name
        )
    torch.testing.assert_close(loss, expected_loss, rtol=1e-5, atol=1e-6)
    for got, want in zip(gradients, expected_gradients, strict=True):
        torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-5 * float(want.abs().max()))


@interpreted
def test_geometry_alone():
    density = torch.rand(2, *SMALL.shape, generator=torch.Generator().manual_seed(4)).to(DEVICE)
    rays = small_rays(3)
    answers = []
    for implementation in ("triton", "readable"):
        leaf = density.clone().requires_grad_()
        field = VoxelField(SMALL, leaf, torch.zeros(*density.shape, 1, device=DEVICE))
        config = RenderConfig(
            far_m=4.0, proposals=6, samples=5, jitter=False, implementation=implementation
        )
        seen = field.render(rays, config)
        assert seen.features is None
        (gradient,) = torch.autograd.grad(seen.depth_m.sum() + seen.opacity.sum(), leaf)
        answers.append((seen.depth_m, gradient))
    for got, want in zip(*answers, strict=True):
        torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-5)


@interpreted
def test_a_pair_of_runs_names_a_voxel_once():
    """The matrix of the torch version, with fewer entries."""
    generator = torch.Generator().manual_seed(6)
    density = torch.rand(2, *SMALL.shape, generator=generator).to(DEVICE)
    rays, uniforms = small_rays(5), torch.rand(10, 5, generator=generator).to(DEVICE)
    origins, directions = rays.origins.flatten(0, 1), rays.directions.flatten(0, 1)
    config = RenderConfig(far_m=4.0, proposals=6, samples=24)
    box = Box(SMALL.lower_m, SMALL.upper_m)
    space = RaySpace(origins, directions, 5, SMALL.shape, box, config)
    centres, cells = place(density, space, uniforms)
    weights, _, sparse = weigh(density, space, centres, cells)
    is_named = torch.arange(24 * 8, device=DEVICE) < 8 * sparse.runs[:, None]
    is_named &= sparse.voxel >= 0
    voxel = torch.where(is_named, sparse.voxel, 0).long()
    matrix = torch.zeros(10, density.numel(), device=DEVICE)
    matrix.scatter_add_(1, voxel, torch.where(is_named, sparse.share, 0.0))
    points_m = (origins[:, None] + centres[..., None] * directions[:, None]).unflatten(0, (2, 5))
    expected = merge_visits(weights.unflatten(0, (2, 5)), points_m, box, SMALL.shape)
    ray = torch.bucketize(
        torch.arange(len(expected.voxel), device=DEVICE), expected.begin, right=True
    )
    dense = torch.zeros_like(matrix).index_put_(
        (ray - 1, expected.voxel), expected.share, accumulate=True
    )
    torch.testing.assert_close(matrix, dense, rtol=1e-5, atol=1e-6)
    assert int(sparse.visits.sum()) == int(is_named.sum()) < 0.9 * len(expected.voxel)


@interpreted
@pytest.mark.parametrize("align_corners", [True, False])
def test_points_equal_torch(align_corners):
    """Inside, at the border, far outside: values to 1e-5, gradients to 1e-5 of their largest."""
    generator = torch.Generator().manual_seed(7)
    density = torch.rand(2, *SMALL.shape, generator=generator).to(DEVICE)
    features = torch.randn(2, *SMALL.shape, 6, generator=generator).to(DEVICE)
    points_m = (torch.randn(2, 40, 3, generator=generator) * 1.5).to(DEVICE)
    points_m[:, 0], points_m[:, 1] = 1e9, torch.tensor(SMALL.lower_m)
    head, box = random_head().to(DEVICE), Box(SMALL.lower_m, SMALL.upper_m)
    answers = []
    for ask in (points_fused, features_at):
        leaf = features.clone().requires_grad_()
        volume = Volume(density, leaf, head, "language", box)
        found = ask(volume, head, points_m, align_corners=align_corners)
        loss = (found * found.detach().roll(1, dims=1)).sum()
        answers.append((found.detach(), *torch.autograd.grad(loss, [leaf, *head.parameters()])))
    assert not answers[0][0][:, 0].any()
    assert answers[0][0].any(-1).sum() > 20
    for got, want in zip(*answers, strict=True):
        torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-5 * float(want.abs().max()))


@interpreted
@pytest.mark.parametrize("count", [0, 1])
def test_no_visit_at_all(count):
    """No rays, or one that misses."""
    density = torch.rand(2, *SMALL.shape, device=DEVICE)
    features = torch.randn(2, *SMALL.shape, 6, device=DEVICE)
    head = random_head().to(DEVICE)
    rays = small_rays(5)
    rays = RayBatch(
        rays.origins[:, 5 - count :], rays.directions[:, 5 - count :], rays.features[:, 5 - count :]
    )
    config = {"far_m": 4.0, "proposals": 6, "samples": 5}
    seen, loss, gradients = step("triton", density, features, head, rays, config)
    assert seen.features.shape == (2, count, 12)
    assert loss.isfinite()
    assert not any(gradient.any() for gradient in gradients)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_published_shapes_equal_torch(dtype):
    """A published grid, 2,048 rays and 512 channels, against the sparse torch version in float64.

    As near to float64 as three times what torch is in the same precision: rounding moves samples
    where a ray's density is flat, by other amounts in other orders of sums.
    """
    torch.manual_seed(5)
    torch.backends.cuda.matmul.allow_tf32 = False
    density = torch.rand(1, 200, 200, 16, device="cuda") ** 4
    features = torch.randn(1, 200, 200, 16, 256, device="cuda").relu()
    head = Head(256, 256, 512).cuda()
    origins = torch.randn(1, 2048, 3, device="cuda") * torch.tensor([5.0, 1.0, 0.1]).cuda()
    directions = torch.randn(1, 2048, 3, device="cuda") * torch.tensor([1.0, 1.0, 0.15]).cuda()
    targets = normalize(torch.randn(1, 2048, 512, device="cuda"), dim=-1)
    rays = RayBatch(origins, normalize(directions, dim=-1), targets)
    exact_rays = RayBatch(rays.origins.double(), rays.directions.double(), targets.double())
    exact, exact_loss, exact_gradients = step(
        "sparse", density.double(), features.double(), deepcopy(head).double(), exact_rays, {}
    )
    with torch.autocast("cuda", dtype=torch.bfloat16, enabled=dtype == torch.bfloat16):
        by_torch, torch_loss, torch_gradients = step("sparse", density, features, head, rays, {})
        seen, loss, gradients = step("triton", density, features, head, rays, {})
    for name in ("features", "weights"):
        want = getattr(exact, name)
        allowed = 3 * float((getattr(by_torch, name) - want).abs().max())
        error = float((getattr(seen, name) - want).abs().max())
        print(f"{name}: {error:.1e} of {allowed:.1e}")
        assert error < allowed, name
    assert abs(loss - exact_loss) < 3 * abs(torch_loss - exact_loss) + 1e-5
    for got, by, want in zip(gradients, torch_gradients, exact_gradients, strict=True):
        error, allowed = float((got - want).norm()), 3 * float((by - want).norm())
        print(f"gradient {tuple(got.shape)}: {error:.1e} of {allowed:.1e}, norm {want.norm():.1e}")
        assert error < allowed, tuple(got.shape)


@interpreted
@pytest.mark.parametrize("has_head", [True, False])
def test_density_that_is_no_number_is_refused(has_head):
    density = torch.rand(2, *SMALL.shape, device=DEVICE)
    density[1, 0, 1, 2] = torch.nan
    features = torch.randn(2, *SMALL.shape, 6, device=DEVICE)
    head = random_head().to(DEVICE) if has_head else None
    config = RenderConfig(far_m=4.0, proposals=6, samples=5, implementation="triton")
    with pytest.raises(ValueError, match="density: expected finite"):
        VoxelField(SMALL, density, features, head).render(small_rays(), config)
