"""A field's answers against the definition: a dense volume of unit features, in float64."""

from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn.functional import normalize

from langocc.field import FREE, VoxelField
from langocc.geometry.grid import VoxelGrid
from langocc.geometry.rays import RayBatch
from langocc.render.config import RenderConfig
from langocc.render.lookup import lookup
from langocc.render.rows import output_norms
from langocc.render.volume import VoxelHead

GRID = VoxelGrid((-2.0, -1.5, -1.0), (2.0, 1.5, 1.0), 0.5)


class Head(VoxelHead):
    def __init__(self, bias: bool) -> None:
        super().__init__()
        self.first = nn.Linear(6, 8)
        self.last = nn.Linear(8, 12, bias=bias)

    def hidden(self, features: torch.Tensor) -> torch.Tensor:
        return self.first(features).relu()


@pytest.fixture(params=[True, False], ids=["bias", "no bias"])
def field(request: pytest.FixtureRequest) -> VoxelField:
    torch.manual_seed(0)
    density = torch.rand(2, *GRID.shape, dtype=torch.float64) ** 3
    features = torch.randn(2, *GRID.shape, 6, dtype=torch.float64)
    return VoxelField(GRID, density, features, Head(request.param).double())


@pytest.fixture
def unit(field: VoxelField) -> torch.Tensor:
    """The volume that no answer builds."""
    return normalize(field.head(field.features), dim=-1).detach()


@pytest.fixture
def vectors() -> torch.Tensor:
    return torch.randn(5, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def test_output_norms_need_no_output(field):
    hidden = field.head.hidden(field.features)
    expected = field.head(field.features).norm(dim=-1)
    torch.testing.assert_close(output_norms(hidden, field.head.last), expected)


@pytest.mark.parametrize("chunk_voxels", [7, 65536])
def test_query_is_the_cosine(field, unit, vectors, chunk_voxels):
    expected = torch.einsum("bxyzc,qc->bqxyz", unit, normalize(vectors, dim=-1))
    torch.testing.assert_close(field.query(vectors, chunk_voxels), expected)


@pytest.mark.parametrize("chunk_voxels", [7, 65536])
def test_classes_are_the_best_vectors_of_occupied_voxels(field, unit, vectors, chunk_voxels):
    best = torch.einsum("bxyzc,qc->bxyzq", unit, vectors).argmax(-1)
    expected = torch.where(field.density >= 0.1, best, FREE)
    assert (expected == FREE).any()
    assert len(expected.unique()) > 3
    torch.testing.assert_close(field.classes(vectors, 0.1, chunk_voxels), expected)


def test_a_voxel_at_the_threshold_is_occupied(field, vectors):
    field.density[0, 0, 0, 0] = 0.1
    assert int(field.classes(vectors, 0.1)[0, 0, 0, 0]) != FREE


def test_occupied_voxels_answer_as_the_field_does(field, vectors):
    occupied = field.occupied(0.1)
    scene, x, y, z = occupied.index.T
    expected = field.query(vectors)[scene, :, x, y, z].T
    torch.testing.assert_close(occupied.query(vectors), expected)
    assert len(scene) == int((field.density >= 0.1).sum())


@pytest.mark.parametrize("align_corners", [True, False])
@pytest.mark.parametrize("chunk_points", [3, 65536])
def test_points_get_interpolated_unit_features(field, unit, align_corners, chunk_points):
    generator = torch.Generator().manual_seed(2)
    points = torch.rand(2, 50, 3, dtype=torch.float64, generator=generator) * 6 - 3
    answers = field.at(points, align_corners, chunk_points)
    box = field.volume.box
    density = lookup(field.density[..., None], points, box, align_corners)[..., 0]
    torch.testing.assert_close(answers.density, density)
    expected = normalize(lookup(unit, points, box, align_corners), dim=-1)
    torch.testing.assert_close(answers.features, expected)


def test_points_on_voxel_centres_and_far_away(field, unit):
    """With values at cell centres (align_corners off) a centre reads its voxel alone."""
    centre = torch.from_numpy(GRID.centres_m())[2, 3, 1]
    points = torch.stack([centre, torch.tensor([90.0, 0.0, 0.0]).double()]).expand(2, 2, 3)
    answers = field.at(points, align_corners=False)
    torch.testing.assert_close(answers.density[:, 0], field.density[:, 2, 3, 1])
    torch.testing.assert_close(answers.features[:, 0], unit[:, 2, 3, 1])
    assert not answers.density[:, 1].any()
    assert not answers.features[:, 1].any()


def test_values_on_centres_render_as_points_there_say(field, unit, vectors):
    """Without the quirk a ray, too, reads a cell's value at the cell's centre.

    A wall one cell thick, so opaque that a ray along its middle sees nothing but its own cells.
    """
    density = torch.zeros_like(field.density)
    density[:, 5] = 1e4
    centre = torch.from_numpy(GRID.centres_m())[5, 2, 1]
    origin = centre.clone()
    origin[1] = GRID.upper_m[1] - GRID.cell_m / 2
    rays = RayBatch(origin.float().expand(2, 1, 3), torch.tensor([0.0, -1.0, 0.0]).expand(2, 1, 3))
    config = RenderConfig(near_m=0.0, far_m=1e-2, jitter=False, implementation="sparse")
    for on_faces in (True, False):
        wall = replace(field, density=density, values_on_faces=on_faces)
        seen = wall.render(rays, config).features[:, 0]
        nearest = unit[:, 5, -1, 1]
        cosine = torch.cosine_similarity(seen, nearest, dim=-1)
        assert (cosine > 0.999).all() == (not on_faces)
    points = torch.rand(2, 30, 3, dtype=torch.float64) * 4 - 2
    for on_faces in (True, False):
        answers = replace(field, values_on_faces=on_faces).at(points)
        torch.testing.assert_close(answers.features, field.at(points, on_faces).features)


def test_one_cell_high_grids_render_without_the_quirk(vectors):
    """There is no distance between the values of one cell."""
    grid = VoxelGrid((-2.0, -2.0, 0.0), (2.0, 2.0, 1.0), 1.0)
    features = torch.randn(1, *grid.shape, 6, dtype=torch.float64)
    density = torch.ones(1, *grid.shape, dtype=torch.float64)
    flat = VoxelField(grid, density, features, Head(True).double(), values_on_faces=False)
    rays = RayBatch(torch.tensor([[[0.0, 0, 0.5]]]), torch.tensor([[[1.0, 0, 0]]]))
    seen = flat.render(rays, RenderConfig(far_m=2.0, implementation="sparse"))
    assert seen.features.isfinite().all()
    assert float(seen.opacity) > 0.5


def test_no_points(field):
    assert field.at(torch.zeros(2, 0, 3, dtype=torch.float64)).features.shape == (2, 0, 12)


def test_nothing_occupied(field, vectors):
    assert (field.classes(vectors, threshold=2.0) == FREE).all()
    assert field.occupied(threshold=2.0).query(vectors).shape == (5, 0)


def test_a_field_without_language_says_so(field, vectors):
    mute = VoxelField(GRID, field.density, field.features)
    with pytest.raises(ValueError, match="language head"):
        mute.query(vectors)
    coloured = VoxelField(GRID, field.density, field.features, field.head, "rgb")
    with pytest.raises(ValueError, match="language head"):
        coloured.classes(vectors)
    rays = RayBatch(torch.zeros(2, 1, 3), torch.tensor([[[1.0, 0, 0]]]).expand(2, 1, 3))
    assert mute.render(rays).features is None
