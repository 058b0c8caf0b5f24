"""Upsampling by matrix products equals torch's trilinear interpolation."""

import pytest
import torch
from torch.nn.functional import interpolate

from langocc.model.encoder import upsampled


@pytest.mark.parametrize(
    ("shape", "size"), [((3, 4, 2), (6, 8, 4)), ((1, 2, 1), (5, 7, 3)), ((4, 4, 4), (4, 4, 4))]
)
def test_upsampling_equals_trilinear(shape, size):
    """In float64: values and gradients to 1e-12."""
    volume = torch.randn(
        2, 3, *shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0)
    )
    answers = []
    for function in (
        lambda v: upsampled(v, size),
        lambda v: interpolate(v, size=size, mode="trilinear", align_corners=True),
    ):
        leaf = volume.clone().requires_grad_()
        found = function(leaf)
        (gradient,) = torch.autograd.grad((found * found.detach().cos()).sum(), leaf)
        answers.append((found, gradient))
    for got, want in zip(*answers, strict=True):
        torch.testing.assert_close(got, want, rtol=1e-12, atol=1e-12)
