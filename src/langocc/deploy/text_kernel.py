# SPDX-License-Identifier: Apache-2.0
"""Cosines of all voxels and one text in one pass over the voxels, at a GPU's bandwidth."""
# ruff: noqa: ANN001, ANN201, N803 - Triton types arguments; constants are upper case there.

from typing import no_type_check

import torch
import triton
import triton.language as tl
from jaxtyping import Float
from torch import Tensor

BLOCK = 32
"""Voxels of one program."""


@triton.jit
@no_type_check  # keeps runtime type checkers away from what only Triton can read
def cosine_kernel(
    hidden, weight, bias, inverse, cosines, voxels,
    WIDTH: tl.constexpr, WIDTH_BLOCK: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """(weight . hidden + bias) * inverse, of each voxel; added in float32."""
    voxel = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    column = tl.arange(0, WIDTH_BLOCK)
    is_voxel, is_column = voxel < voxels, column < WIDTH
    at = voxel[:, None] * WIDTH + column[None, :]
    row = tl.load(hidden + at, mask=is_voxel[:, None] & is_column[None, :], other=0.0)
    factor = tl.load(weight + column, mask=is_column, other=0.0)
    product = tl.sum(row.to(tl.float32) * factor[None, :], axis=1) + tl.load(bias)
    scale = tl.load(inverse + voxel, mask=is_voxel, other=0.0)
    tl.store(cosines + voxel, product * scale, mask=is_voxel)


def triton_cosines(
    weight: Float[Tensor, "1 hidden"],
    bias: Float[Tensor, "1"],
    hidden: Float[Tensor, "voxel hidden"],
    inverse: Float[Tensor, " voxel"],
) -> Float[Tensor, "1 voxel"]:
    """As `texts.cosines` of one text, folded; the text is not rounded to bfloat16."""
    voxels, width = hidden.shape
    cosines = torch.empty(1, voxels, device=hidden.device)
    cosine_kernel[(triton.cdiv(voxels, BLOCK),)](
        hidden.contiguous(), weight.contiguous(), bias, inverse.contiguous(), cosines, voxels,
        WIDTH=width, WIDTH_BLOCK=triton.next_power_of_2(width), BLOCK=BLOCK,
    )  # fmt: skip
    return cosines
