# SPDX-License-Identifier: Apache-2.0
"""Pointwise heads on many rows, without keeping what autograd would keep.

Three hidden layers of 256 channels on 2.6 million voxels are 4 GB of activations; yet a loss on
rays reaches only the voxels that rays touch. So nothing is kept, and the backward pass recomputes
the rows that have a gradient, a chunk at a time. It is exact: the other rows contribute zeros.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from langocc.render.moved_rows import put, taken, zeros_around

Context = Any  # autograd contexts carry whatever `forward` puts on them
Pointwise = Callable[[Tensor], tuple[Tensor, ...]]

CHUNK_ROWS = {"cpu": 8192, "cuda": 1 << 20}
"""Rows worked on at a time, at most: what fits a processor's cache, what keeps a GPU busy."""
BACKWARD_CHUNK_ROWS = CHUNK_ROWS | {"cuda": 1 << 18}
"""The same for the backward pass, which holds all layers of a chunk beside the gradients."""
OTHER_CHUNK_ROWS = 65536


def chunk_rows(count: int, device: str, at_most: Mapping[str, int] = CHUNK_ROWS) -> int:
    """Rows of a chunk when `count` rows are split evenly into as few as may be."""
    chunks = -(-count // at_most.get(device, OTHER_CHUNK_ROWS))
    return -(-count // max(chunks, 1)) or 1


class _Frugal(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Context,
        function: Pointwise,
        skips_zeros: bool,
        passes_on: bool,
        index: Tensor | None,
        features: Tensor,
        *parameters: Tensor,
    ) -> tuple[Tensor, ...]:
        device = features.device.type
        ctx.function, ctx.device, ctx.skips_zeros = function, device, skips_zeros
        # A cast made here carries no gradient, so it must not serve others from autocast's cache.
        ctx.autocast = {
            "dtype": torch.get_autocast_dtype(device),
            "enabled": torch.is_autocast_enabled(device),
            "cache_enabled": False,
        }
        ctx.save_for_backward(features, index, *parameters)
        parts = features if index is None else index
        parts = parts.split(chunk_rows(len(parts), device))
        with torch.autocast(device, **ctx.autocast):
            chunks = [function(p if index is None else taken(features, p)) for p in parts]
        outputs = chunks[0]
        if len(chunks) > 1:
            outputs = tuple(torch.cat(column) for column in zip(*chunks, strict=True))
        ctx.passes_on = passes_on
        return (*outputs, features.view_as(features)) if passes_on else outputs

    @staticmethod
    @once_differentiable
    def backward(ctx: Context, *gradients: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        features, index, *parameters = ctx.saved_tensors
        if ctx.passes_on:
            passed, gradients = gradients[-1], gradients[:-1]
            to_features = passed.clone(memory_format=torch.contiguous_format)
        elif index is not None and not ctx.skips_zeros:
            to_features = zeros_around(features, index)  # every other row is put below
        else:
            to_features = torch.zeros_like(features)
        to_parameters = [torch.zeros_like(parameter) for parameter in parameters]
        for part in _parts_with_gradient(gradients, ctx.skips_zeros, ctx.device):
            at = part if index is None else index[part]
            rows = features[at] if isinstance(at, slice) else taken(features, at)
            rows = rows.detach().requires_grad_()
            with torch.enable_grad(), torch.autocast(ctx.device, **ctx.autocast):
                outputs = ctx.function(rows)
            to_rows, *found = torch.autograd.grad(
                outputs,
                [rows, *parameters],
                [gradient[part] for gradient in gradients],
                allow_unused=True,
            )
            if to_rows is None:  # the function does not read its rows
                to_rows = torch.zeros_like(rows)
            _add(to_features, at, to_rows, to_zeros=not ctx.passes_on)
            for total, share in zip(to_parameters, found, strict=True):
                if share is not None:
                    total += share
        return None, None, None, None, to_features, *to_parameters


def _add(table: Tensor, at: Tensor | slice, rows: Tensor, *, to_zeros: bool) -> None:
    """Adds rows of gradient to those of a table, which the caller may know to be zeros."""
    if isinstance(at, slice):
        table[at] += rows
    else:
        put(table, at, rows if to_zeros else rows + taken(table, at))


def _parts_with_gradient(
    gradients: Sequence[Tensor], skips_zeros: bool, device: str
) -> list[Tensor] | list[slice]:
    """Rows to work on, a chunk each: those with a gradient, or all."""
    count = gradients[0].shape[0]
    if not skips_zeros:
        size = chunk_rows(count, device, BACKWARD_CHUNK_ROWS)
        return [slice(first, first + size) for first in range(0, count, size)]
    is_used = torch.zeros(count, dtype=torch.bool, device=gradients[0].device)
    for gradient in gradients:
        is_used |= (gradient != 0).flatten(1).any(1) if gradient.dim() > 1 else gradient != 0
    used = is_used.nonzero()[:, 0]
    return list(used.split(chunk_rows(len(used), device, BACKWARD_CHUNK_ROWS)))


def apply_frugally(
    function: Pointwise,
    features: Float[Tensor, "row feature"],
    parameters: Iterable[nn.Parameter],
    index: Int[Tensor, " picked"] | None = None,
    *,
    skips_zeros: bool = True,
    passes_on: bool = False,
) -> tuple[Tensor, ...]:
    """`function(features[index])` of a function that treats every row alone.

    The rows are worked on in chunks; the backward pass runs the function again where a gradient is
    not zero, under the autocast of the forward pass.

    Args:
        function: Rows [picked, feature] to a tuple of tensors [picked, ...].
        features: The table.
        parameters: Everything else that the function's gradient should reach.
        index: Distinct rows to pick; None: all.
        skips_zeros: Look in the backward pass for rows without gradient. That waits for a GPU and
            reads all gradients: worth it where many rows have none.
        passes_on: Return the table, too, last. Who uses that one spares a second table of
            gradients, and their sum.
    """
    if passes_on and index is not None:
        raise ValueError("passes_on: expected no index beside it")
    learned = [parameter for parameter in parameters if parameter.requires_grad]
    return _Frugal.apply(function, skips_zeros, passes_on, index, features, *learned)  # type: ignore[return-value]
