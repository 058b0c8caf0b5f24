# SPDX-License-Identifier: Apache-2.0
"""Exponential moving average of the weights: what is evaluated and reported."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class AverageConfig:
    """Decay of the average, which grows as 1 - exp(-updates / time_constant).

    Source: method.md section 5.
    """

    decay: float = 0.999
    """Limit of the decay."""
    time_constant: float = 2000.0
    """Updates over which the decay approaches its limit."""
    first_update: int = 10560
    """Where the count starts: 10560 makes the first decay 0.9939 (published); 0 for short runs."""


class MovingAverage:
    """Follows a model's floating-point state, buffers included; integer buffers are copied once.

    The state is a plain mapping from state names to tensors, so that a checkpoint stores it as is.
    """

    def __init__(self, model: nn.Module, config: AverageConfig) -> None:
        """Starts at the model's present state."""
        self.config = config
        self.updates = config.first_update
        self.state: dict[str, Tensor] = {
            name: tensor.detach().clone() for name, tensor in model.state_dict().items()
        }

    def decay(self) -> float:
        """Decay at the present count of updates."""
        return self.config.decay * (1 - math.exp(-self.updates / self.config.time_constant))

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Moves the average towards the model: average = d * average + (1 - d) * model."""
        self.updates += 1
        present = model.state_dict()
        names = [name for name, tensor in self.state.items() if tensor.is_floating_point()]
        averages = [self.state[name] for name in names]
        torch._foreach_lerp_(  # pyright: ignore[reportPrivateImportUsage]
            averages, [present[name] for name in names], 1 - self.decay()
        )

    def load(self, state: Mapping[str, Tensor], updates: int) -> None:
        """Takes up a stored average.

        Raises:
            ValueError: the names differ from those of the model.
        """
        if state.keys() != self.state.keys():
            differing = sorted(state.keys() ^ self.state.keys())[:10]
            raise ValueError(f"average: the stored names differ from the model's: {differing}")
        for name, tensor in state.items():
            self.state[name].copy_(tensor)
        self.updates = updates
