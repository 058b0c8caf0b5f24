"""The fast cost volume and splat equal the readable ones: torch, Triton interpreted or compiled."""

import os
from dataclasses import replace

import pytest
import torch
from model_kit import SMALL, ring_rig
from torch import Tensor

from langocc.model.cost_volume import stereo_cost_volume
from langocc.model.cost_volume_gathered import gathered_cost_volume
from langocc.model.fused import fused_cost_volume, fused_splat
from langocc.model.lift import OUTSIDE, splat, voxel_cells
from langocc.model.projection import (
    BEHIND,
    frustum,
    lift_numbers,
    lifted_points_m,
    stereo_grid,
)
from langocc.model.quirks import NONE, PUBLISHED

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
NEEDS_GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
triton_ops = pytest.importorskip("langocc.model.triton_ops", reason="Triton is not installed")
interpreted = pytest.mark.skipif(
    not torch.cuda.is_available() and os.environ.get("TRITON_INTERPRET") != "1",
    reason="Triton was told not to interpret, and there is no GPU",
)
CASES = {  # view, channel, height, width, depth
    "one view": (1, 8, 5, 7, 3),
    "odd sizes": (2, 12, 9, 5, 11),
    "channels of two blocks": (1, 48, 3, 6, 9),
    "a last group of two": (1, 10, 4, 4, 5),
    "one pixel high": (3, 4, 1, 6, 2),
}
COST_VOLUMES = {
    "gathered": gathered_cost_volume,
    "triton": pytest.param(triton_ops.triton_cost_volume, marks=interpreted),
}


def pair(case: str) -> tuple[Tensor, Tensor, Tensor]:
    """Features with zeros, as a ReLU leaves them, and a grid in, on, around and off the image."""
    views, channels, height, width, bins = CASES[case]
    generator = torch.Generator().manual_seed(0)
    current, reference = torch.randn(2, views, channels, height, width, generator=generator).relu()
    grid = 3 * torch.rand(views, bins, height, width, 2, generator=generator) - 1.5
    flat = grid.view(-1, 2)
    flat[0], flat[1], flat[2], flat[3] = BEHIND, -1.0, 1.0, 1e30
    return current.to(DEVICE), reference.to(DEVICE), grid.to(DEVICE)


@pytest.mark.parametrize("zero_is_invalid", [True, False])
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("cost_volume", COST_VOLUMES.values(), ids=COST_VOLUMES)
def test_cost_volume_equals_readable(cost_volume, case, zero_is_invalid) -> None:
    """Sums of up to 48 float32 differences in another order."""
    rule = {"invalid_cost": 5.0, "zero_is_invalid": zero_is_invalid}
    expected = stereo_cost_volume(*pair(case), **rule)
    torch.testing.assert_close(cost_volume(*pair(case), **rule), expected, rtol=2e-5, atol=1e-6)


@pytest.mark.parametrize("cost_volume", COST_VOLUMES.values(), ids=COST_VOLUMES)
def test_depths_that_fall_between_the_same_pixels(cost_volume) -> None:
    """As far away: positions creep, stand still, and turn back."""
    current, reference, grid = pair("odd sizes")
    steps = torch.tensor([0, 0.02, 0.05, 0.05, 0.1, 0.4, 0.41, 0.42, 0.1, 0.05, 1.5])
    grid = (grid[:, :1] + steps.to(DEVICE)[:, None, None, None]).contiguous()
    for zero_is_invalid in (True, False):
        rule = {"invalid_cost": 5.0, "zero_is_invalid": zero_is_invalid}
        expected = stereo_cost_volume(current, reference, grid, **rule)
        found = cost_volume(current, reference, grid, **rule)
        torch.testing.assert_close(found, expected, rtol=2e-5, atol=1e-6)


@pytest.mark.parametrize("cost_volume", COST_VOLUMES.values(), ids=COST_VOLUMES)
def test_no_point_inside_the_reference(cost_volume) -> None:
    """All depths cost the same: nothing is known."""
    current, reference, grid = pair("odd sizes")
    grid.fill_(BEHIND)
    for zero_is_invalid in (True, False):
        found = cost_volume(
            current, reference, grid, invalid_cost=5.0, zero_is_invalid=zero_is_invalid
        )
        torch.testing.assert_close(found, torch.full_like(found, 1 / 11))


@pytest.mark.parametrize("cost_volume", COST_VOLUMES.values(), ids=COST_VOLUMES)
def test_cost_volume_takes_any_memory_layout_and_gives_no_gradient(cost_volume) -> None:
    current, reference, grid = pair("odd sizes")
    rule = {"invalid_cost": 5.0, "zero_is_invalid": True}
    expected = cost_volume(current, reference, grid, **rule)
    strided = (
        current.contiguous(memory_format=torch.channels_last).requires_grad_(),
        reference.contiguous(memory_format=torch.channels_last),
        grid.transpose(1, 2).contiguous().transpose(1, 2),
    )
    found = cost_volume(*strided, **rule)
    assert not found.requires_grad
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("cost_volume", COST_VOLUMES.values(), ids=COST_VOLUMES)
def test_narrow_features_are_compared_in_float32(cost_volume) -> None:
    current, reference, grid = pair("channels of two blocks")
    current, reference = current.half(), reference.half()
    rule = {"invalid_cost": 5.0, "zero_is_invalid": True}
    expected = stereo_cost_volume(current.float(), reference.float(), grid, **rule)
    found = cost_volume(current, reference, grid, **rule)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected, rtol=2e-5, atol=1e-6)


@interpreted
@pytest.mark.parametrize("frame", [0, 1])
def test_stereo_grid_equals_readable(frame) -> None:
    """Scaled, sheared and shifted images; a reference that stands ahead of some points.

    Pixels far outside the image are large numbers; within it, a thousandth of a pixel.
    """
    rig = ring_rig(SMALL, batch=2, cams=2, speed_m=-3.0)
    rig.input_from_image[1, 0, 0, 1] = 0.1
    rig = rig.to(DEVICE)
    pixels = frustum(SMALL.input_size, 4, SMALL.depth).to(DEVICE)
    expected = stereo_grid(rig, frame, pixels, SMALL.input_size)
    found = triton_ops.triton_stereo_grid(rig, frame, pixels, SMALL.input_size)
    assert (expected == BEHIND).any()
    assert torch.equal(found == BEHIND, expected == BEHIND)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=2e-5)


@interpreted
@pytest.mark.parametrize("height_m", [None, 0.5])
@pytest.mark.parametrize("quirks", [PUBLISHED, NONE])
def test_lifted_cells_equal_readable(quirks, height_m: float | None) -> None:
    """But for single points whose rounding moves them over a border; in a flipped ego frame."""
    grid = replace(SMALL.grid, cell_height_m=height_m)
    rig = ring_rig(SMALL, batch=2, cams=2)
    rig.augmented_from_ego[1] = torch.diag(torch.tensor([-1.0, 1.0, 1.0]).double())
    rig = rig.to(DEVICE)
    pixels = frustum(SMALL.input_size, 16, SMALL.depth).to(DEVICE)
    truncated = quirks.truncated_cells
    points_m = lifted_points_m(rig, 1, pixels, quirks)
    expected = voxel_cells(points_m, grid, truncated=truncated)
    numbers = lift_numbers(rig, 1, quirks)
    found = triton_ops.triton_cells_from(numbers, pixels, grid, truncated=truncated)
    assert found.dtype == expected.dtype
    assert 0.05 < (expected != OUTSIDE).float().mean() < 0.95
    assert (found != expected).float().mean() < 2e-3


LIFTS = {  # batch, cam, depth, height, width, channel
    "one camera": (1, 1, 9, 3, 5, 4),
    "odd sizes": (2, 3, 5, 3, 7, 6),
    "more pixels than a block": (1, 2, 3, 5, 5, 33),
}
SHAPE = (3, 2, 4)


def lift_input(case: str, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor, Tensor]:
    batch, cams, bins, height, width, channels = LIFTS[case]
    generator = torch.Generator().manual_seed(0)
    depth = torch.rand(batch, cams, bins, height, width, generator=generator)
    context = torch.randn(batch, cams, channels, height, width, generator=generator)
    cells = torch.randint(-1, 24, depth.shape, generator=generator)
    return (
        depth.to(DEVICE, dtype).requires_grad_(),
        context.to(DEVICE, dtype).requires_grad_(),
        cells.to(DEVICE),
    )


def with_gradients(function, depth, context, cells, shape=SHAPE) -> tuple[Tensor, Tensor, Tensor]:
    """The volume, and the gradients of depth and context for random gradients of the volume."""
    volume = function(depth, context, cells, shape)
    generator = torch.Generator(depth.device).manual_seed(1)
    given = torch.randn(volume.shape, generator=generator, device=depth.device).to(volume)
    return volume, *torch.autograd.grad(volume, (depth, context), given)


@interpreted
@pytest.mark.parametrize("case", LIFTS)
def test_splat_equals_readable(case) -> None:
    """Values and gradients: float32 sums of a few dozen terms in another order."""
    expected = with_gradients(splat, *lift_input(case))
    found = with_gradients(triton_ops.triton_splat, *lift_input(case))
    for got, want in zip(found, expected, strict=True):
        torch.testing.assert_close(got, want, rtol=1e-5, atol=1e-5)


@interpreted
def test_nothing_inside_gives_zeros_and_no_gradient() -> None:
    depth, context, cells = lift_input("odd sizes")
    nowhere = torch.full_like(cells, OUTSIDE)
    volume, d_depth, d_context = with_gradients(triton_ops.triton_splat, depth, context, nowhere)
    assert volume.shape == (2, 6, *SHAPE)
    for tensor in (volume, d_depth, d_context):
        assert not tensor.any()


@interpreted
def test_narrow_numbers_are_added_in_float32() -> None:
    depth, context, cells = lift_input("odd sizes", torch.float16)
    volume, *gradients = with_gradients(triton_ops.triton_splat, depth, context, cells)
    assert {t.dtype for t in (volume, *gradients)} == {torch.float16}
    expected = splat(depth.float(), context.float(), cells, SHAPE)
    torch.testing.assert_close(volume.float(), expected, rtol=1e-3, atol=1e-6)


def test_double_numbers_are_left_to_torch() -> None:
    depth, context, cells = lift_input("one camera", torch.float64)
    assert torch.equal(
        fused_splat(depth, context, cells, SHAPE), splat(depth, context, cells, SHAPE)
    )
    current, reference, grid = (tensor.double() for tensor in pair("one view"))
    rule = {"invalid_cost": 5.0, "zero_is_invalid": True}
    found = fused_cost_volume(current, reference, grid, **rule)
    torch.testing.assert_close(found, stereo_cost_volume(current, reference, grid, **rule))


@pytest.mark.gpu
@NEEDS_GPU
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("zero_is_invalid", [True, False])
def test_published_cost_volume(dtype, zero_is_invalid) -> None:
    """Two views at the published shapes. Costs are sums of 256 float32 terms, near 200: 1e-4."""
    torch.manual_seed(2)
    current, reference = torch.randn(2, 2, 256, 64, 176, device="cuda").relu().to(dtype)
    grid = 2.4 * torch.rand(2, 88, 64, 176, 2, device="cuda") - 1.2
    rule = {"invalid_cost": 5.0, "zero_is_invalid": zero_is_invalid}
    found = fused_cost_volume(current, reference, grid, **rule)
    expected = stereo_cost_volume(current.float(), reference.float(), grid, **rule)
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)


@pytest.mark.gpu
@NEEDS_GPU
def test_published_splat() -> None:
    """At the published shapes; voxels hold hundreds of points, so sums differ by 1e-4 of 1."""
    torch.manual_seed(3)
    depth = torch.randn(2, 6, 88, 16, 44, device="cuda").softmax(2).requires_grad_()
    context = torch.randn(2, 6, 32, 16, 44, device="cuda", requires_grad=True)
    cells = (torch.rand(depth.shape, device="cuda") ** 3 * 640_001).long() - 1
    expected = with_gradients(splat, depth, context, cells, (200, 200, 16))
    found = with_gradients(fused_splat, depth, context, cells, (200, 200, 16))
    for got, want in zip(found, expected, strict=True):
        torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-4)
