"""Learning rate and moving average against the recorded ones and against closed forms."""

import numpy as np
import pytest
import torch
from torch import nn

from langocc.train.average import AverageConfig, MovingAverage
from langocc.train.schedule import ScheduleConfig, learning_rate

ITERATIONS_PER_EPOCH = 1758


@pytest.fixture(scope="module")
def recorded(parity_dir):
    return np.load(parity_dir / "schedules.npz")


@pytest.mark.parity
def test_lr_first_250_iters(recorded):
    ours = [learning_rate(ScheduleConfig(), i, epoch=0, epochs=18) for i in range(250)]
    np.testing.assert_allclose(ours, recorded["lr_first_250_iters"], rtol=1e-12)


@pytest.mark.parity
@pytest.mark.parametrize(
    ("name", "offset"),
    [("lr_per_epoch_first_iter", 0), ("lr_per_epoch_last_iter", ITERATIONS_PER_EPOCH - 1)],
)
def test_lr_per_epoch(recorded, name, offset):
    ours = [
        learning_rate(ScheduleConfig(), e * ITERATIONS_PER_EPOCH + offset, epoch=e, epochs=18)
        for e in range(18)
    ]
    np.testing.assert_allclose(ours, recorded[name], rtol=1e-12)


@pytest.mark.parity
def test_lr_constant_within_epoch_from_2nd(recorded):
    for epoch, spread in enumerate(recorded["lr_constant_within_epoch_from_2nd"], start=1):
        first = learning_rate(ScheduleConfig(), 1758 * epoch, epoch=epoch, epochs=18)
        last = learning_rate(ScheduleConfig(), 1758 * epoch + 1757, epoch=epoch, epochs=18)
        assert last - first == spread


class _Follower(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm1d(3)


@pytest.mark.parity
@pytest.mark.parametrize("name", ["weight", "running_var"])
def test_ema_simulation(recorded, name):
    model = _Follower()
    path = recorded[f"ema_model_{name}"]
    target = getattr(model.norm, name)
    with torch.no_grad():
        target.copy_(torch.from_numpy(path[0]))
    average = MovingAverage(model, AverageConfig())
    for k in range(1, 101):
        with torch.no_grad():
            target.copy_(torch.from_numpy(path[k]))
        average.update(model)
        # One rounding of float32 per update: lerp and a * d + b * (1 - d) differ in the last bit.
        np.testing.assert_allclose(
            average.state[f"norm.{name}"].numpy(), recorded[f"ema_{name}_after"][k - 1], atol=1e-6
        )
    assert average.updates == recorded["ema_updates_after"][0]
    counted = average.state["norm.num_batches_tracked"]
    assert counted == recorded["ema_num_batches_tracked_after"][0]


@pytest.mark.parity
def test_ema_decay(recorded):
    average = MovingAverage(_Follower(), AverageConfig())
    for name, updates in {
        "ema_decay_at_updates_10560_plus_0_to_100": range(10560, 10661),
        "ema_decay_used_by_kth_update_1_to_100": range(10561, 10661),
        "ema_decay_updates_0_to_20000_step_1000": range(0, 20001, 1000),
    }.items():
        ours = []
        for average.updates in updates:
            ours.append(average.decay())
        np.testing.assert_allclose(ours, recorded[name], rtol=1e-12, atol=1e-15)


def test_average_of_a_constant_model_is_the_model():
    model = _Follower()
    average = MovingAverage(model, AverageConfig(first_update=0))
    for _ in range(5):
        average.update(model)
    torch.testing.assert_close(average.state["norm.weight"], model.norm.weight.detach())


def test_average_refuses_other_names():
    average = MovingAverage(_Follower(), AverageConfig())
    with pytest.raises(ValueError, match="other"):
        average.load({"other": torch.zeros(3)}, 1)
