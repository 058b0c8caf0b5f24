# SPDX-License-Identifier: Apache-2.0
"""Reading maps again and again: what depends on sizes alone is made once, and serves everyone."""

import torch

from langocc.teachers import sampling
from langocc.teachers.kept import kept
from langocc.teachers.sampling import sample_patches, sample_upsampled

PIXELS = torch.rand(50, 2, generator=torch.Generator().manual_seed(0)) * torch.tensor([90.0, 160.0])


def test_weights_of_a_size_are_made_once() -> None:
    sampling._taps.cache_clear()
    for _ in range(5):
        sample_upsampled(torch.rand(4, 8, 14), PIXELS, (90, 160), (64, 112))
    assert sampling._taps.cache_info().misses == 2  # rows and columns
    assert sampling._taps.cache_info().hits == 8


def test_what_was_kept_under_inference_mode_lets_gradients_pass() -> None:
    sampling._taps.cache_clear()
    kept.cache_clear()
    dense = torch.rand(4, 8, 14)
    with torch.inference_mode():
        expected = [
            sample_upsampled(dense, PIXELS, (90, 160), (64, 112)),
            sample_patches(dense, PIXELS, (90, 160)),
        ]
    dense.requires_grad_()
    found = [
        sample_upsampled(dense, PIXELS, (90, 160), (64, 112)),
        sample_patches(dense, PIXELS, (90, 160)),
    ]
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)
        assert torch.autograd.grad(one.square().sum(), dense)[0].isfinite().all()
