# SPDX-License-Identifier: Apache-2.0
"""Rows of a table taken out, and put back: torch's kernels for it reach half a GPU's bandwidth."""

import importlib.util
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

MOVE = {"BLOCK": 8, "num_warps": 4}
"""Rows that a program moves, and its warps: the fastest on an H200 (docs/performance.md)."""


def taken(
    table: Float[Tensor, "row channel"], index: Int[Tensor, " picked"]
) -> Float[Tensor, "picked channel"]:
    """`table[index]`, without a gradient."""
    if not _runs_triton(table):
        return table.detach()[index]
    packed = table.new_empty(len(index), table.shape[1])
    _move(packed, index, table.detach().contiguous(), takes=True)
    return packed


def put(
    table: Float[Tensor, "row channel"],
    index: Int[Tensor, " picked"],
    rows: Float[Tensor, "picked channel"],
) -> None:
    """`table[index] = rows`, for distinct rows of a contiguous table."""
    if _runs_triton(table):
        _move(rows.contiguous(), index, table, takes=False)
    else:
        table.index_copy_(0, index, rows)


def zeros_around(
    table: Float[Tensor, "row channel"], index: Int[Tensor, " picked"]
) -> Float[Tensor, "row channel"]:
    """A table as large as this one, zero but for rows `index`, which the caller has to fill."""
    if not _runs_triton(table):
        return torch.zeros_like(table)
    import triton  # optional

    from langocc.render import row_kernels

    count, channels = table.shape
    found = torch.empty_like(table, memory_format=torch.contiguous_format)
    keeps = torch.zeros(count, dtype=torch.int8, device=table.device)
    keeps.index_fill_(0, index, 1)
    if count:
        row_kernels.zero_rows_kernel[(triton.cdiv(count, MOVE["BLOCK"]),)](
            found, keeps, count,
            CHANNELS=channels, CHANNEL_BLOCK=triton.next_power_of_2(channels), **MOVE,
        )  # fmt: skip
    return found


def _runs_triton(tensor: Tensor) -> bool:
    return tensor.is_cuda and importlib.util.find_spec("triton") is not None


def _move(packed: Tensor, index: Tensor, table: Tensor, *, takes: bool) -> None:
    import triton  # optional

    from langocc.render import row_kernels

    count, channels = packed.shape
    if count:
        constants: dict[str, Any] = {"CHANNELS": channels, "TAKES": takes} | MOVE
        row_kernels.move_rows_kernel[(triton.cdiv(count, MOVE["BLOCK"]),)](
            packed, index, table, count,
            CHANNEL_BLOCK=triton.next_power_of_2(channels), **constants,
        )  # fmt: skip
