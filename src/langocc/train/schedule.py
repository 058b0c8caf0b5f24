# SPDX-License-Identifier: Apache-2.0
"""The learning rate of every iteration."""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class ScheduleConfig:
    """Linear warm-up, constant, then a cosine that falls by epoch.

    Source: method.md section 5.
    """

    base_lr: float = 1e-4
    """Learning rate of AdamW between warm-up and decay."""
    warmup_iterations: int = 200
    """Iterations of linear warm-up."""
    warmup_ratio: float = 0.001
    """Share of the base rate at iteration 0."""
    decay_start: float = 7 / 18
    """Share of the epochs after which the cosine begins (the paper: epoch 7 of 18)."""
    final_ratio: float = 0.01
    """Share of the base rate that the cosine would reach at the end of the last epoch."""


def learning_rate(config: ScheduleConfig, iteration: int, *, epoch: int, epochs: int) -> float:
    """Learning rate of a 0-based `iteration` that lies in the 0-based `epoch` of `epochs`.

    The decay steps once per epoch; the warm-up, where it still runs, scales what the decay gives.

    Example:
        >>> round(learning_rate(ScheduleConfig(), 0, epoch=0, epochs=18), 9)
        1e-07
        >>> round(learning_rate(ScheduleConfig(), 40_000, epoch=17, epochs=18), 9)
        3.005e-06
    """
    start = config.decay_start * epochs
    rate = config.base_lr
    if epoch >= start:
        progress = (epoch - start) / (epochs - start)
        span = 1 - config.final_ratio
        rate *= config.final_ratio + span / 2 * (1 + math.cos(math.pi * progress))
    if iteration < config.warmup_iterations:
        share = iteration / config.warmup_iterations
        rate *= config.warmup_ratio + (1 - config.warmup_ratio) * share
    return rate
