# SPDX-License-Identifier: Apache-2.0
"""A linear layer with ReLU; on a GPU the matrix product applies both before it writes."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.functional import linear

Context = Any  # autograd contexts carry whatever `forward` puts on them


def linear_relu(
    layer: nn.Linear, x: Float[Tensor, "*shape feature"]
) -> Float[Tensor, "*shape out"]:
    """ReLU(layer(x))."""
    if x.is_cuda and not torch.compiler.is_compiling():
        return fused_linear_relu(layer, x)
    return linear(x, layer.weight, layer.bias).relu_()


def fused_linear_relu(
    layer: nn.Linear, x: Float[Tensor, "*shape feature"]
) -> Float[Tensor, "*shape out"]:
    """ReLU(layer(x)) as one matrix product with an epilogue.

    Autocast knows nothing of that product, so what it would cast is cast here.
    """
    narrow = [
        _narrowed(tensor) for tensor in (x.reshape(-1, x.shape[-1]), layer.weight, layer.bias)
    ]
    rows = _LinearReLU.apply(*narrow) if torch.is_grad_enabled() else _forward(*narrow)
    shape = (*x.shape[:-1], layer.out_features)  # without rows, a -1 could be anything
    return rows.view(shape)  # pyright: ignore[reportAttributeAccessIssue]


class _LinearReLU(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Context, rows: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        out = _forward(rows, weight, bias)
        ctx.save_for_backward(rows, weight, out)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Context, d_out: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        rows, weight, out = ctx.saved_tensors
        d_sum = torch.ops.aten.threshold_backward(d_out, out, 0)
        to_rows, to_weight, to_bias = ctx.needs_input_grad
        return (
            d_sum @ weight if to_rows else None,
            d_sum.T @ rows if to_weight else None,
            d_sum.sum(0) if to_bias else None,
        )


def _forward(rows: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return torch.ops.aten._addmm_activation(bias, rows, weight.T)


def _narrowed(tensor: Tensor) -> Tensor:
    """As autocast would have it, which leaves doubles alone."""
    device = tensor.device.type
    if not torch.is_autocast_enabled(device) or tensor.dtype == torch.float64:
        return tensor
    return tensor.to(torch.get_autocast_dtype(device))
