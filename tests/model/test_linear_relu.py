"""A linear layer with ReLU in one product equals the same in two steps: values and gradients."""

import pytest
import torch
from torch import nn

from langocc.field import FREE, VoxelField
from langocc.geometry.grid import VoxelGrid
from langocc.model.decoder import PointDecoder
from langocc.model.linear_relu import fused_linear_relu, linear_relu
from langocc.render.pointwise import apply_frugally

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


def case(dtype: torch.dtype = torch.float32) -> tuple[nn.Linear, torch.Tensor]:
    torch.manual_seed(0)
    layer = nn.Linear(16, 24).to(DEVICE, dtype)
    return layer, torch.randn(3, 50, 16, device=DEVICE, dtype=dtype)


def steps(layer: nn.Linear, x: torch.Tensor) -> torch.Tensor:
    return layer(x).relu()


@pytest.mark.parametrize("autocast", [False, True])
@pytest.mark.parametrize("function", [linear_relu, fused_linear_relu])
def test_one_product_equals_two_steps(function, autocast: bool) -> None:
    """To rounding: the order of a sum is the product's own affair."""
    layer, x = case()
    found = []
    for run in (steps, function):
        given = x.clone().requires_grad_()
        with torch.autocast(DEVICE, torch.bfloat16, enabled=autocast):
            out = run(layer, given)
        layer.zero_grad()
        (out.float() ** 2).sum().backward()
        found.append([out, given.grad, layer.weight.grad, layer.bias.grad])
    with torch.no_grad(), torch.autocast(DEVICE, torch.bfloat16, enabled=autocast):
        found[1].append(function(layer, x))
        found[0].append(found[0][0])
    tolerance = 2**-6 if autocast else 1e-4
    for expected, got in zip(*found, strict=True):
        assert got.dtype == expected.dtype
        scale = tolerance * expected.detach().abs().max().item()
        torch.testing.assert_close(got, expected, rtol=tolerance, atol=scale)


def test_gradient_in_double_precision() -> None:
    layer, x = case(torch.float64)

    def run(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        return torch.func.functional_call(
            Fused(layer), {"layer.weight": weight, "layer.bias": bias}, (x,)
        )

    given = [x[0, :5], layer.weight, layer.bias]
    given = [tensor.detach().requires_grad_() for tensor in given]
    assert torch.autograd.gradcheck(run, given)


@pytest.mark.parametrize("function", [linear_relu, fused_linear_relu])
def test_no_rows_stay_no_rows(function) -> None:
    """A field in which nothing is occupied asks its head about no voxel."""
    layer, x = case()
    none = x[:, :0].detach().requires_grad_()
    out = function(layer, none)
    assert out.shape == (3, 0, 24)
    out.sum().backward()
    assert none.grad is not None
    assert none.grad.shape == none.shape
    assert not layer.weight.grad.any()


def test_a_field_without_anything_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("langocc.model.decoder.linear_relu", fused_linear_relu)
    head = PointDecoder(4, 8, 6).to(DEVICE)
    grid = VoxelGrid((0.0, 0.0, 0.0), (4.0, 4.0, 4.0), 1.0)
    density = torch.zeros(1, 4, 4, 4, device=DEVICE)
    field = VoxelField(grid, density, torch.randn(1, 4, 4, 4, 4, device=DEVICE), head)
    texts = torch.randn(3, 6, device=DEVICE)
    assert (field.classes(texts) == FREE).all()
    assert len(field.occupied().index) == 0


class Fused(nn.Module):
    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return fused_linear_relu(self.layer, x)


def test_what_needs_no_gradient_gets_none() -> None:
    layer, x = case()
    layer.weight.requires_grad_(False)
    fused_linear_relu(layer, x).sum().backward()
    assert layer.weight.grad is None
    assert layer.bias.grad is not None


def test_a_head_trains_alike_by_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without keeping activations: forward without gradients, recomputed with them."""
    torch.manual_seed(0)
    head = PointDecoder(16, 32, 8).to(DEVICE)
    rows = torch.randn(100, 16, device=DEVICE)
    found = []
    for run in (steps, fused_linear_relu):
        monkeypatch.setattr("langocc.model.decoder.linear_relu", run)
        given = rows.clone().requires_grad_()
        (out,) = apply_frugally(lambda part: (head(part),), given, head.parameters())
        head.zero_grad()
        out.square().sum().backward()
        found.append([out, given.grad, *(parameter.grad for parameter in head.parameters())])
    for expected, got in zip(*found, strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-4)
