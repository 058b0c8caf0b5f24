"""Offset, shortcut and ReLU in one pass equal the same in steps: values and gradients."""

import os

import pytest
import torch
from torch import nn

from langocc.model.activation import ActivatingNorm, activated, shifted_relu
from langocc.model.fused import conv_relu, fused_shifted_relu

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
triton_activation = pytest.importorskip(
    "langocc.model.triton_activation", reason="Triton is not installed"
)
interpreted = pytest.mark.skipif(
    not torch.cuda.is_available() and os.environ.get("TRITON_INTERPRET") != "1",
    reason="Triton was told not to interpret, and there is no GPU",
)
SHAPES = {
    "images": (2, 12, 5, 7),
    "volumes": (1, 48, 6, 5, 4),
    "one": (1, 1, 1, 1),
    "many": (2, 8, 40, 90),
}


def rows(shape: tuple[int, ...], dtype: torch.dtype, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(shape, generator=generator).to(DEVICE, dtype)
    return x.movedim(1, -1).contiguous().movedim(-1, 1)


@interpreted
@pytest.mark.parametrize("has_shortcut", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_one_pass_equals_steps(shape, dtype, has_shortcut) -> None:
    """In bfloat16 sums are exact but for one rounding, so the steps are taken in float32."""
    offset = torch.randn(shape[1], generator=torch.Generator().manual_seed(3)).to(DEVICE)
    found = []
    fused = triton_activation.triton_shifted_relu
    for function, precision in ((shifted_relu, torch.float32), (fused, dtype)):
        given = [
            rows(shape, dtype, 0).to(precision).requires_grad_(),
            offset.clone().requires_grad_(),
        ]
        if has_shortcut:
            given.append(rows(shape, dtype, 1).to(precision).requires_grad_())
        out = function(given[0] * 1, *given[1:])  # what is overwritten is no leaf
        out.backward(rows(shape, dtype, 2).to(precision))
        found.append([out, *(tensor.grad for tensor in given)])
    assert out.dtype == dtype
    assert out.movedim(1, -1).is_contiguous()
    rounding = 1e-6 if dtype == torch.float32 else 2**-7  # Triton's interpreter cuts digits off
    for index, (expected, got) in enumerate(zip(*found, strict=True)):
        tolerance = 1e-4 if index == 2 else rounding  # the offset's gradient: a float32 sum
        torch.testing.assert_close(got.float(), expected, rtol=tolerance, atol=tolerance)


@interpreted
def test_what_is_not_a_number_stays_so() -> None:
    x = rows((1, 4, 3, 3), torch.float32, 0)
    x[0, 1, 1, 1] = float("nan")
    out = triton_activation.triton_shifted_relu(x, torch.zeros(4, device=DEVICE))
    assert out.isnan().sum() == 1


def test_gradient_of_the_definition() -> None:
    generator = torch.Generator().manual_seed(0)
    x, shortcut = torch.randn(2, 2, 3, 4, 4, generator=generator, dtype=torch.float64)
    offset = torch.randn(3, generator=generator, dtype=torch.float64)
    given = [tensor.requires_grad_() for tensor in (x, offset, shortcut)]
    assert torch.autograd.gradcheck(shifted_relu, given)


def test_a_norm_that_can_does_all_at_once() -> None:
    class Doubled(ActivatingNorm):
        def activated(self, x, shortcut):
            return (2 * x + (0 if shortcut is None else shortcut)).relu()

    x, shortcut = torch.randn(2, 1, 3, 2, 2, generator=torch.Generator().manual_seed(0))
    assert activated(Doubled(), x, shortcut).equal((2 * x + shortcut).relu())
    assert activated(nn.Identity(), x.clone(), shortcut).equal((x + shortcut).relu())
    assert activated(nn.Identity(), x.clone()).equal(x.relu())


@pytest.mark.parametrize("conv", [nn.Conv2d(4, 6, 3, 2, padding=1), nn.Conv3d(4, 6, 3, padding=1)])
def test_convolution_with_relu(conv: nn.Conv2d | nn.Conv3d) -> None:
    """With bias and without; on a GPU the bias is added apart."""
    x = torch.randn(2, 4, *[5] * (conv.weight.dim() - 2)).to(DEVICE)
    conv.to(DEVICE)
    torch.testing.assert_close(conv_relu(conv, x), conv(x).relu(), rtol=1e-4, atol=1e-4)
    conv.bias = None
    assert conv_relu(conv, x).equal(conv(x).relu())


def test_where_it_runs() -> None:
    """Doubles, and what is not stored channels last, are left to torch."""
    x = torch.randn(2, 3, 4, 4, dtype=torch.float64, device=DEVICE)
    offset = torch.ones(3, dtype=torch.float64, device=DEVICE)
    assert fused_shifted_relu(x.clone(), offset).equal((x + 1).relu())
    assert fused_shifted_relu(x.float(), offset.float()).equal((x.float() + 1).relu())
