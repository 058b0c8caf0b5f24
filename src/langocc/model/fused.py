# SPDX-License-Identifier: Apache-2.0
"""The fast way that can run here: Triton on a GPU, else torch."""

import importlib.util

from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import conv2d, conv3d

from langocc.geometry.grid import VoxelGrid
from langocc.geometry.rig import CameraRig
from langocc.model.activation import shifted_relu
from langocc.model.cost_volume_gathered import gathered_cost_volume
from langocc.model.lift import cells_from, splat
from langocc.model.projection import grid_from, stereo_grid


def fused_stereo_grid(
    rig: CameraRig,
    frame: int,
    frustum: Float[Tensor, "3 depth height width"],
    input_size: tuple[int, int],
) -> Float[Tensor, "batch cam depth height width 2"]:
    """As `projection.stereo_grid`."""
    if runs_triton(frustum):
        from langocc.model.triton_ops import triton_stereo_grid  # Triton is optional

        return triton_stereo_grid(rig, frame, frustum, input_size)
    return stereo_grid(rig, frame, frustum, input_size)


def fused_grid_from(
    numbers: Float[Tensor, "batch cam 28"],
    frustum: Float[Tensor, "3 depth height width"],
    input_size: tuple[int, int],
) -> Float[Tensor, "batch cam depth height width 2"]:
    """As `projection.grid_from`."""
    if runs_triton(frustum):
        from langocc.model.triton_ops import triton_grid_from  # Triton is optional

        return triton_grid_from(numbers, frustum, input_size)
    return grid_from(numbers, frustum, input_size)


def fused_cells_from(
    numbers: Float[Tensor, "batch cam 27"],
    frustum: Float[Tensor, "3 depth height width"],
    grid: VoxelGrid,
    *,
    truncated: bool,
) -> Int[Tensor, "batch cam depth height width"]:
    """As `lift.cells_from`; points that rounding moves over a border change voxels."""
    if runs_triton(frustum):
        from langocc.model.triton_ops import triton_cells_from  # Triton is optional

        numbers = numbers.to(frustum.device, non_blocking=True)
        return triton_cells_from(numbers, frustum, grid, truncated=truncated)
    return cells_from(numbers, frustum, grid, truncated=truncated)


def fused_cost_volume(
    current: Float[Tensor, "view channel height width"],
    reference: Float[Tensor, "view channel height width"],
    grid: Float[Tensor, "view depth height width 2"],
    *,
    invalid_cost: float,
    zero_is_invalid: bool,
) -> Float[Tensor, "view depth height width"]:
    """As `cost_volume.stereo_cost_volume`, to the rounding of float32 sums."""
    cost_volume = gathered_cost_volume
    if runs_triton(current):
        from langocc.model.triton_ops import triton_cost_volume  # Triton is optional

        cost_volume = triton_cost_volume
    return cost_volume(
        current, reference, grid, invalid_cost=invalid_cost, zero_is_invalid=zero_is_invalid
    )


def fused_splat(
    depth: Float[Tensor, "batch cam depth height width"],
    context: Float[Tensor, "batch cam channel height width"],
    cells: Int[Tensor, "batch cam depth height width"],
    shape: tuple[int, int, int],
) -> Float[Tensor, "batch channel x y z"]:
    """As `lift.splat`, which is itself as fast as torch gets on a processor."""
    if runs_triton(depth):
        from langocc.model.triton_ops import triton_splat  # Triton is optional

        return triton_splat(depth, context, cells, shape)
    return splat(depth, context, cells, shape)


def fused_shifted_relu(
    x: Float[Tensor, "batch channel *size"],
    offset: Float[Tensor, " channel"],
    shortcut: Float[Tensor, "batch channel *size"] | None = None,
) -> Float[Tensor, "batch channel *size"]:
    """As `activation.shifted_relu`; `x` may be overwritten."""
    if runs_triton(x):
        from langocc.model import triton_activation  # Triton is optional

        if triton_activation.is_in_rows(x):
            return triton_activation.triton_shifted_relu(x, offset, shortcut)
    return shifted_relu(x, offset, shortcut)


def conv_relu(
    conv: nn.Conv2d | nn.Conv3d, x: Float[Tensor, "batch channel *size"]
) -> Float[Tensor, "batch out *_"]:
    """ReLU(conv(x)), the bias added in the same pass as ReLU where that is faster."""
    if conv.bias is None or not runs_triton(x):
        return conv(x).relu_()
    given = conv.stride, conv.padding, conv.dilation, conv.groups
    convolve = conv2d if isinstance(conv, nn.Conv2d) else conv3d
    out = convolve(x, conv.weight, None, *given)  # pyright: ignore[reportArgumentType, reportCallIssue]
    return fused_shifted_relu(out, conv.bias)


def runs_triton(tensor: Tensor) -> bool:
    """The kernels add in float32, so doubles are left to torch."""
    is_narrow = tensor.dtype.itemsize <= 4
    return tensor.is_cuda and is_narrow and importlib.util.find_spec("triton") is not None
