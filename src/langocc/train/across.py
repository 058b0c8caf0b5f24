# SPDX-License-Identifier: Apache-2.0
"""Layers whose result depends on the whole batch, for a batch that is split over processes.

With all of them replaced, several processes compute what one would with the same samples.
"""

from typing import cast

import torch
import torch.distributed as dist
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm

from langocc.model.batch_norm import ImageNorm, VolumeNorm
from langocc.model.depth_net import CameraNorm
from langocc.train.processes import Processes


class _Sum(torch.autograd.Function):
    """Sum over processes; so is the gradient, because each process's loss depends on the sum."""

    @staticmethod
    def forward(ctx: object, own: Tensor) -> Tensor:
        total = own.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: object, gradient: Tensor) -> Tensor:  # type: ignore[override]
        total = gradient.clone()
        dist.all_reduce(total)
        return total


class SynchronisedNorm(_BatchNorm):
    """Batch norm over the samples of all processes, on any device.

    On GPUs `nn.SyncBatchNorm` does the same faster; it does not run on processors.
    """

    def _check_input_dim(self, input: Tensor) -> None:
        """Any number of spatial axes will do."""

    def forward(self, input: Float[Tensor, "view channel *place"]) -> Tensor:
        """`input`, normalised over all axes but the channel and over all processes."""
        if not self.training:
            return super().forward(input)
        axes = [axis for axis in range(input.dim()) if axis != 1]
        shape = [1, -1] + [1] * (input.dim() - 2)
        count = input.numel() // input.shape[1] * dist.get_world_size()
        # Two passes: the mean first. A mean of squares minus a squared mean would cancel digits.
        mean = _Sum.apply(input.sum(axes)) / count
        centred = input - mean.view(shape)
        variance = _Sum.apply(centred.square().sum(axes)) / count
        self._follow(mean.detach(), variance.detach() * (count / max(count - 1, 1)))
        scale = (variance + self.eps).rsqrt() * self.weight
        return centred * scale.view(shape) + self.bias.view(shape)

    @torch.no_grad()
    def _follow(self, mean: Tensor, variance: Tensor) -> None:
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        assert self.momentum is not None
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance, self.momentum)
        self.num_batches_tracked += 1


class GatheredCameraNorm(CameraNorm):
    """`CameraNorm` whose running statistics follow the cameras of all processes."""

    def forward(self, input: Float[Tensor, "view number"]) -> Float[Tensor, "view number"]:
        """This process's `input`, normalised."""
        if not self.training:
            return super().forward(input)
        parts = [torch.empty_like(input) for _ in range(dist.get_world_size())]
        dist.all_gather(parts, input.contiguous())
        return super().forward(torch.cat(parts)).tensor_split(len(parts))[dist.get_rank()]


class SharedDropout(nn.Dropout):
    """Drops what one process would drop from the whole batch.

    All processes have seeded alike. Each draws for the whole batch and takes its own part.
    """

    def forward(self, input: Tensor) -> Tensor:
        """`input` [view, ...] with some elements 0, the others scaled up."""
        if not self.training or self.p == 0:
            return input
        count, rank = dist.get_world_size(), dist.get_rank()
        every = input.new_ones(count * input.shape[0], *input.shape[1:])
        if input.dim() == 4 and not input.is_contiguous():
            every = every.contiguous(memory_format=torch.channels_last)
        return input * functional.dropout(every, self.p).tensor_split(count)[rank]


def spread_over(
    model: nn.Module, processes: Processes, device: torch.device, *, synchronised: bool
) -> list[Tensor]:
    """Replaces a model's layers for a batch that is split over processes. State names stay.

    Args:
        model: Changed in place.
        processes: Nothing is changed for one.
        device: Where the model lies.
        synchronised: Batch norm sees all processes' samples; else each process its own, and the
            caller averages the running statistics.

    Returns:
        Running statistics that differ between processes after a step.
    """
    if processes.count == 1:
        return []
    norm = nn.SyncBatchNorm if device.type == "cuda" else SynchronisedNorm
    replaced: dict[type, type] = {CameraNorm: GatheredCameraNorm, nn.Dropout: SharedDropout}
    plain = (nn.BatchNorm1d, nn.BatchNorm2d, ImageNorm, VolumeNorm)
    if synchronised:
        replaced |= dict.fromkeys(plain, norm)
    for parent in list(model.modules()):
        for name, child in parent.named_children():
            if type(child) in replaced:
                setattr(parent, name, _taking_over(replaced[type(child)], child))
    own = [module for module in model.modules() if type(module) in plain]
    statistics = [(module.running_mean, module.running_var) for module in own]
    return [cast(Tensor, tensor) for pair in statistics for tensor in pair]


def _taking_over(layer: type[nn.Module], old: nn.Module) -> nn.Module:
    """A layer of another class around the same parameters and buffers."""
    if isinstance(old, nn.Dropout):
        return layer(old.p)
    assert isinstance(old, _BatchNorm)
    new = layer(old.num_features, old.eps, old.momentum)
    new._parameters, new._buffers = old._parameters, old._buffers
    return new.train(old.training)
