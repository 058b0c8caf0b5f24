"""Norms and best classes of hidden features: against the layer itself, and in one kernel."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from langocc.deploy.answers import Asked, answers, fused_answers
from langocc.deploy.prepared import Answering
from langocc.model.decoder import PointDecoder

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
triton_answers = pytest.importorskip(
    "langocc.deploy.triton_answers", reason="Triton is not installed"
)
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
SHAPES = {
    "several chunks": (300, 64, 512, 76),
    "a tile": (128, 16, 16, 1),
    "fewer outputs": (5, 32, 27, 64),
    "wide": (40, 256, 512, 17),
}


def case(
    shape: tuple[int, int, int, int], dtype: torch.dtype
) -> tuple[torch.Tensor, PointDecoder, Asked]:
    """Hidden features, a head whose layers are as wide, and what is asked of it."""
    rows, width, out, classes = shape
    torch.manual_seed(0)
    head = PointDecoder(8, width, out)
    nn.init.normal_(head.last.bias)
    head.layers.to(dtype)
    vectors = nn.functional.normalize(torch.randn(classes, out), dim=-1)
    made = Answering(head, vectors).to(DEVICE)
    asked = Asked(made.root, made.root_bias, made.rest, made.class_weight, made.class_bias)
    return torch.randn(rows, width).relu().to(DEVICE, dtype), head.to(DEVICE), asked


def check(
    found: tuple[torch.Tensor, torch.Tensor], hidden: torch.Tensor, asked: Asked, tolerance: float
) -> None:
    """Where classes are as good to rounding, either is right."""
    inverse, best = found
    wide = Asked(*(getattr(asked, name).double() for name in Asked.__dataclass_fields__))
    product = hidden.double() @ wide.root.T + wide.root_bias
    expected = (product.square().sum(-1) + wide.rest).rsqrt()
    torch.testing.assert_close(inverse.double(), expected, rtol=tolerance, atol=0)
    logits = hidden.double() @ wide.class_weight.T + wide.class_bias
    chosen = logits.gather(1, best[:, None])[:, 0]
    scale = logits.abs().max()
    torch.testing.assert_close(chosen / scale, logits.amax(1) / scale, rtol=0, atol=tolerance)


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_norms_are_those_of_the_last_layer(shape: tuple[int, int, int, int]) -> None:
    hidden, head, asked = case(shape, torch.float32)
    inverse, best = answers(hidden, asked)
    expected = 1 / torch.linalg.vector_norm(head.last(hidden), dim=-1)
    torch.testing.assert_close(inverse, expected.detach(), rtol=1e-5, atol=0)
    check((inverse, best), hidden, asked, 1e-5)
    assert best.max() < len(asked.class_weight)


@interpreted
@pytest.mark.parametrize("dtype", [torch.float16, BFLOAT16])
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_one_kernel_says_the_same(shape: tuple[int, int, int, int], dtype: torch.dtype) -> None:
    """Products of narrow numbers are exact in float32; only their sums round."""
    hidden, _, asked = case(shape, dtype)
    assert triton_answers.can_take(hidden)
    inverse, best = triton_answers.triton_answers(hidden, asked)
    assert best.dtype == torch.int64
    assert inverse.dtype == torch.float32
    check((inverse, best), hidden, asked, 1e-4)
    check(answers(hidden, asked), hidden, asked, 2e-2)  # its product is rounded before the norm
    assert fused_answers(hidden, asked)[1].shape == best.shape


@interpreted
def test_the_first_of_equals_and_no_padding() -> None:
    """Classes 70 and 75 in the second chunk, or 3 and 70 in both; padding would be the highest."""
    hidden = torch.ones(2, 16, dtype=torch.float16, device=DEVICE)
    for equals in ((70, 75), (3, 70)):
        bias = torch.full((76,), -9.0, device=DEVICE)
        bias[list(equals)] = -1.0
        nothing = torch.zeros(16, 16, dtype=torch.float16, device=DEVICE)
        weight = torch.zeros(76, 16, dtype=torch.float16, device=DEVICE)
        zero = torch.zeros((), device=DEVICE)
        asked = Asked(nothing, torch.zeros(16, device=DEVICE), zero, weight, bias)
        inverse, best = triton_answers.triton_answers(hidden, asked)
        assert best.tolist() == [equals[0]] * 2
        torch.testing.assert_close(inverse, torch.full_like(inverse, 1e12))  # not infinite
        assert answers(hidden, asked)[1].equal(best)


def test_what_the_kernel_takes() -> None:
    narrow = torch.zeros(4, 32, dtype=torch.bfloat16)
    assert triton_answers.can_take(narrow)
    for other in (narrow.float(), narrow[:, :24], narrow[:, :8], narrow.T, narrow.repeat(1, 16)):
        assert not triton_answers.can_take(other)


def test_the_kernel_compiles(tmp_path: Path) -> None:
    """In a process of its own, because here Triton may have been told to interpret."""
    environment = {k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"}
    environment["TRITON_CACHE_DIR"] = str(tmp_path)
    script = Path(__file__).with_name("compile_answers_kernel.py")
    command = [sys.executable, "-W", "ignore", str(script)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "wgmma" in done.stdout
    assert int(done.stdout.split()[1]) <= 232448  # bytes of shared memory that a program may have
