# SPDX-License-Identifier: Apache-2.0
"""Triton kernels of offset, shortcut and ReLU; `triton_activation` calls them.

Tensors are read as rows of channels: they are stored channels last.
"""
# ruff: noqa: ANN001, ANN201, N803 - Triton types arguments; constants are upper case there.

from typing import no_type_check

import triton
import triton.language as tl


@triton.jit
@no_type_check  # keeps runtime type checkers away from what only Triton can read
def shifted_relu_kernel(
    x, offset, shortcut, count,
    CHANNELS: tl.constexpr, HAS_SHORTCUT: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """In place of `x`: ReLU of x, its channel's offset and the shortcut, added in float32."""
    at = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    valid = at < count
    value = tl.load(x + at, mask=valid, other=0.0).to(tl.float32)
    value += tl.load(offset + at % CHANNELS, mask=valid, other=0.0)
    if HAS_SHORTCUT:
        value += tl.load(shortcut + at, mask=valid, other=0.0).to(tl.float32)
    value = tl.where(value < 0.0, 0.0, value)  # NaN stays NaN
    tl.store(x + at, value.to(x.dtype.element_ty), mask=valid)


@triton.jit
@no_type_check
def shifted_relu_backward_kernel(
    d_out, out, d_x, d_offset, rows, per_program,
    CHANNELS: tl.constexpr, CHANNEL_BLOCK: tl.constexpr, ROWS: tl.constexpr,
):  # fmt: skip
    """The gradient where the output is positive; each program's own sum of it over its rows."""
    program = tl.program_id(0).to(tl.int64)
    channel = tl.arange(0, CHANNEL_BLOCK)[None, :]
    first = program * per_program
    last = tl.minimum(first + per_program, rows)
    total = tl.zeros([ROWS, CHANNEL_BLOCK], dtype=tl.float32)
    for start in range(first, last, ROWS):
        row = start + tl.arange(0, ROWS)[:, None]
        valid = (row < last) & (channel < CHANNELS)
        at = row * CHANNELS + channel
        passes = tl.load(out + at, mask=valid, other=0.0) > 0
        gradient = tl.where(passes, tl.load(d_out + at, mask=valid, other=0.0), 0.0)
        tl.store(d_x + at, gradient.to(d_x.dtype.element_ty), mask=valid)
        total += gradient.to(tl.float32)
    at = program * CHANNELS + channel
    tl.store(d_offset + at, tl.sum(total, axis=0)[None, :], mask=channel < CHANNELS)
