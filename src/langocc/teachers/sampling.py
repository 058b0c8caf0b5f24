# SPDX-License-Identifier: Apache-2.0
"""How pixels read a dense feature map, touching only the cells they need.

A pixel is (row, col) in the original image, float. Its place in any map of the same image is
`(row, col) / (height, width) * 2 - 1` with align_corners=False: cell centres at half-integers, so
an integer pixel reads half a pixel up and left of its own centre (the published rule, kept).

Source: method.md section 6.
"""

from dataclasses import dataclass
from functools import lru_cache

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn import functional

from langocc.teachers.kept import kept

Size = tuple[int, int]
"""Height, width."""


def sample_patches(
    dense: Float[Tensor, "channel map_height map_width"],
    row_col: Float[Tensor, "pixel 2"],
    image_size: Size,
) -> Float[Tensor, "pixel channel"]:
    """Unit features of pixels: bilinear in the patch grid (edges repeat), then normalised.

    Args:
        dense: A teacher's map of one image.
        row_col: Pixels of the image, in [0, height) x [0, width).
        image_size: Height and width of the image the pixels belong to.
    """
    grid = _normalised(row_col, image_size).to(dense.dtype)
    read = functional.grid_sample(
        dense[None], grid[None, None], padding_mode="border", align_corners=False
    )
    return functional.normalize(read[0, :, 0].T, dim=-1)


def sample_upsampled_full(
    dense: Float[Tensor, "channel map_height map_width"],
    row_col: Float[Tensor, "pixel 2"],
    image_size: Size,
    via: Size,
) -> Float[Tensor, "pixel channel"]:
    """The published rule as it is told: makes the whole upsampled map. It defines the fast one.

    The map is upsampled to `via` (the size the network saw), then to the image; every pixel is
    normalised; pixels are read bilinearly (zeros outside) and not normalised again, so norms are
    at most 1. A 1600 x 900 image takes 2.9 GB here.
    """
    full = dense[None]
    for size in (via, image_size):
        full = functional.interpolate(full, size=size, mode="bilinear", align_corners=False)
    full = functional.normalize(full, dim=1)
    grid = _normalised(row_col, image_size).to(dense.dtype)
    return functional.grid_sample(full, grid[None, None], align_corners=False)[0, :, 0].T


def sample_upsampled(
    dense: Float[Tensor, "channel map_height map_width"],
    row_col: Float[Tensor, "pixel 2"],
    image_size: Size,
    via: Size,
    chunk: int = 4096,
) -> Float[Tensor, "pixel channel"]:
    """The published rule at the touched pixels only; equal to `sample_upsampled_full`.

    Both upsamplings act on rows and columns apart, so their product is one small matrix per axis
    with a few neighbouring cells per row; each of a pixel's four neighbours is read through it.

    Args:
        dense: Feature map of one image.
        row_col: Pixels of the original image.
        image_size: Height and width of the original image.
        via: Height and width of the resized image that the network saw.
        chunk: Pixels at a time; bounds memory, not the result.
    """
    row_taps = _taps(dense.shape[1], via[0], image_size[0], dense.device, dense.dtype)
    col_taps = _taps(dense.shape[2], via[1], image_size[1], dense.device, dense.dtype)
    cells = dense.permute(1, 2, 0).contiguous()
    centred = row_col.double() - 0.5  # index of the pixel whose centre lies at row_col
    parts = [
        _read_corners(cells, part, image_size, row_taps, col_taps)
        for part in centred.split(max(chunk, 1))
    ]
    return torch.cat(parts) if parts else dense.new_zeros(0, dense.shape[0])


@dataclass(frozen=True)
class _Taps:
    """Cells that each output row (or column) of two bilinear upsamplings reads."""

    index: Int64[Tensor, "out tap"]
    weight: Float[Tensor, "out tap"]


def _read_corners(
    cells: Float[Tensor, "map_height map_width channel"],
    centred: Float[Tensor, "pixel 2"],
    image_size: Size,
    row_taps: _Taps,
    col_taps: _Taps,
) -> Float[Tensor, "pixel channel"]:
    low = centred.floor()
    fraction = (centred - low).to(cells.dtype)
    total = cells.new_zeros(len(centred), cells.shape[-1])
    for down, right in ((0, 0), (0, 1), (1, 0), (1, 1)):
        row, col = low[:, 0].long() + down, low[:, 1].long() + right
        inside = (row >= 0) & (row < image_size[0]) & (col >= 0) & (col < image_size[1])
        row, col = row.clamp(0, image_size[0] - 1), col.clamp(0, image_size[1] - 1)
        near = cells[row_taps.index[row][:, :, None], col_taps.index[col][:, None, :]]
        value = torch.einsum("pabc,pa,pb->pc", near, row_taps.weight[row], col_taps.weight[col])
        weight = (fraction[:, 0] if down else 1 - fraction[:, 0]) * (
            fraction[:, 1] if right else 1 - fraction[:, 1]
        )
        total += functional.normalize(value, dim=-1) * (weight * inside)[:, None]
    return total


@lru_cache(maxsize=64)
@torch.inference_mode(False)  # kept for all callers, also for those that take gradients
def _taps(cells: int, via: int, out: int, device: torch.device, dtype: torch.dtype) -> _Taps:
    """Taps of one axis, kept: they depend on sizes alone and cost 50 ms of a processor to make."""
    matrix = _bilinear_matrix(via, out) @ _bilinear_matrix(cells, via)
    width = int((matrix > 0).sum(1).max())
    first = (matrix > 0).double().argmax(1).clamp(max=cells - width)
    index = first[:, None] + torch.arange(width)
    return _Taps(index.to(device), matrix.gather(1, index).to(device, dtype))


def _bilinear_matrix(cells: int, out: int) -> Float[Tensor, "out cells"]:
    """One axis of `interpolate(mode="bilinear", align_corners=False)` as a matrix."""
    eye = torch.eye(cells, dtype=torch.float64)[None]
    return functional.interpolate(eye, size=out, mode="linear", align_corners=False)[0].T


def _normalised(row_col: Float[Tensor, "pixel 2"], size: Size) -> Float[Tensor, "pixel 2"]:
    """Pixels (row, col) as grid_sample's (x, y)."""
    return (row_col / kept(size, row_col.device, row_col.dtype) * 2 - 1).flip(-1)
