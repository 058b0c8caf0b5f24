"""Rendering without the feature volume: the largest tensor that any operation makes."""

import math

import pytest
import torch
from render_kit import Head

from langocc.field import VoxelField
from langocc.geometry.grid import VoxelGrid
from langocc.geometry.rays import RayBatch
from langocc.render.config import RenderConfig
from langocc.render.objective import LossConfig, objective
from largest_kit import Largest

GRID = VoxelGrid((-16.0, -16.0, -1.0), (16.0, 16.0, 3.0), 0.5)
FEATURES, HIDDEN, OUT = 4, 4, 256
"""Channels. The output is wide, so that whatever has it for each voxel or sample stands out."""
RAYS, SAMPLES = 64, 100
VOLUME = math.prod(GRID.shape) * OUT
"""Numbers of the volume that is never to exist: 8 million."""
VOLUME_SAMPLED = RAYS * SAMPLES * OUT
"""Numbers of its samples, which are not to exist either: 1.6 million."""


def field() -> VoxelField:
    generator = torch.Generator().manual_seed(0)
    density = torch.rand(1, *GRID.shape, generator=generator).requires_grad_()
    features = torch.randn(1, *GRID.shape, FEATURES, generator=generator).requires_grad_()
    torch.manual_seed(0)
    return VoxelField(GRID, density, features, Head(FEATURES, HIDDEN, OUT))


def rays() -> RayBatch:
    generator = torch.Generator().manual_seed(1)
    unit = torch.nn.functional.normalize
    directions = unit(torch.randn(1, RAYS, 3, generator=generator), dim=-1)
    targets = unit(torch.randn(1, RAYS, OUT, generator=generator), dim=-1)
    return RayBatch(torch.zeros(1, RAYS, 3), directions, targets)


def largest_of_a_step(implementation) -> int:
    scene, seen_by = field(), rays()
    config = RenderConfig(far_m=20.0, samples=SAMPLES, implementation=implementation)
    with Largest() as watched:
        rendered = scene.render(seen_by, config)
        objective(rendered, seen_by, scene.density, LossConfig()).total.backward()
    return watched.numbers


def test_the_definition_builds_the_volume_and_is_seen_to() -> None:
    """Without this the tests below could not fail."""
    assert largest_of_a_step("readable") >= VOLUME


@pytest.mark.parametrize("implementation", ["sparse", "fused"])
def test_a_training_step_builds_neither_volume_nor_samples(implementation) -> None:
    """Forward and backward; what stays is the gradient of the voxel features themselves."""
    most = largest_of_a_step(implementation)
    assert most < VOLUME_SAMPLED / 2, f"{most:,} numbers"
    assert most <= 2 * math.prod(GRID.shape) * FEATURES


def test_answers_do_not_build_the_volume() -> None:
    vectors = torch.randn(3, OUT, generator=torch.Generator().manual_seed(2))
    points = torch.rand(1, 500, 3, generator=torch.Generator().manual_seed(3)) * 8 - 4
    scene = field()
    with Largest() as watched, torch.no_grad():
        scene.query(vectors)
        scene.classes(vectors, 0.5)
        scene.occupied(0.5).query(vectors)
        scene.at(points)
    assert watched.numbers < VOLUME / 20, f"{watched.numbers:,} numbers"
