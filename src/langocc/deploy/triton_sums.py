# SPDX-License-Identifier: Apache-2.0
"""ReLU(W x + offset + shortcut) of rows in one kernel: the product is never written by itself.

Equal up to rounding: sums are made in float32 and rounded once.
"""
# ruff: noqa: ANN001, ANN201, N803 - Triton types arguments; constants are upper case there.

from typing import no_type_check

import torch
import triton
import triton.language as tl
from jaxtyping import Float
from torch import Tensor

TILE = {"ROWS": 128, "COLUMNS": 64, "num_warps": 8, "num_stages": 3}
"""Rows and columns of a program's part of the sum."""
DEPTH = 64
"""Features that are multiplied at a time."""
SMALLEST_PRODUCT = 16
WIDEST = 256
"""Features of products that wait for memory more than for arithmetic."""


def can_take(
    x: Float[Tensor, "row feature"],
    weight: Float[Tensor, "out feature"],
    shortcut: Float[Tensor, "row out"],
) -> bool:
    """Whether the kernel is made for such rows."""
    width, is_narrow = x.shape[1], x.dtype in (torch.bfloat16, torch.float16)
    is_power = triton.next_power_of_2(width) == width
    is_alike = x.dtype == weight.dtype == shortcut.dtype
    is_plain = x.is_contiguous() and shortcut.is_contiguous()
    return is_narrow and is_power and SMALLEST_PRODUCT <= width <= WIDEST and is_alike and is_plain


def triton_sum_relu(
    x: Float[Tensor, "row feature"],
    weight: Float[Tensor, "out feature"],
    offset: Float[Tensor, " out"],
    shortcut: Float[Tensor, "row out"],
) -> Float[Tensor, "row out"]:
    """ReLU(x W^T + offset + shortcut), of rows that `can_take` takes."""
    rows, width = x.shape
    out = torch.empty_like(shortcut)
    tiles = triton.cdiv(rows, TILE["ROWS"]) * triton.cdiv(len(weight), TILE["COLUMNS"])
    sum_relu_kernel[(tiles,)](
        x, weight.contiguous(), offset.float(), shortcut, out, rows,
        WIDTH=width, OUT=len(weight), DEPTH=min(DEPTH, width), **TILE,
    )  # fmt: skip
    return out


@triton.jit
@no_type_check  # keeps runtime type checkers away from what only Triton can read
def sum_relu_kernel(
    x, weight, offset, shortcut, out, rows,
    WIDTH: tl.constexpr, OUT: tl.constexpr, DEPTH: tl.constexpr,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr,
):  # fmt: skip
    """Programs of the same rows follow each other: they find them in the cache."""
    across: tl.constexpr = (OUT + COLUMNS - 1) // COLUMNS
    program = tl.program_id(0)
    row = (program // across).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    column = program % across * COLUMNS + tl.arange(0, COLUMNS)
    is_row, is_column = row < rows, column < OUT
    total = tl.zeros([ROWS, COLUMNS], dtype=tl.float32)
    for start in range(0, WIDTH, DEPTH):
        feature = start + tl.arange(0, DEPTH)
        from_x = x + row[:, None] * WIDTH + feature[None, :]
        from_weight = weight + column[None, :] * WIDTH + feature[:, None]
        tile = tl.load(from_x, mask=is_row[:, None], other=0.0)
        total = tl.dot(tile, tl.load(from_weight, mask=is_column[None, :], other=0.0), total)
    total += tl.load(offset + column, mask=is_column, other=0.0)[None, :]
    at, valid = row[:, None] * OUT + column[None, :], is_row[:, None] & is_column[None, :]
    total += tl.load(shortcut + at, mask=valid, other=0.0).to(tl.float32)
    total = tl.where(total < 0.0, 0.0, total)  # NaN stays NaN
    tl.store(out + at, total.to(out.dtype.element_ty), mask=valid)
