# SPDX-License-Identifier: Apache-2.0
"""Batch norm in training with shortcut and ReLU on a GPU: two kernels forward, two backward.

Equal to `nn.BatchNorm2d` or `nn.BatchNorm3d`, the shortcut added and ReLU behind, up to rounding:
everything is computed in float32 and rounded once. It keeps as much for the backward pass: the
input and the output.
"""

from functools import cache
from typing import Any, NamedTuple

import torch
import triton
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.modules.batchnorm import _BatchNorm

from langocc.model import norm_kernels as kernels
from langocc.model.triton_activation import as_rows

Context = Any  # autograd contexts carry whatever `forward` puts on them

CHANNEL_BLOCK = 64
"""Most channels of a program: 128 bytes of a row in bfloat16, what a GPU reads at once."""


class Work(NamedTuple):
    """How a kernel is spread over a GPU.

    Attributes:
        tile: Numbers of a tile.
        steps: Tiles that a program reads at once.
        warps: Of a program.
        programs: About so many; 0 for one to each tile.
    """

    tile: int
    steps: int
    warps: int
    programs: int


STATISTICS = Work(tile=2048, steps=4, warps=8, programs=396)
GRADIENT_SUMS = Work(tile=2048, steps=2, warps=8, programs=528)
POINTWISE = Work(tile=4096, steps=1, warps=4, programs=0)


class Split(NamedTuple):
    """How programs share rows and channels.

    Attributes:
        per_share: Rows of a program.
        shares: Programs of a block of channels.
        programs: All of them.
        constants: What the kernel is compiled with.
    """

    per_share: int
    shares: int
    programs: int
    constants: dict[str, int]


def triton_norm(
    norm: _BatchNorm,
    x: Float[Tensor, "batch channel *size"],
    shortcut: Float[Tensor, "batch channel *size"] | None = None,
    *,
    activates: bool,
) -> Float[Tensor, "batch channel *size"]:
    """ReLU(norm(x) + shortcut) in the precision of `x`; moves the norm's running statistics.

    Args:
        norm: In training, with weights, running statistics and a momentum.
        x: Float32 or narrower. What is not stored channels last is copied to be.
        shortcut: Of the same shape, or none.
        activates: Whether there is a ReLU. Without gradients, `x` is then overwritten.

    Raises:
        ValueError: the shapes differ, or a channel has one value only, which has no variance.
    """
    if shortcut is not None and shortcut.shape != x.shape:
        raise ValueError(f"shortcut: expected shape {list(x.shape)}, got {list(shortcut.shape)}")
    if x.numel() <= x.shape[1]:
        raise ValueError(f"x: expected several values per channel, got shape {list(x.shape)}")
    x, shortcut = as_rows(x), None if shortcut is None else as_rows(shortcut)
    if torch.is_grad_enabled():
        return _Norm.apply(x, shortcut, norm.weight, norm.bias, norm, activates)  # type: ignore[return-value]
    return _forward(x, shortcut, norm, x if activates else torch.empty_like(x), activates)[0]


class _Norm(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Context,
        x: Tensor,
        shortcut: Tensor | None,
        weight: Tensor,
        bias: Tensor,
        norm: _BatchNorm,
        activates: bool,
    ) -> Tensor:
        out, statistics = _forward(x, shortcut, norm, torch.empty_like(x), activates)
        ctx.save_for_backward(x, out if activates else None, statistics, weight)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Context, d_out: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        x, out, statistics, weight = ctx.saved_tensors
        d_out, activates, has_shortcut = as_rows(d_out), out is not None, ctx.needs_input_grad[1]
        # Without ReLU the shortcut's gradient is that of the output.
        d_shortcut = torch.empty_like(x) if activates and has_shortcut else d_out
        channels, rows = x.shape[1], x.numel() // x.shape[1]
        d_weight, d_bias = torch.empty_like(statistics).unbind()
        split = _split(rows, channels, GRADIENT_SUMS)
        kernels.gradient_sums_kernel[(split.programs,)](
            d_out, x, out if activates else x, d_shortcut,
            statistics.new_empty(2, split.shares, channels), _arrivals_of(x),
            statistics, d_weight, d_bias, rows, channels, split.per_share, split.shares,
            HAS_SHORTCUT=activates and has_shortcut, HAS_RELU=activates, **split.constants,
        )  # fmt: skip
        d_x, point = torch.empty_like(x), _split(rows, channels, POINTWISE)
        is_held = activates and not has_shortcut  # else ReLU has been applied
        kernels.gradient_kernel[(point.programs,)](
            d_shortcut if has_shortcut else d_out, x, out if is_held else x, d_x,
            statistics, weight, d_weight, d_bias, rows, channels,
            HAS_RELU=is_held, **point.constants,
        )  # fmt: skip
        return d_x, d_shortcut if has_shortcut else None, d_weight, d_bias, None, None


def _forward(
    x: Tensor, shortcut: Tensor | None, norm: _BatchNorm, out: Tensor, activates: bool
) -> tuple[Tensor, Tensor]:
    """Fills `out`; that and mean and inverse deviation of each channel, [2, channel]."""
    channels, rows = x.shape[1], x.numel() // x.shape[1]
    split = _split(rows, channels, STATISTICS)
    statistics = x.new_empty(2, channels, dtype=torch.float32)
    kernels.statistics_kernel[(split.programs,)](
        x, statistics.new_empty(2, split.shares, channels), _arrivals_of(x), statistics,
        norm.running_mean, norm.running_var, norm.num_batches_tracked,
        rows, channels, split.per_share, split.shares, norm.momentum, norm.eps, **split.constants,
    )  # fmt: skip
    point = _split(rows, channels, POINTWISE)
    kernels.normalise_kernel[(point.programs,)](
        x, x if shortcut is None else shortcut, out, statistics, norm.weight, norm.bias,
        rows, channels, HAS_SHORTCUT=shortcut is not None, HAS_RELU=activates, **point.constants,
    )  # fmt: skip
    return out, statistics


@cache  # asked for hundreds of times a step
def _split(rows: int, channels: int, work: Work) -> Split:
    block = min(triton.next_power_of_2(channels), CHANNEL_BLOCK)
    blocks, tile = triton.cdiv(channels, block), work.tile // block
    constants = {"CHANNEL_BLOCK": block, "ROWS": tile, "num_warps": work.warps}
    per_share = tile
    if work.programs:
        constants["STEPS"] = work.steps
        per_share *= triton.cdiv(triton.cdiv(rows, tile) * blocks, work.programs)
    shares = triton.cdiv(rows, per_share)
    return Split(per_share, shares, shares * blocks, constants)


def _arrivals_of(x: Tensor) -> Tensor:
    """Counters of the stream that `x` is worked on in: kernels of one stream take turns."""
    return _arrivals(x.device, torch.cuda.current_stream(x.device).cuda_stream if x.is_cuda else 0)


@cache
def _arrivals(device: torch.device, stream: int) -> Tensor:
    """Counters, zero before every kernel and after; for 262,144 channels."""
    return torch.zeros(4096, dtype=torch.int32, device=device)
