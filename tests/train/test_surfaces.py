"""Direct questions to the field: where rays end, what they pass, and what each answer costs."""

import json
import math
from dataclasses import replace

import pytest
import torch
from toy_street import CONFIG, ToyStreet, new_training

from langocc.errors import ConfigError
from langocc.field import VoxelField
from langocc.geometry.grid import VoxelGrid
from langocc.geometry.rays import RayBatch
from langocc.render import losses
from langocc.render.config import RenderConfig
from langocc.render.objective import LossConfig
from langocc.train.surfaces import surface_answers

GRID = VoxelGrid((-4.0, -4.0, -1.0), (4.0, 4.0, 1.0), 0.5)
RENDER = RenderConfig(far_m=8.0, jitter=False)
ASKS = LossConfig(surface_weight=1.0, feature_weight=0.0)


def wall_at_two_metres(density: float = 6.0) -> VoxelField:
    """A wall that fills the cells around x = 2 m, and nothing else."""
    volume = torch.zeros(1, *GRID.shape)
    volume[:, 12] = density  # its centre is at 2.25 m
    return VoxelField(
        GRID, volume.requires_grad_(), torch.zeros(1, *GRID.shape, 6), None, "rgb", False
    )


def ahead(**values: torch.Tensor) -> RayBatch:
    """Two rays along x from the middle of the grid."""
    origins, directions = torch.zeros(1, 2, 3), torch.tensor([[[1.0, 0, 0], [1.0, 0, 0]]])
    return RayBatch(origins, directions, rgb=torch.zeros(1, 2, 3), **values)


def asked(field: VoxelField, rays: RayBatch, config: LossConfig = ASKS, points: int = 4):
    """Its answers, the points in the middle of their parts."""
    uniforms = torch.full((1, 2, points), 0.5)
    with torch.no_grad():
        rendered = replace(field, density=field.density.detach()).render(rays, RENDER)
    return surface_answers(field, rays, rendered, uniforms, config)


def test_a_ray_ends_where_it_was_measured_and_passes_what_lies_before():
    field = wall_at_two_metres()
    answers = asked(field, ahead(range_m=torch.tensor([[2.25, 0.0]])))
    assert answers.is_end.tolist() == [[True, False]]
    assert answers.is_free.tolist() == [[True, False]]
    assert answers.density[0, 0].item() == pytest.approx(6.0)
    assert answers.free_density[0, 0].tolist() == [0.0] * 4  # up to 1.5 cells before it


def test_sky_is_free_up_to_the_far_end_and_has_no_surface():
    is_sky = torch.tensor([[True, False]])
    answers = asked(
        wall_at_two_metres(), ahead(range_m=torch.zeros(1, 2), is_sky=is_sky), points=32
    )
    assert not answers.is_end.any()
    assert answers.is_free.tolist() == [[True, False]]
    assert answers.free_density[0, 0].max().item() > 3.0  # the wall stands in the sky's way


def test_ends_outside_the_grid_are_not_asked():
    answers = asked(wall_at_two_metres(), ahead(range_m=torch.tensor([[4.5, 2.0]])))
    assert answers.is_end.tolist() == [[False, True]]


def test_a_range_that_is_no_number_ends_nowhere():
    answers = asked(wall_at_two_metres(), ahead(range_m=torch.tensor([[math.nan, math.inf]])))
    assert not answers.is_end.any()
    assert answers.density.isfinite().all()


def test_rendered_rays_end_where_the_field_stops_them():
    config = replace(ASKS, surface_range="rendered")
    thin = asked(wall_at_two_metres(0.1), ahead(), config)
    assert not thin.is_end.any()  # nobody knows
    thick = asked(wall_at_two_metres(20.0), ahead(), config)
    assert thick.is_end.all()
    assert thick.density[0, 0].item() > 1.0


STREET = VoxelGrid((-16.0, -4.0, -1.0), (16.0, 4.0, 2.2), 0.8)
"""The road at z = 0 lies in layer 1 (-0.2 to 0.6 m); layers 0 and 2 are beside it."""


def over_the_road(**values: torch.Tensor) -> tuple[VoxelField, RayBatch]:
    """Thin matter everywhere, and two rays from 1.5 m that meet the road 11 and 14 m ahead.

    The second ray passes the column of the first end at 0.3 m, in the same layer.
    """
    density = torch.ones(1, *STREET.shape, requires_grad=True)
    field = VoxelField(STREET, density, torch.zeros(1, *STREET.shape, 6), values_on_faces=False)
    origins = torch.tensor([0.0, 0.4, 1.5]).expand(1, 2, 3)
    ends = torch.tensor([[[11.0, 0.4, 0.0], [14.0, 0.4, 0.0]]])
    far = (ends - origins).norm(dim=-1)
    rays = RayBatch(origins, (ends - origins) / far[..., None], range_m=far, **values)
    return field, rays


def test_what_a_ray_grazes_just_before_it_ends_stays_where_it_is():
    """The layer with the road is not asked to be free where other rays end in it; the air is."""
    field, rays = over_the_road(weights=torch.ones(1, 2))
    asked(field, rays, points=64).free_density.sum().backward()
    push = field.density.grad[0]
    hit, later = int((11.0 + 16) / 0.8), int((14.0 + 16) / 0.8)
    assert push[hit, 5, 1].item() == push[later, 5, 1].item() == 0
    assert push[hit, 5, 2].item() > 0  # the air above the road the second ray went through
    assert push[hit - 1, 5, 1].item() > 0  # no ray ends here: free for all that is known


def test_the_end_of_a_ray_without_weight_keeps_nothing_occupied():
    """Such as of a car of another time, which has driven on."""
    field, rays = over_the_road(weights=torch.tensor([[0.0, 1.0]]))
    asked(field, rays, points=64).free_density.sum().backward()
    assert field.density.grad[0, int((11.0 + 16) / 0.8), 5, 1].item() > 0


@pytest.mark.parametrize("end", ["voxel", "point"])
def test_the_end_asks_the_voxel_that_holds_it_or_the_point(end):
    field, rays = over_the_road()
    asked(field, rays, replace(ASKS, surface_end=end)).density[0, 0].backward()
    push = field.density.grad[0]
    column = push[int((11.0 + 16) / 0.8), 5]
    if end == "voxel":
        assert int((push != 0).sum()) == 1
        assert column.tolist() == [0.0, 1.0, 0.0, 0.0]
    else:
        assert float(push.sum()) == pytest.approx(1.0, rel=1e-5)
        assert column[0].item() > 0.1  # below the road, where nothing was seen


def test_scenes_of_a_batch_do_not_hide_each_others_surfaces():
    field, rays = over_the_road()
    twice = RayBatch(
        rays.origins.expand(2, 2, 3),
        rays.directions.expand(2, 2, 3),
        range_m=torch.stack([rays.range_m[0], rays.range_m[0] * torch.tensor([0.0, 1.0])]),
    )
    density = torch.ones(2, *STREET.shape, requires_grad=True)
    field = replace(field, density=density, features=field.features.expand(2, -1, -1, -1, -1))
    with torch.no_grad():
        rendered = field.render(twice, RENDER)
    answers = surface_answers(field, twice, rendered, torch.full((2, 2, 64), 0.5), ASKS)
    answers.free_density[:, 1].sum().backward()
    hit = int((11.0 + 16) / 0.8)
    assert density.grad[0, hit, 5, 1].item() == 0
    assert density.grad[1, hit, 5, 1].item() > 0


def test_costs_by_hand():
    """A cell of half a metre and density 2/m stops 1 - exp(-1) and lets pass exp(-1)."""
    two = torch.full((1, 1), 2.0)
    assert float(losses.surface_cost(two, 0.5)) == pytest.approx(
        -math.log(1 - math.exp(-1)), rel=1e-5
    )
    assert float(losses.free_cost(two[..., None], 0.5)) == pytest.approx(1.0)
    nothing = torch.zeros(1, 1, requires_grad=True)
    losses.surface_cost(nothing, 0.5).sum().backward()
    assert nothing.grad is not None
    assert nothing.grad.isfinite().all()


def test_a_surface_behind_another_is_reached():
    """Rendering cannot see it: an opaque wall stands before it. A direct question can."""
    field = wall_at_two_metres(100.0)
    rays = ahead(range_m=torch.full((1, 2), 3.25))
    answers = asked(field, rays)
    cost = losses.surface_cost(answers.density, 0.5).sum()
    (cost + losses.free_cost(answers.free_density, 0.5).sum()).backward()
    gradient = field.density.grad[0]
    assert float(gradient[14].min()) < 0  # more, please
    assert float(gradient[12].max()) > 0  # less: it is in the way


class MeasuredStreet(ToyStreet):
    """Everything was measured at 6 m."""

    def __getitem__(self, number):
        batch = super().__getitem__(number)
        ranges = torch.full(batch.rays.origins.shape[:2], 6.0)
        return replace(batch, rays=replace(batch.rays, range_m=ranges))


@pytest.mark.parametrize("where", ["measured", "rendered"])
def test_a_run_learns_from_direct_questions(tmp_path, where):
    loss = replace(CONFIG.loss, surface_weight=1.0, surface_feature_weight=1.0, surface_range=where)
    sample = replace(CONFIG.sample, ranges=where == "measured")
    training = new_training(tmp_path, replace(CONFIG, loss=loss, sample=sample, steps=60))
    training.samples = MeasuredStreet()
    training.fit(lambda _: None)
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").open()]
    if where == "measured":
        assert lines[-1]["surface"] < 0.8 * lines[0]["surface"]
        assert lines[-1]["surface_feature"] < 0.8 * lines[0]["surface_feature"]
    for line in lines:
        parts = line["feature"] + line["surface"] + line["surface_feature"]
        assert line["total"] == pytest.approx(parts, rel=1e-5)


def test_measured_ranges_need_samples_that_carry_them():
    with pytest.raises(ConfigError, match=r"surface-weight.*--sample\.ranges"):
        replace(CONFIG, loss=replace(CONFIG.loss, surface_weight=1.0))
    with pytest.raises(ValueError, match="range_m"):
        asked(wall_at_two_metres(), ahead())
