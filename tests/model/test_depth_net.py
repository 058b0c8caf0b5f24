# SPDX-License-Identifier: Apache-2.0
"""The norm of the camera numbers sees what differs between batches of one sample."""

import torch
from torch import nn

from langocc.model.depth_net import CameraNorm


def flipped_views(steps: int, seed: int = 0) -> list[torch.Tensor]:
    """Six views a step: a focal length each, and a flip that all six share."""
    generator = torch.Generator().manual_seed(seed)
    batches = []
    for _ in range(steps):
        focal_px = 250 + 50 * torch.rand(6, 1, generator=generator)
        flip = torch.randint(0, 2, (1, 1), generator=generator).mul(2).sub(1).expand(6, 1)
        batches.append(torch.cat([focal_px, flip], dim=1))
    return batches


def test_a_flip_shared_by_all_views_stays_of_order_one() -> None:
    norm, by_batch = CameraNorm(2), nn.BatchNorm1d(2)
    for views in flipped_views(300):
        norm(views)
        by_batch(views)
    test = torch.tensor([[275.0, 1.0], [275.0, -1.0]])
    answer = norm.eval()(test)[:, 1]
    assert answer[0] - answer[1] > 1.5
    assert answer.abs().max() < 2
    # What the published norm answers, which is why there is another one.
    assert by_batch.eval()(test)[:, 1].abs().max() > 50


def test_training_and_evaluation_see_the_same() -> None:
    norm, (*first, last) = CameraNorm(2), flipped_views(300)
    for views in first:
        norm(views)
    in_training = norm(last)
    torch.testing.assert_close(norm.eval()(last), in_training)


def test_statistics_are_those_of_everything_seen_at_first() -> None:
    norm, batches = CameraNorm(2), flipped_views(40)
    for views in batches:
        norm(views)
    seen = torch.cat(batches)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    torch.testing.assert_close(norm.running_mean, seen.mean(0))
    torch.testing.assert_close(norm.running_var, seen.var(0), rtol=0.15, atol=0)


def test_state_is_that_of_a_batch_norm() -> None:
    assert CameraNorm(5).state_dict().keys() == nn.BatchNorm1d(5).state_dict().keys()
