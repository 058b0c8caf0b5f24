# SPDX-License-Identifier: Apache-2.0
"""Triton kernels of batch norm with shortcut and ReLU; `triton_norm` calls them.

Tensors are read as rows of channels: they are stored channels last. A program works on a block of
channels in some of the rows; programs are numbered with the blocks innermost. Where sums over all
rows are wanted, each program leaves those of its own rows, and the last to arrive adds them up, in
order of rows: so results do not depend on which it is. Sums are in float32. A program reads STEPS
tiles of ROWS rows at once, which keeps enough reads under way with few registers.
"""
# ruff: noqa: ANN001, ANN201, ANN202, N803 - Triton types arguments; constants are upper case there.

from typing import no_type_check

import triton
import triton.language as tl


@triton.jit
@no_type_check  # keeps runtime type checkers away from what only Triton can read
def _is_last(arrivals, block, shares):
    """Whether all programs of this block of channels have left their sums; readies the counter."""
    tl.debug_barrier()  # the sums of all threads come before the sign of arrival
    is_last = tl.atomic_add(arrivals + block, 1) == shares - 1
    if is_last:
        tl.store(arrivals + block, 0)
    return is_last


@triton.jit
@no_type_check
def _merged_statistics(
    partial, channel, rows, channels, per_share, shares,
    CHANNEL_BLOCK: tl.constexpr, ROWS: tl.constexpr, STEPS: tl.constexpr,
):  # fmt: skip
    """Mean and variance over all rows, from means and sums of squares about them."""
    near = tl.load(partial + channel, mask=channel < channels, other=0.0, cache_modifier=".cg")
    total = tl.zeros([ROWS, CHANNEL_BLOCK], dtype=tl.float32)
    square = tl.zeros([ROWS, CHANNEL_BLOCK], dtype=tl.float32)
    for start in range(0, shares, STEPS * ROWS):
        for step in tl.static_range(STEPS):
            share = (start + step * ROWS + tl.arange(0, ROWS))[:, None]
            valid = (share < shares) & (channel < channels)[None, :]
            at = partial + share * channels + channel[None, :]
            count = tl.minimum(rows - share * per_share, per_share).to(tl.float32)
            mean = tl.load(at, mask=valid, other=0.0, cache_modifier=".cg")
            spread = tl.load(at + shares * channels, mask=valid, other=0.0, cache_modifier=".cg")
            apart = mean - near[None, :]
            total += tl.where(valid, count * apart, 0.0)
            square += tl.where(valid, spread + count * apart * apart, 0.0)
    apart = tl.sum(total, axis=0) / rows
    variance = tl.sum(square, axis=0) / rows - apart * apart
    return near + apart, tl.where(variance < 0.0, 0.0, variance)  # NaN stays NaN


@triton.jit
@no_type_check
def _merged_sums(
    partial,
    channel,
    channels,
    shares,
    CHANNEL_BLOCK: tl.constexpr,
    ROWS: tl.constexpr,
    STEPS: tl.constexpr,
):
    """The two sums over all rows."""
    first = tl.zeros([ROWS, CHANNEL_BLOCK], dtype=tl.float32)
    second = tl.zeros([ROWS, CHANNEL_BLOCK], dtype=tl.float32)
    for start in range(0, shares, STEPS * ROWS):
        for step in tl.static_range(STEPS):
            share = (start + step * ROWS + tl.arange(0, ROWS))[:, None]
            valid = (share < shares) & (channel < channels)[None, :]
            at = partial + share * channels + channel[None, :]
            first += tl.load(at, mask=valid, other=0.0, cache_modifier=".cg")
            second += tl.load(at + shares * channels, mask=valid, other=0.0, cache_modifier=".cg")
    return tl.sum(first, axis=0), tl.sum(second, axis=0)


@triton.jit
@no_type_check
def statistics_kernel(
    x, partial, arrivals, statistics, running_mean, running_variance, batches,
    rows, channels, per_share, shares, momentum, eps,
    CHANNEL_BLOCK: tl.constexpr, ROWS: tl.constexpr, STEPS: tl.constexpr,
):  # fmt: skip
    """Mean and inverse deviation of each channel; moves the running ones and counts the batch.

    Squares are of distances from a number near the mean, so that no digits cancel: the first row
    of a program's share, and the first share's mean when shares are merged.
    """
    blocks = tl.cdiv(channels, CHANNEL_BLOCK)
    block, share = tl.program_id(0) % blocks, tl.program_id(0) // blocks
    channel = block * CHANNEL_BLOCK + tl.arange(0, CHANNEL_BLOCK)
    exists = channel < channels
    first = share * per_share
    last = tl.minimum(first + per_share, rows)
    near = tl.load(x + first.to(tl.int64) * channels + channel, mask=exists, other=0.0)
    near = near.to(tl.float32)
    total = tl.zeros([ROWS, CHANNEL_BLOCK], dtype=tl.float32)
    square = tl.zeros([ROWS, CHANNEL_BLOCK], dtype=tl.float32)
    for start in range(first, last, STEPS * ROWS):
        for step in tl.static_range(STEPS):
            row = (start + step * ROWS + tl.arange(0, ROWS))[:, None]
            valid = (row < last) & exists[None, :]
            at = row.to(tl.int64) * channels + channel[None, :]
            value = tl.load(x + at, mask=valid, other=0.0).to(tl.float32)
            value = tl.where(valid, value - near[None, :], 0.0)
            total += value
            square += value * value
    count = (last - first).to(tl.float32)
    apart = tl.sum(total, axis=0) / count
    spread = tl.sum(square, axis=0) - count * apart * apart
    at = share * channels + channel
    tl.store(partial + at, near + apart, mask=exists)
    tl.store(partial + shares * channels + at, spread, mask=exists)
    if _is_last(arrivals, block, shares):
        mean, variance = _merged_statistics(
            partial, channel, rows, channels, per_share, shares, CHANNEL_BLOCK, ROWS, STEPS
        )
        tl.store(statistics + channel, mean, mask=exists)
        tl.store(statistics + channels + channel, 1.0 / tl.sqrt(variance + eps), mask=exists)
        unbiased = variance * (rows / (rows - 1.0))
        old = tl.load(running_mean + channel, mask=exists, other=0.0).to(tl.float32)
        new = momentum * mean + (1.0 - momentum) * old
        tl.store(running_mean + channel, new, mask=exists)
        old = tl.load(running_variance + channel, mask=exists, other=0.0).to(tl.float32)
        new = momentum * unbiased + (1.0 - momentum) * old
        tl.store(running_variance + channel, new, mask=exists)
        if block == 0:
            tl.store(batches, tl.load(batches) + 1)


@triton.jit
@no_type_check
def normalise_kernel(
    x, shortcut, out, statistics, weight, bias, rows, channels,
    HAS_SHORTCUT: tl.constexpr, HAS_RELU: tl.constexpr,
    CHANNEL_BLOCK: tl.constexpr, ROWS: tl.constexpr,
):  # fmt: skip
    """Normalised `x`, plus the shortcut, through ReLU; rounded once."""
    blocks = tl.cdiv(channels, CHANNEL_BLOCK)
    channel = tl.program_id(0) % blocks * CHANNEL_BLOCK + tl.arange(0, CHANNEL_BLOCK)
    row = (tl.program_id(0) // blocks * ROWS + tl.arange(0, ROWS))[:, None]
    exists = channel < channels
    mean = tl.load(statistics + channel, mask=exists, other=0.0)
    scale = tl.load(statistics + channels + channel, mask=exists, other=0.0)
    scale *= tl.load(weight + channel, mask=exists, other=0.0).to(tl.float32)
    offset = tl.load(bias + channel, mask=exists, other=0.0).to(tl.float32)
    valid = (row < rows) & exists[None, :]
    at = row.to(tl.int64) * channels + channel[None, :]
    value = tl.load(x + at, mask=valid, other=0.0).to(tl.float32)
    value = (value - mean[None, :]) * scale[None, :] + offset[None, :]
    if HAS_SHORTCUT:
        value += tl.load(shortcut + at, mask=valid, other=0.0).to(tl.float32)
    if HAS_RELU:
        value = tl.where(value < 0.0, 0.0, value)  # NaN stays NaN
    tl.store(out + at, value.to(out.dtype.element_ty), mask=valid)


@triton.jit
@no_type_check
def gradient_sums_kernel(
    d_out, x, out, d_shortcut, partial, arrivals, statistics, d_weight, d_bias,
    rows, channels, per_share, shares,
    HAS_SHORTCUT: tl.constexpr, HAS_RELU: tl.constexpr,
    CHANNEL_BLOCK: tl.constexpr, ROWS: tl.constexpr, STEPS: tl.constexpr,
):  # fmt: skip
    """Gradients of weight and bias; that of the shortcut is what comes through ReLU."""
    blocks = tl.cdiv(channels, CHANNEL_BLOCK)
    block, share = tl.program_id(0) % blocks, tl.program_id(0) // blocks
    channel = block * CHANNEL_BLOCK + tl.arange(0, CHANNEL_BLOCK)
    exists = channel < channels
    first = share * per_share
    last = tl.minimum(first + per_share, rows)
    mean = tl.load(statistics + channel, mask=exists, other=0.0)
    total = tl.zeros([ROWS, CHANNEL_BLOCK], dtype=tl.float32)
    moment = tl.zeros([ROWS, CHANNEL_BLOCK], dtype=tl.float32)
    for start in range(first, last, STEPS * ROWS):
        for step in tl.static_range(STEPS):
            row = (start + step * ROWS + tl.arange(0, ROWS))[:, None]
            valid = (row < last) & exists[None, :]
            at = row.to(tl.int64) * channels + channel[None, :]
            gradient = tl.load(d_out + at, mask=valid, other=0.0).to(tl.float32)
            value = tl.load(x + at, mask=valid, other=0.0).to(tl.float32)
            if HAS_RELU:
                is_held = tl.load(out + at, mask=valid, other=0.0) <= 0
                gradient = tl.where(is_held, 0.0, gradient)
            if HAS_SHORTCUT:
                tl.store(d_shortcut + at, gradient.to(d_shortcut.dtype.element_ty), mask=valid)
            total += gradient
            moment += gradient * (value - mean[None, :])
    at = share * channels + channel
    tl.store(partial + at, tl.sum(total, axis=0), mask=exists)
    tl.store(partial + shares * channels + at, tl.sum(moment, axis=0), mask=exists)
    if _is_last(arrivals, block, shares):
        d_sum, d_moment = _merged_sums(
            partial, channel, channels, shares, CHANNEL_BLOCK, ROWS, STEPS
        )
        scale = tl.load(statistics + channels + channel, mask=exists, other=0.0)
        tl.store(d_bias + channel, d_sum, mask=exists)
        tl.store(d_weight + channel, d_moment * scale, mask=exists)


@triton.jit
@no_type_check
def gradient_kernel(
    d_out, x, out, d_x, statistics, weight, d_weight, d_bias, rows, channels,
    HAS_RELU: tl.constexpr, CHANNEL_BLOCK: tl.constexpr, ROWS: tl.constexpr,
):  # fmt: skip
    """Gradient of what was normalised: less what moves its mean or its variance."""
    blocks = tl.cdiv(channels, CHANNEL_BLOCK)
    channel = tl.program_id(0) % blocks * CHANNEL_BLOCK + tl.arange(0, CHANNEL_BLOCK)
    row = (tl.program_id(0) // blocks * ROWS + tl.arange(0, ROWS))[:, None]
    exists = channel < channels
    mean = tl.load(statistics + channel, mask=exists, other=0.0)
    deviation = tl.load(statistics + channels + channel, mask=exists, other=0.0)
    scale = deviation * tl.load(weight + channel, mask=exists, other=0.0).to(tl.float32)
    shift = tl.load(d_bias + channel, mask=exists, other=0.0) / rows
    slope = deviation * tl.load(d_weight + channel, mask=exists, other=0.0) / rows
    valid = (row < rows) & exists[None, :]
    at = row.to(tl.int64) * channels + channel[None, :]
    gradient = tl.load(d_out + at, mask=valid, other=0.0).to(tl.float32)
    if HAS_RELU:
        gradient = tl.where(tl.load(out + at, mask=valid, other=0.0) <= 0, 0.0, gradient)
    value = tl.load(x + at, mask=valid, other=0.0).to(tl.float32) - mean[None, :]
    gradient = (gradient - shift[None, :] - value * slope[None, :]) * scale[None, :]
    tl.store(d_x + at, gradient.to(d_x.dtype.element_ty), mask=valid)
