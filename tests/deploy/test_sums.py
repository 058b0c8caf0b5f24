"""A product with offset, shortcut and ReLU in one kernel equals the same in steps."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from langocc.deploy.sums import sum_relu

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
triton_sums = pytest.importorskip("langocc.deploy.triton_sums", reason="Triton is not installed")
interpreted = pytest.mark.skipif(
    not torch.cuda.is_available() and os.environ.get("TRITON_INTERPRET") != "1",
    reason="Triton was told not to interpret, and there is no GPU",
)
BFLOAT16 = pytest.param(
    torch.bfloat16,
    marks=[
        pytest.mark.gpu,
        pytest.mark.skipif(
            not torch.cuda.is_available(),
            reason="needs an NVIDIA GPU: Triton's interpreter multiplies the bits",
        ),
    ],
)
SHAPES = {"tiles": (256, 64, 256), "odd": (77, 16, 40), "deep": (130, 256, 1024), "one": (1, 32, 1)}


def case(
    shape: tuple[int, int, int], dtype: torch.dtype
) -> tuple[torch.Tensor, nn.Linear, torch.Tensor]:
    rows, width, out = shape
    torch.manual_seed(0)
    x, shortcut = torch.randn(rows, width), torch.randn(rows, out)
    layer = nn.Linear(width, out).to(DEVICE, dtype).requires_grad_(False)
    return x.to(DEVICE, dtype), layer, shortcut.to(DEVICE, dtype)


@interpreted
@pytest.mark.parametrize("dtype", [torch.float16, BFLOAT16])
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_one_kernel_equals_steps(shape: tuple[int, int, int], dtype: torch.dtype) -> None:
    """To the rounding of the result: products of narrow numbers are exact in float32."""
    x, layer, shortcut = case(shape, dtype)
    assert triton_sums.can_take(x, layer.weight, shortcut)
    found = triton_sums.triton_sum_relu(x, layer.weight, layer.bias, shortcut)
    exact = x.double() @ layer.weight.double().T + layer.bias.double() + shortcut.double()
    rounding = torch.finfo(dtype).eps
    torch.testing.assert_close(found.double(), exact.relu(), rtol=rounding, atol=1e-5)
    in_steps = sum_relu(x, layer, shortcut).double()  # rounds twice more
    torch.testing.assert_close(in_steps, exact.relu(), rtol=4 * rounding, atol=8 * rounding)


@interpreted
def test_what_is_not_a_number_stays_so() -> None:
    x, layer, shortcut = case((4, 16, 8), torch.float16)
    shortcut[1, 2] = float("nan")
    found = triton_sums.triton_sum_relu(x, layer.weight, layer.bias, shortcut)
    assert found.isnan().nonzero().tolist() == [[1, 2]]


def test_what_the_kernel_takes() -> None:
    x, shortcut = torch.zeros(4, 32).bfloat16(), torch.zeros(4, 8).bfloat16()
    weight = torch.zeros(8, 32).bfloat16()
    assert triton_sums.can_take(x, weight, shortcut)
    assert not triton_sums.can_take(x, weight.float(), shortcut)
    assert not triton_sums.can_take(x, weight, shortcut.float())
    assert not triton_sums.can_take(x, weight, shortcut.T.contiguous().T)
    assert not triton_sums.can_take(x.float(), weight.float(), shortcut.float())
    for width in (8, 24, 512):
        given = torch.zeros(4, width).bfloat16(), torch.zeros(8, width).bfloat16()
        assert not triton_sums.can_take(*given, shortcut)


def test_the_kernel_compiles(tmp_path: Path) -> None:
    """In a process of its own, because here Triton may have been told to interpret."""
    environment = {k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"}
    environment["TRITON_CACHE_DIR"] = str(tmp_path)
    script = Path(__file__).with_name("compile_sums_kernel.py")
    command = [sys.executable, "-W", "ignore", str(script)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "wgmma" in done.stdout
    assert int(done.stdout.split()[1]) <= 232448  # bytes of shared memory that a program may have
