# SPDX-License-Identifier: Apache-2.0
"""A few numbers on a device, made once.

Copying numbers to a GPU waits until it has done all it was given: in a network's forward pass that
takes away the time in which the next image could be prepared.
"""

from functools import lru_cache

import torch
from jaxtyping import Float
from torch import Tensor


@lru_cache(maxsize=64)
@torch.inference_mode(False)  # kept for all callers, also for those that take gradients
def kept(
    values: tuple[float, ...] | tuple[int, ...], device: torch.device, dtype: torch.dtype
) -> Float[Tensor, " value"]:
    """A tensor of these values; the same one each time, so not to be written to."""
    return torch.tensor(values, device=device, dtype=dtype)
