"""A folded network: the same function, without passes over memory that another could make."""

from collections import Counter

import pytest
import torch
from deploy_kit import MODEL, drive, predictor, whole_pass
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from langocc.deploy import compact_layers
from langocc.deploy.compact import folded, narrowed
from langocc.deploy.compact_layers import Offset, Pixelwise, PixelwiseSum, ShiftedReLU, Untouched
from langocc.model import decoder, langocc
from langocc.predictor import Predictor


class Passes(TorchDispatchMode):
    """Counts operations, except within functions that make one pass over memory on a GPU."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__()
        self.found: Counter[str] = Counter()
        self.is_fused = False
        names = ("fused_shifted_relu", "linear_relu", "sum_relu")
        fused = [(compact_layers, name) for name in names]
        for module, name in (*fused, (langocc, "conv_relu"), (decoder, "linear_relu")):
            monkeypatch.setattr(module, name, self._fused(getattr(module, name)))

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        if name == "convolution":
            name = "convolution" if args[2] is None else "biased convolution"
        if not self.is_fused:
            self.found[name] += 1
        return func(*args, **(kwargs or {}))

    def _fused(self, function):
        def run(*given):
            self.found[function.__name__] += 1
            self.is_fused = True
            result = function(*given)
            self.is_fused = False
            return result

        return run


def test_no_pass_for_what_another_can_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """Left: biases of 3x3 convolutions without ReLU, in neck and stereo; the norm of cameras."""
    made = predictor()
    frames = drive(3)[::-1]
    slim = Predictor(folded(made.model), made.config, {}, {}, made.device)
    with Passes(monkeypatch) as passes:
        whole_pass(slim, frames)
    lifted = MODEL.lifted_frames
    assert passes.found["biased convolution"] == 3 * lifted
    names = ("relu", "relu_", "clamp_min", "clamp_min_", "native_batch_norm")
    assert [passes.found[name] for name in names] == [0, 0, 0, 0, lifted]
    assert passes.found["conv_relu"] == 1
    assert passes.found["fused_shifted_relu"] > 10 * lifted


def test_the_passes_of_the_model_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the test above looks for is what torch calls it."""
    with Passes(monkeypatch) as passes:
        whole_pass(predictor(), drive(3)[::-1])
    assert passes.found["relu_"] > 30
    assert passes.found["native_batch_norm"] > 30


def test_a_shortcut_gives_its_offset_away() -> None:
    """To the norm that activates the sum; a 1x1 product keeps its own, which costs nothing."""
    model = folded(predictor().model)
    for name in (
        "backbone.conv1",
        "backbone.layer2.0.inner.1",
        "backbone.layer2.0.shortcut.0",
        "depth_net.blocks.0.shortcut",
        "encoder.stages.0.0.conv2",
        "encoder.stages.0.0.shortcut.0",
        "pyramid.merge",
    ):
        conv = model.get_submodule(name)
        assert isinstance(conv, nn.Conv2d | nn.Conv3d)
        assert conv.bias is None
    assert isinstance(model.get_submodule("backbone.layer1.0.shortcut.0"), Pixelwise)
    assert isinstance(model.get_submodule("backbone.layer2.0.inner.0"), Pixelwise)
    assert isinstance(model.get_submodule("backbone.layer2.0.last"), PixelwiseSum)
    assert isinstance(model.get_submodule("depth_net.reduce.1"), ShiftedReLU)


def test_offsets() -> None:
    x = torch.randn(2, 3, 4, 5, generator=torch.Generator().manual_seed(0))
    offset = torch.tensor([1.0, -1, 0])
    expected = x + offset[:, None, None]
    assert Offset(offset)(x).equal(expected)
    assert Offset(offset).activated(x.clone(), None).equal(expected.relu())
    assert Offset(offset).activated(x.clone(), x).equal((expected + x).relu())
    assert ShiftedReLU(offset)(x.clone()).equal(expected.relu())
    assert Offset(offset)(x[:, :, None]).equal(expected[:, :, None])
    assert Untouched().activated(x, None) is x
    assert Untouched()(x) is x
    with pytest.raises(AssertionError):
        Untouched().activated(x, x)


@pytest.mark.parametrize("has_relu", [False, True])
def test_a_convolution_as_a_product(has_relu: bool) -> None:
    torch.manual_seed(0)
    conv, x = nn.Conv2d(8, 5, 1), torch.randn(2, 8, 3, 4)
    expected = conv(x).relu() if has_relu else conv(x)
    for given in (x, x.contiguous(memory_format=torch.channels_last)):
        got = Pixelwise(conv, has_relu=has_relu)(given)
        torch.testing.assert_close(got, expected)
        assert got.is_contiguous(memory_format=torch.channels_last)


def test_a_convolution_with_its_shortcut() -> None:
    torch.manual_seed(0)
    conv, x, shortcut = nn.Conv2d(8, 5, 1), torch.randn(2, 8, 3, 4), torch.randn(2, 5, 3, 4)
    got = PixelwiseSum(conv)(x, shortcut)
    torch.testing.assert_close(got, (conv(x) + shortcut).relu())
    assert got.is_contiguous(memory_format=torch.channels_last)


def test_narrowed() -> None:
    """But for camera numbers, offsets and the layer that texts are folded into."""
    model = narrowed(folded(predictor().model), torch.bfloat16)
    wide = {n for n, p in model.named_parameters() if p.dtype != torch.bfloat16}
    expected = ["depth_net.camera_norm", "head.last"]
    assert wide == {f"{name}.{kind}" for name in expected for kind in ("weight", "bias")}
    assert model.pyramid.norm.offset.dtype == torch.float32
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        volume = torch.randn(1, MODEL.depth.context_channels, 4, 4, 4)
        assert model.pre_process(volume).dtype == torch.bfloat16
