"""Rendering judged by hand-made rays."""

import numpy as np
import pytest
import torch
from test_projected import ColourTeacher, frame  # noqa: F401  # the fixture

from langocc.evaluate.render import RenderErrors
from langocc.evaluate.render_rays import lidar_rays
from langocc.scenes.frame import Frame


def test_scores_by_hand() -> None:
    errors = RenderErrors()
    rendered = torch.tensor([[2.0, 0.0], [0.0, 1.0], [0.0, 0.0], [3.0, 4.0]])
    teacher = torch.tensor([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0], [1.0, 0.0]])
    depth = torch.tensor([10.0, 12.0, 40.0, 5.0])
    lidar = torch.tensor([10.0, 10.0, 10.0, 4.0])
    errors.update(rendered, teacher, depth, lidar)
    scores = errors.scores()
    assert (scores.rays, scores.missed) == (4, 1)
    assert scores.cosine == pytest.approx((1 + 0 + 0 + 0.6) / 4)
    assert scores.absolute_m == pytest.approx((0 + 2 + 30 + 1) / 4)
    assert scores.relative == pytest.approx((0 + 0.2 + 3 + 0.25) / 4)
    assert scores.median_relative == pytest.approx((0.2 + 0.25) / 2)
    assert scores.good == pytest.approx(50.0)


def test_parts_merge_to_the_whole() -> None:
    generator = torch.Generator().manual_seed(0)
    data = [
        [torch.randn(n, 3, generator=generator) for _ in range(2)]
        + [torch.rand(n, generator=generator) + 1 for _ in range(2)]
        for n in (5, 8)
    ]
    whole, parts = RenderErrors(), RenderErrors()
    whole.update(*(torch.cat(column) for column in zip(*data, strict=True)))
    for part in data:
        one = RenderErrors()
        one.update(*part)
        parts = parts.merge(one)
    assert parts.scores() == whole.scores()


def test_intervals_are_those_of_redrawn_scenes() -> None:
    """Two scenes, cosine 1 and 0, of one and three rays: redrawn alone or together."""
    errors, one = RenderErrors(), torch.eye(2)
    errors.update(one[:1], one[:1], torch.tensor([10.0]), torch.tensor([10.0]), "a")
    rendered, truth = one[:1].expand(3, 2), one[1:].expand(3, 2)
    errors.update(rendered, truth, torch.full((3,), 20.0), torch.full((3,), 10.0), "b")
    scores = errors.scores()
    assert scores.cosine == 0.25
    assert (scores.intervals["cosine"].low, scores.intervals["cosine"].high) == (0.0, 1.0)
    absolute, good = scores.intervals["absolute_m"], scores.intervals["good"]
    assert (absolute.low, absolute.high, good.low, good.high) == (0.0, 10.0, 0.0, 100.0)


def test_bad_numbers_are_named() -> None:
    good, one = torch.ones(1, 2), torch.ones(1)
    with pytest.raises(ValueError, match="rendered: expected finite numbers, got 1 NaN"):
        RenderErrors().update(torch.tensor([[float("nan"), 0.0]]), good, one, one)
    with pytest.raises(ValueError, match="lidar_m: expected distances > 0"):
        RenderErrors().update(good, good, one, 0 * one)
    with pytest.raises(ValueError, match="at least one ray"):
        RenderErrors().scores()


def test_rays_end_on_their_lidar_points(frame: Frame) -> None:  # noqa: F811
    found = lidar_rays(frame, ColourTeacher())
    ends = found.rays.origins[0] + found.lidar_m[:, None] * found.rays.directions[0]
    expected = np.array([[10.0, 5.0, 0.0], [10.0, -5.0, 0.0], [10.1, -5.0, 0.1]])
    np.testing.assert_allclose(sorted(ends.tolist()), sorted(expected.tolist()), atol=1e-4)
    left = found.rays.directions[0, :, 1] > 0
    red = torch.tensor([1.0, 0, 0])
    torch.testing.assert_close(found.rays.features[0, left], red[None])
    assert lidar_rays(frame, ColourTeacher(), count=1).lidar_m.shape == (1,)
