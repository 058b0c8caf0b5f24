# SPDX-License-Identifier: Apache-2.0
"""The feature head on touched voxels alone, and compositing before its last layer.

With hidden rows h and last layer W, b, a voxel's unit feature is (W h + b) / n, and

    sum_v p_v (W h_v + b) / n_v = W (sum_v p_v h_v / n_v) + b (sum_v p_v / n_v),
    n_v^2 = h^T (W^T W) h + 2 b^T W h + b^T b,

so rays composite hidden rows and the last layer runs once per ray (method.md section 9).
"""

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from langocc.render.volume import VoxelHead

Context = Any  # autograd contexts carry whatever `forward` puts on them


class _GatherRows(torch.autograd.Function):
    """Rows of a table by distinct indices: no atomics, no sorting in the backward pass."""

    @staticmethod
    def forward(ctx: Context, table: Tensor, index: Tensor) -> Tensor:
        ctx.save_for_backward(index)
        ctx.shape = table.shape
        return table.index_select(0, index)

    @staticmethod
    @once_differentiable
    def backward(ctx: Context, gradient: Tensor) -> tuple[Tensor, None]:  # type: ignore[override]
        (index,) = ctx.saved_tensors
        table = gradient.new_zeros(ctx.shape)
        return table.index_copy_(0, index, gradient), None


def gather_rows(
    table: Float[Tensor, "row channel"], index: Int[Tensor, " picked"]
) -> Float[Tensor, "picked channel"]:
    """`table[index]` for indices without repetition, which it does not check."""
    return _GatherRows.apply(table, index)  # type: ignore[return-value]


def output_norms(
    hidden: Float[Tensor, "*shape hidden"], last: nn.Linear
) -> Float[Tensor, "*shape"]:
    """|W h + b| of every row without forming W h + b.

    The product runs in the precision of `hidden`, sums in at least float32.
    """
    wide = torch.promote_types(hidden.dtype, torch.float32)
    weight = last.weight.to(wide)
    product = hidden @ (weight.T @ weight).to(hidden.dtype)
    if last.bias is not None:
        product = product + (2 * last.bias.to(wide) @ weight).to(hidden.dtype)
    square = (product.to(wide) * hidden.to(wide)).sum(-1)
    if last.bias is not None:
        square = square + last.bias.to(wide).square().sum()
    return square.clamp(min=1e-24).sqrt()


def unit_rows(
    features: Float[Tensor, "row feature"], head: VoxelHead
) -> tuple[Float[Tensor, "row hidden"], Float[Tensor, " row"]]:
    """Hidden features over the norm of the output they lead to, and one over that norm."""
    rows = head.hidden(features)
    with torch.autocast(features.device.type, enabled=False):
        inverse = 1 / output_norms(rows, head.last)
        return (rows * inverse[:, None]).to(rows.dtype), inverse


def features_of_rays(
    composited: Float[Tensor, "ray hidden"],
    composited_inverse: Float[Tensor, " ray"],
    last: nn.Linear,
) -> Float[Tensor, "ray out"]:
    """Last layer on composited rows, once per ray, and normalised."""
    wide = composited_inverse.dtype
    with torch.autocast(composited.device.type, enabled=False):
        output = (composited @ last.weight.to(composited.dtype).T).to(wide)
        if last.bias is not None:
            output = torch.addcmul(output, composited_inverse[:, None], last.bias.to(wide))
        return functional.normalize(output, dim=-1)
