"""Lift-splat: cells by hand, sums by a slow loop, gradients by finite differences."""

import pytest
import torch
from model_kit import SMALL, ring_rig

from langocc.geometry.grid import VoxelGrid
from langocc.model.lift import OUTSIDE, splat, voxel_cells
from langocc.model.projection import frustum, lifted_points_m
from langocc.model.quirks import PUBLISHED

GRID = VoxelGrid((-2.0, -1.0, 0.0), (2.0, 1.0, 1.0), cell_m=0.5)


def cell_of(x: float, y: float, z: float, truncated: bool) -> int:
    return int(voxel_cells(torch.tensor([[x, y, z]]), GRID, truncated=truncated))


@pytest.mark.parametrize("truncated", [True, False])
def test_cells_by_hand(truncated: bool) -> None:
    assert cell_of(-1.9, -0.9, 0.1, truncated) == 0
    assert cell_of(1.9, 0.9, 0.9, truncated) == 8 * 4 * 2 - 1
    assert cell_of(-1.4, -0.9, 0.1, truncated) == 4 * 2
    assert cell_of(-2.0, -1.0, 0.0, truncated) == 0  # lower edges belong to the box
    assert cell_of(2.0, 0.0, 0.5, truncated) == OUTSIDE  # upper edges do not
    assert cell_of(0.0, 0.0, 1.25, truncated) == OUTSIDE
    assert cell_of(float("inf"), 0.0, 0.5, truncated) == OUTSIDE
    assert cell_of(1e9, 0.0, 0.5, truncated) == OUTSIDE


def test_truncation_takes_in_what_lies_one_cell_below() -> None:
    assert cell_of(-2.25, -0.9, 0.1, truncated=True) == 0
    assert cell_of(-2.25, -0.9, 0.1, truncated=False) == OUTSIDE
    assert cell_of(-2.75, -0.9, 0.1, truncated=True) == OUTSIDE


def test_cells_with_a_height_of_their_own() -> None:
    grid = VoxelGrid((-2.0, -1.0, 0.0), (2.0, 1.0, 1.0), cell_m=1.0, cell_height_m=0.25)
    points = torch.from_numpy(grid.centres_m()).reshape(-1, 3)
    assert voxel_cells(points, grid, truncated=False).tolist() == list(range(4 * 2 * 4))
    moved = points + torch.tensor([0.4, -0.4, 0.12], dtype=points.dtype)
    assert voxel_cells(moved, grid, truncated=False).tolist() == list(range(4 * 2 * 4))
    moved = points + torch.tensor([0.0, 0.0, 0.26], dtype=points.dtype)
    assert (voxel_cells(moved, grid, truncated=False) == OUTSIDE).sum() == 4 * 2


def example() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, tuple[int, int, int]]:
    generator = torch.Generator().manual_seed(0)
    shape = (3, 2, 2)
    depth = torch.rand(2, 2, 4, 3, 2, generator=generator, dtype=torch.float64)
    context = torch.randn(2, 2, 5, 3, 2, generator=generator, dtype=torch.float64)
    cells = torch.randint(-1, 12, depth.shape, generator=generator)
    return depth, context, cells, shape


def test_splat_against_a_loop() -> None:
    depth, context, cells, shape = example()
    expected = torch.zeros(2, 5, 12, dtype=torch.float64)
    for index in torch.cartesian_prod(*(torch.arange(n) for n in depth.shape)):
        batch, cam, bin_, row, column = index.tolist()
        cell = int(cells[batch, cam, bin_, row, column])
        if cell != OUTSIDE:
            weight = depth[batch, cam, bin_, row, column]
            expected[batch, :, cell] += weight * context[batch, cam, :, row, column]
    torch.testing.assert_close(
        splat(depth, context, cells, shape), expected.unflatten(2, shape), rtol=1e-12, atol=1e-12
    )


def test_splat_gradients() -> None:
    depth, context, cells, shape = example()
    depth.requires_grad_()
    context.requires_grad_()
    assert torch.autograd.gradcheck(lambda d, c: splat(d, c, cells, shape), (depth, context))


def test_nothing_inside_gives_zeros() -> None:
    depth, context, cells, shape = example()
    volume = splat(depth, context, torch.full_like(cells, OUTSIDE), shape)
    assert volume.shape == (2, 5, *shape)
    assert not volume.any()


def test_lifted_points_project_back_to_their_pixels() -> None:
    """Through float64 matrices built apart: image augmentation, intrinsics, poses, motion."""
    rig = ring_rig(SMALL, speed_m=3.0)
    pixels = frustum(SMALL.input_size, 16, SMALL.depth)
    for frame in range(2):
        points_m = lifted_points_m(rig, frame, pixels, PUBLISHED)[0].double()
        for cam in range(6):
            global_from_cam = rig.global_from_ego[0, frame, cam] @ rig.ego_from_cam[0, frame, cam]
            cam_from_key = global_from_cam.inverse() @ rig.global_from_ego[0, 0, 0]
            seen = points_m[cam] @ cam_from_key[:3, :3].T + cam_from_key[:3, 3]
            image = seen @ rig.intrinsics[0, frame, cam].T
            image = image / image[..., 2:]
            found = (image @ rig.input_from_image[0, cam].T)[..., :2]
            expected = pixels[:2].movedim(0, -1).double()
            torch.testing.assert_close(found, expected, rtol=0, atol=1e-3)
            torch.testing.assert_close(seen[..., 2], pixels[2].double(), rtol=1e-5, atol=1e-5)
