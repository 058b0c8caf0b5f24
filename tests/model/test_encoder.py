"""Upsampling by matrix products equals torch's trilinear interpolation."""

import pytest
import torch
from torch.nn.functional import interpolate

from langocc.model.encoder import upsampled
from langocc.model.volume_norm import VolumeNorm, _side_by_side, _volume_of


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


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_volume_norm_equals_batch_norm(dtype):
    """Training and evaluation, gradients, running statistics: to the rounding of the type."""
    torch.manual_seed(0)
    plain, ours = torch.nn.BatchNorm3d(8).cuda(), VolumeNorm(8).cuda()
    volume = torch.randn(2, 8, 6, 5, 4, device="cuda").mul_(2).add_(1)
    leaves = [volume.to(dtype).clone().requires_grad_() for _ in range(2)]
    leaves[1] = leaves[1].detach().contiguous(memory_format=torch.channels_last_3d).requires_grad_()
    rounding = (
        {"rtol": 1e-5, "atol": 1e-5} if dtype == torch.float32 else {"rtol": 2e-2, "atol": 2e-2}
    )
    for _ in range(2):
        want, got = plain(leaves[0].float()).relu(), ours(leaves[1]).relu_()
        torch.testing.assert_close(got.float(), want, **rounding)
        given = torch.randn_like(want)
        wanted = torch.autograd.grad(want, [leaves[0], *plain.parameters()], given.to(want))
        found = torch.autograd.grad(got, [leaves[1], *ours.parameters()], given.to(got))
        for one, other in zip(found, wanted, strict=True):
            largest = float(other.abs().max())
            torch.testing.assert_close(one.float() / largest, other.float() / largest, **rounding)
        plain.eval(), ours.eval()
    for name, value in plain.state_dict().items():
        torch.testing.assert_close(ours.state_dict()[name], value, **rounding)


def test_voxels_side_by_side_come_back():
    volume = torch.arange(2 * 32 * 3 * 5 * 4).view(2, 32, 3, 5, 4)
    image = _side_by_side(volume)
    assert image.shape == (2, 128, 3, 5)  # four of the 5 * 4 voxels: eight do not divide them
    assert torch.equal(_volume_of(image, volume.shape), volume)
    assert image[1, 2 * 32 + 7, 1, 4] == volume[1, 7, 1, 4, 2]
