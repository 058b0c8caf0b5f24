# SPDX-License-Identifier: Apache-2.0
"""Offset, shortcut and ReLU on a GPU, one pass over memory instead of two or three.

Equal to `activation.shifted_relu` up to rounding: sums are made in float32 and rounded once.
"""

from typing import Any

import torch
import triton
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from langocc.model import activation_kernels as kernels

Context = Any  # autograd contexts carry whatever `forward` puts on them

BLOCK = 2048
"""Numbers that one program works on, forward."""
TILE = 4096
"""Numbers of a tile of rows, backward."""
PROGRAMS = 1024
"""Programs that share the rows, backward: each leaves its own sum for the offsets."""

LAYOUTS = {4: torch.channels_last, 5: torch.channels_last_3d}
"""torch's names for channels last, by the number of axes."""


def triton_shifted_relu(
    x: Float[Tensor, "batch channel *size"],
    offset: Float[Tensor, " channel"],
    shortcut: Float[Tensor, "batch channel *size"] | None = None,
) -> Float[Tensor, "batch channel *size"]:
    """As `activation.shifted_relu`, in place of `x`, which is to be stored channels last."""
    if not torch.is_grad_enabled():
        return _forward(x, offset, shortcut)
    return _ShiftedReLU.apply(x, offset, shortcut)  # type: ignore[return-value]


class _ShiftedReLU(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Context, x: Tensor, offset: Tensor, shortcut: Tensor | None) -> Tensor:
        ctx.mark_dirty(x)
        out = _forward(x, offset, shortcut)
        ctx.save_for_backward(out)
        ctx.has_shortcut = shortcut is not None
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Context, d_out: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        (out,) = ctx.saved_tensors
        d_out = as_rows(d_out)
        channels, d_x = out.shape[1], torch.empty_like(out)
        rows, block = out.numel() // channels, triton.next_power_of_2(channels)
        tile = max(TILE // block, 1)
        per_program = tile * triton.cdiv(rows, tile * PROGRAMS)
        programs = triton.cdiv(rows, per_program)
        d_offset = torch.empty(programs, channels, device=out.device)
        kernels.shifted_relu_backward_kernel[(programs,)](
            d_out, out, d_x, d_offset, rows, per_program,
            CHANNELS=channels, CHANNEL_BLOCK=block, ROWS=tile,
        )  # fmt: skip
        return d_x, d_offset.sum(0), d_x if ctx.has_shortcut else None


def _forward(x: Tensor, offset: Tensor, shortcut: Tensor | None) -> Tensor:
    given = x if shortcut is None else as_rows(shortcut)
    kernels.shifted_relu_kernel[(triton.cdiv(x.numel(), BLOCK),)](
        x, offset.float(), given, x.numel(),
        CHANNELS=x.shape[1], HAS_SHORTCUT=shortcut is not None, BLOCK=BLOCK,
    )  # fmt: skip
    return x


def is_in_rows(x: Tensor) -> bool:
    """Whether the channels of a pixel or voxel lie together, and nothing between them."""
    layout = LAYOUTS.get(x.dim())
    if layout is None:
        return x.movedim(1, -1).is_contiguous()
    return x.is_contiguous(memory_format=layout)  # the same, without the host making a view


def as_rows(x: Tensor) -> Tensor:
    """The tensor, stored channels last."""
    return x if is_in_rows(x) else x.movedim(1, -1).contiguous().movedim(-1, 1)
