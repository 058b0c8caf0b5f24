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


def test_rendered_rays_end_where_the_field_stops_them():
    config = replace(ASKS, surface_range="rendered")
    thin = asked(wall_at_two_metres(0.1), ahead(), config)
    assert not thin.is_end.any()  # nobody knows
    thick = asked(wall_at_two_metres(20.0), ahead(), config)
    assert thick.is_end.all()
    assert thick.density[0, 0].item() > 1.0


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
