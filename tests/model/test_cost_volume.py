"""Stereo cost volume: a known shift is found, validity is what it says."""

import torch
from model_kit import SMALL, ring_rig

from langocc.model.cost_volume import stereo_cost_volume
from langocc.model.projection import BEHIND, frustum, stereo_grid


def test_against_a_loop() -> None:
    """Every pixel by hand: bilinear by the four corners, absolute differences, softmax."""
    generator = torch.Generator().manual_seed(0)
    current, reference = torch.randn(2, 1, 8, 3, 4, generator=generator)
    grid = 2.4 * torch.rand(1, 5, 3, 4, 2, generator=generator) - 1.2
    costs = torch.zeros(1, 5, 3, 4)
    for bin_ in range(5):
        for row in range(3):
            for column in range(4):
                x, y = grid[0, bin_, row, column]
                warped = bilinear(reference[0], (x + 1) / 2 * 3, (y + 1) / 2 * 2)
                cost = (current[0, :, row, column] - warped).abs().sum()
                costs[0, bin_, row, column] = cost + 5.0 * bool(max(abs(x), abs(y)) > 1)
    found = stereo_cost_volume(current, reference, grid, invalid_cost=5.0, zero_is_invalid=False)
    torch.testing.assert_close(found, (-costs).softmax(dim=1))


def bilinear(image: torch.Tensor, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    total = torch.zeros(image.shape[0])
    for column in (int(x.floor()), int(x.floor()) + 1):
        for row in (int(y.floor()), int(y.floor()) + 1):
            if 0 <= column < image.shape[2] and 0 <= row < image.shape[1]:
                weight = (1 - (x - column).abs()) * (1 - (y - row).abs())
                total += weight * image[:, row, column]
    return total


def test_zero_feature_counts_as_invalid_only_by_the_published_rule() -> None:
    """The first channel of the last group of four decides."""
    current = reference = torch.ones(1, 8, 4, 4)
    reference = reference.clone()
    reference[:, 4, 0, 0] = 0  # cost 1 there, and by the published rule 5 more
    y, x = torch.meshgrid(torch.linspace(-1, 1, 4), torch.linspace(-1, 1, 4), indexing="ij")
    inside = torch.stack([x, y], dim=-1)[None]
    grid = torch.stack([inside, torch.full_like(inside, BEHIND)], dim=1)
    for zero_is_invalid, first_cost in ((True, 6.0), (False, 1.0)):
        found = stereo_cost_volume(
            current, reference, grid, invalid_cost=5.0, zero_is_invalid=zero_is_invalid
        )
        expected = torch.tensor([-first_cost, -13.0]).softmax(0)
        torch.testing.assert_close(found[0, :, 0, 0], expected)
        torch.testing.assert_close(found[0, :, 1, 1], torch.tensor([0.0, -13.0]).softmax(0))


def test_no_gradient() -> None:
    current = torch.rand(1, 4, 2, 2, requires_grad=True)
    grid = torch.zeros(1, 3, 2, 2, 2)
    assert not stereo_cost_volume(
        current, current, grid, invalid_cost=5.0, zero_is_invalid=True
    ).requires_grad


def test_a_standing_camera_sees_the_same_pixel_at_every_depth() -> None:
    rig = ring_rig(SMALL, speed_m=0.0)
    pixels = frustum(SMALL.input_size, 4, SMALL.depth)
    grid = stereo_grid(rig, 0, pixels, SMALL.input_size)
    height, width = SMALL.input_size
    expected = pixels[:2].movedim(0, -1) / torch.tensor([width - 1, height - 1]) * 2 - 1
    torch.testing.assert_close(grid, expected.expand_as(grid), rtol=0, atol=2e-5)


def test_points_behind_the_reference_camera_are_nowhere() -> None:
    """The reference stands far ahead: what is near the current camera lies behind it."""
    rig = ring_rig(SMALL, cams=1, speed_m=0.0)
    forward = rig.global_from_ego[0, 0, 0] @ rig.ego_from_cam[0, 0, 0]
    rig.global_from_ego[:, 1, :, :3, 3] += 5.0 * forward[:3, 2]  # metres along the optical axis
    grid = stereo_grid(rig, 0, frustum(SMALL.input_size, 4, SMALL.depth), SMALL.input_size)
    depth_m = torch.arange(12) + 1.0
    assert (grid[0, 0, depth_m <= 5] == BEHIND).all()
    assert (grid[0, 0, depth_m > 5] != BEHIND).any(dim=-1).all()
