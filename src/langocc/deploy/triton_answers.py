# SPDX-License-Identifier: Apache-2.0
"""`answers` on a GPU: a tile of rows stays on the chip while both products are made of it.

Equal up to rounding: products are added up, squared and compared in float32.
"""
# ruff: noqa: ANN001, ANN201, N803 - Triton types arguments; constants are upper case there.

from typing import no_type_check

import torch
import triton
import triton.language as tl
from jaxtyping import Float, Int
from torch import Tensor

from langocc.deploy.answers import SMALLEST, Asked

TILE = {"ROWS": 128, "CHUNK": 64, "num_warps": 8, "num_stages": 2}
"""Rows of a program, and columns of a product that it makes at a time."""
SMALLEST_PRODUCT = 16
WIDEST = 256


def can_take(hidden: Float[Tensor, "row hidden"]) -> bool:
    """Whether the kernel is made for such features."""
    width, is_narrow = hidden.shape[1], hidden.dtype in (torch.bfloat16, torch.float16)
    is_power = triton.next_power_of_2(width) == width
    return is_narrow and is_power and SMALLEST_PRODUCT <= width <= WIDEST and hidden.is_contiguous()


def triton_answers(
    hidden: Float[Tensor, "row hidden"], asked: Asked
) -> tuple[Float[Tensor, " row"], Int[Tensor, " row"]]:
    """As `answers.answers`, of features that `can_take` takes."""
    rows, device = len(hidden), hidden.device
    inverse = torch.empty(rows, device=device)
    best = torch.empty(rows, dtype=torch.int64, device=device)
    answers_kernel[(triton.cdiv(rows, TILE["ROWS"]),)](
        hidden, asked.root.contiguous(), asked.root_bias.float(), asked.rest.float(),
        asked.class_weight.contiguous(), asked.class_bias.float(), inverse, best, rows,
        HIDDEN=hidden.shape[1], ROOT=len(asked.root), CLASSES=len(asked.class_weight),
        SMALLEST=SMALLEST, **TILE,
    )  # fmt: skip
    return inverse, best


@triton.jit
@no_type_check  # keeps runtime type checkers away from what only Triton can read
def answers_kernel(
    hidden, root, root_bias, rest, class_weight, class_bias, inverse, best, rows,
    HIDDEN: tl.constexpr, ROOT: tl.constexpr, CLASSES: tl.constexpr, SMALLEST: tl.constexpr,
    ROWS: tl.constexpr, CHUNK: tl.constexpr,
):  # fmt: skip
    """One program a tile of rows: first the norm, then the classes, a chunk of columns a time."""
    row = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    feature, column = tl.arange(0, HIDDEN), tl.arange(0, CHUNK)
    valid = row < rows
    tile = tl.load(
        hidden + row[:, None] * HIDDEN + feature[None, :], mask=valid[:, None], other=0.0
    )

    squares = tl.zeros([ROWS], dtype=tl.float32)
    for start in range(0, ROOT, CHUNK):
        out = start + column
        is_row = out < ROOT
        at = out[None, :] * HIDDEN + feature[:, None]
        weight = tl.load(root + at, mask=is_row[None, :], other=0.0)
        bias = tl.load(root_bias + out, mask=is_row, other=0.0)
        product = tl.dot(tile, weight) + bias[None, :]
        squares += tl.sum(product * product, axis=1)
    squares = tl.maximum(squares + tl.load(rest), SMALLEST)
    tl.store(inverse + row, 1.0 / tl.sqrt(squares), mask=valid)

    highest = tl.full([ROWS], -float("inf"), dtype=tl.float32)
    winner = tl.zeros([ROWS], dtype=tl.int32)
    for start in range(0, CLASSES, CHUNK):
        out = start + column
        is_class = out < CLASSES
        at = out[None, :] * HIDDEN + feature[:, None]
        weight = tl.load(class_weight + at, mask=is_class[None, :], other=0.0)
        bias = tl.load(class_bias + out, mask=is_class, other=-float("inf"))
        logits = tl.dot(tile, weight) + bias[None, :]
        high, which = tl.max(logits, axis=1, return_indices=True)  # the first of equals
        winner = tl.where(high > highest, start + which, winner)
        highest = tl.maximum(high, highest)
    tl.store(best + row, winner.to(tl.int64), mask=valid)
