"""Norm, shortcut and ReLU as one operation equal torch's norm and the rest in steps."""

import os
from copy import deepcopy

import pytest
import torch
from torch import nn

from langocc.model.activation import activated
from langocc.model.batch_norm import ImageNorm, VolumeNorm

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
triton_norm = pytest.importorskip("langocc.model.triton_norm", reason="Triton is not installed")
interpreted = pytest.mark.skipif(
    not torch.cuda.is_available() and os.environ.get("TRITON_INTERPRET") != "1",
    reason="Triton was told not to interpret, and there is no GPU",
)
SHAPES = {
    "images": (2, 12, 5, 7),
    "wide": (1, 150, 2, 3),
    "volumes": (1, 48, 6, 5, 4),
    "four values": (2, 3, 1, 2),
    "many shares": (2, 64, 23, 17),
    "one channel": (3, 1, 5, 7),
}
ROUNDING = {torch.float32: 2e-6, torch.bfloat16: 2**-7}  # Triton's interpreter cuts digits off


def rows(shape: tuple[int, ...], dtype: torch.dtype, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(shape, generator=generator).to(DEVICE, dtype)
    return x.movedim(1, -1).contiguous().movedim(-1, 1)


def new_norm(shape: tuple[int, ...]) -> ImageNorm | VolumeNorm:
    """With weights, offsets and running statistics that are nothing special."""
    norm = (ImageNorm if len(shape) == 4 else VolumeNorm)(shape[1], momentum=0.3)
    generator = torch.Generator().manual_seed(9)
    for tensor in (norm.weight.data, norm.bias.data, *norm.buffers()):
        if tensor.dim():
            tensor.copy_(torch.rand(shape[1], generator=generator) + 0.5)
    norm.weight.data[::2] *= -1
    return norm.to(DEVICE)


def stepwise(norm, x, shortcut=None, *, activates: bool) -> torch.Tensor:
    """torch's own norm around the same numbers, in float64."""
    plain = (nn.BatchNorm2d if x.dim() == 4 else nn.BatchNorm3d)(len(norm.weight), momentum=0.3)
    plain._parameters, plain._buffers = norm._parameters, norm._buffers
    out = plain(x) if shortcut is None else plain(x) + shortcut
    return out.relu() if activates else out


def assert_equal_to_steps(shape, dtype, has_shortcut: bool, activates: bool) -> None:
    ours = new_norm(shape)
    plain = deepcopy(ours).double()
    found = []
    ways = ((stepwise, plain, torch.float64), (triton_norm.triton_norm, ours, dtype))
    for function, norm, precision in ways:
        given = [(2 * rows(shape, dtype, 0) + 1).to(precision).requires_grad_()]
        if has_shortcut:
            given.append(rows(shape, dtype, 1).to(precision).requires_grad_())
        out = function(norm, *given, activates=activates)
        # Where the sum is next to zero, roundings decide whether its gradient passes ReLU.
        clear = found[0][-1] if found else (out == 0) | (out > 0.02)
        out.backward(rows(shape, dtype, 2).to(precision) * (clear | (not activates)))
        gradients = [tensor.grad for tensor in (*given, norm.weight, norm.bias)]
        found.append([out.detach(), *gradients, norm.running_mean, norm.running_var, clear])
        assert norm.num_batches_tracked == 1
    assert found[1][0].dtype == dtype
    assert found[1][0].movedim(1, -1).is_contiguous()
    for index, (expected, got) in enumerate(zip(found[0][:-1], found[1][:-1], strict=True)):
        is_rounded = index < 2 + has_shortcut
        tolerance = ROUNDING[dtype] if is_rounded else 1e-5
        size = float(expected.abs().max()) + 1e-3
        torch.testing.assert_close(
            got.double() / size, expected / size, rtol=tolerance, atol=tolerance
        )


@interpreted
@pytest.mark.parametrize("activates", [True, False])
@pytest.mark.parametrize("has_shortcut", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_one_operation_equals_steps(shape, dtype, has_shortcut, activates) -> None:
    """Values, all gradients, running statistics; the steps are taken in float64."""
    assert_equal_to_steps(shape, dtype, has_shortcut, activates)


@interpreted
def test_shares_of_several_tiles(monkeypatch) -> None:
    """More rows than programs have tiles for; and the last share is shorter."""
    few = triton_norm.Work(tile=512, steps=2, warps=4, programs=7)
    for name in ("STATISTICS", "GRADIENT_SUMS"):
        monkeypatch.setattr(triton_norm, name, few)
    assert triton_norm._split(1363, 12, few)[:2] == (224, 7)
    assert_equal_to_steps((1, 12, 47, 29), torch.float32, has_shortcut=True, activates=True)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("shape", [(24, 256, 64, 176), (24, 2048, 8, 22), (2, 32, 200, 200, 16)])
def test_full_shapes(shape) -> None:
    """Many programs arrive in any order, again and again; the results stay the same bits."""
    assert_equal_to_steps(shape, torch.bfloat16, has_shortcut=True, activates=True)
    x, norm = rows(shape, torch.bfloat16, 0), new_norm(shape)
    answers = [triton_norm.triton_norm(norm, x, activates=False) for _ in range(20)]
    assert all(answer.equal(answers[0]) for answer in answers)


@interpreted
def test_no_digits_cancel() -> None:
    """A mean a thousand deviations from zero: a mean of squares would lose the variance."""
    shape = (2, 8, 40, 30)
    x, norm = rows(shape, torch.float32, 0) + 1000, new_norm(shape)
    plain = deepcopy(norm).double()
    out = triton_norm.triton_norm(norm, x, activates=False)
    expected = stepwise(plain, x.double(), activates=False)
    torch.testing.assert_close(out.double(), expected, rtol=1e-3, atol=1e-3)
    variances = (dict(n.named_buffers())["running_var"].double() for n in (norm, plain))
    torch.testing.assert_close(*variances, rtol=1e-5, atol=0)


@interpreted
def test_without_gradients() -> None:
    """The same numbers; only what is activated may be overwritten, and the statistics move."""
    shape = SHAPES["images"]
    x, norm = rows(shape, torch.float32, 0), new_norm(shape)
    before = x.clone()
    expected = [triton_norm.triton_norm(norm, x, x, activates=flag) for flag in (False, True)]
    with torch.no_grad():
        found = [triton_norm.triton_norm(norm, x, before, activates=flag) for flag in (False, True)]
    assert norm.num_batches_tracked == 4
    assert all(a.equal(b) for a, b in zip(expected, found, strict=True))
    assert found[0].data_ptr() != x.data_ptr()
    assert found[1].data_ptr() == x.data_ptr()


@interpreted
def test_any_order_in_memory() -> None:
    shape = SHAPES["volumes"]
    answers = []
    for ordered in (lambda t: t, torch.Tensor.contiguous):
        x, norm = ordered(rows(shape, torch.float32, 0)).requires_grad_(), new_norm(shape)
        shortcut = ordered(rows(shape, torch.float32, 1)).requires_grad_()
        out = triton_norm.triton_norm(norm, x, shortcut, activates=True)
        out.backward(ordered(rows(shape, torch.float32, 2)))
        answers.append((out, x.grad, shortcut.grad))
    for one, other in zip(*answers, strict=True):
        assert one.equal(other)


@interpreted
def test_what_is_not_a_number_stays_so() -> None:
    x, norm = rows((2, 4, 3, 3), torch.float32, 0), new_norm((2, 4, 3, 3))
    x[0, 1, 1, 1] = float("nan")
    out = triton_norm.triton_norm(norm, x.requires_grad_(), activates=True)
    (d_x,) = torch.autograd.grad(out.sum(), x)
    for tensor in (out, d_x):
        assert tensor.isnan().sum() == 18  # the whole channel
    assert dict(norm.named_buffers())["running_var"].isnan().sum() == 1


@pytest.mark.parametrize("is_training", [True, False])
@pytest.mark.parametrize("shape", [SHAPES["images"], SHAPES["volumes"]])
def test_modules_are_torchs(shape, is_training: bool) -> None:
    """On a processor, and in evaluation: the same bits. On a GPU in training: up to rounding."""
    ours = new_norm(shape).train(is_training)
    plain = (nn.BatchNorm2d if len(shape) == 4 else nn.BatchNorm3d)(shape[1], momentum=0.3)
    plain.load_state_dict(ours.state_dict())
    plain.to(DEVICE).train(is_training)
    x, shortcut = rows(shape, torch.float32, 0), rows(shape, torch.float32, 1)
    tolerance = 1e-5 if DEVICE == "cuda" and is_training else 0
    for given in (None, shortcut):
        expected, found = activated(plain, x.clone(), given), activated(ours, x.clone(), given)
        torch.testing.assert_close(found, expected, rtol=tolerance, atol=tolerance)
    torch.testing.assert_close(ours(x), plain(x), rtol=tolerance, atol=tolerance)
    for name, value in plain.state_dict().items():
        torch.testing.assert_close(ours.state_dict()[name], value, rtol=tolerance, atol=tolerance)


def test_one_value_per_channel_has_no_variance() -> None:
    with pytest.raises(ValueError, match="value"):
        activated(ImageNorm(3).to(DEVICE), torch.ones(1, 3, 1, 1, device=DEVICE))
    with pytest.raises(ValueError, match="4D"):
        activated(ImageNorm(3).to(DEVICE), torch.ones(1, 3, 2, 2, 2, device=DEVICE))
