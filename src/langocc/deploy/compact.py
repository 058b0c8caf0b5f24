# SPDX-License-Identifier: Apache-2.0
"""A trained network made ready for inference on a GPU: norms folded away, weights in bfloat16."""

from copy import deepcopy
from typing import TypeGuard

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from langocc.deploy.compact_layers import (
    CompactBottleneck,
    Narrowing,
    Offset,
    Pixelwise,
    PixelwiseSum,
    ShiftedReLU,
    Untouched,
)
from langocc.model.backbone import Backbone, Bottleneck
from langocc.model.depth_net import BasicBlock
from langocc.model.encoder import Pyramid3d, ResidualBlock3d
from langocc.model.langocc import LangOcc

Convolution = nn.Conv2d | nn.Conv3d
Norm = nn.BatchNorm2d | nn.BatchNorm3d
Block = BasicBlock | ResidualBlock3d


def folded(model: LangOcc) -> LangOcc:
    """A copy in evaluation mode whose convolutions contain the scales of the norms behind them.

    The same function; other rounding. What is left of a norm, an offset, is added in the pass over
    memory that adds the shortcut and applies ReLU; 1x1 convolutions do both by themselves.
    """
    model = deepcopy(model).eval().requires_grad_(False)
    for module in reversed(list(model.modules())):  # shortcuts before their blocks
        if isinstance(module, nn.Sequential):
            _fold_chain(module)
        elif isinstance(module, Block):
            _fold_block(module)
        elif isinstance(module, Backbone):
            _fold_stem(module)
        elif isinstance(module, Pyramid3d):
            _fold_pyramid(module)
    _as_products(model.neck, "lateral16", "lateral32")
    _as_products(model.depth_net, "context", "logits")
    return model


def narrowed(model: LangOcc, dtype: torch.dtype) -> LangOcc:
    """The model with convolutions and linear layers in `dtype`, stored channels last; in place.

    The last layer of the language head stays: texts are folded into it in float32.
    """
    for module in model.modules():
        if module is model.head.last or not isinstance(module, Convolution | nn.Linear):
            continue
        module.to(dtype)
        layouts = {4: torch.channels_last, 5: torch.channels_last_3d}
        if module.weight.dim() in layouts:
            module.weight.data = module.weight.data.contiguous(
                memory_format=layouts[module.weight.dim()]
            )
    # Sums over voxels are made in float32, and two convolutions read them.
    _replace(model, "pre_process", nn.Sequential(Narrowing(dtype), model.pre_process))
    return model


def _fold_chain(chain: nn.Sequential) -> None:
    """Blocks; convolution, norm and ReLU in a row, or what there is of them."""
    for index in reversed(range(len(chain) - 1)):
        layer, norm = chain[index], chain[index + 1]
        if isinstance(layer, Convolution) and isinstance(norm, Norm):
            chain[index] = _scaled(layer, norm)
            del chain[index + 1]
    for index in reversed(range(len(chain))):
        layer = chain[index]
        if isinstance(layer, Bottleneck):
            chain[index] = _compact_bottleneck(layer)
        has_relu = index + 1 < len(chain) and isinstance(chain[index + 1], nn.ReLU)
        if _is_pixelwise(layer) or (has_relu and isinstance(layer, nn.Linear)):
            chain[index] = Pixelwise(layer, has_relu=has_relu)
            if has_relu:
                del chain[index + 1]
        elif isinstance(layer, Convolution) and has_relu:
            chain[index + 1] = ShiftedReLU(_bias_taken(layer))


def _compact_bottleneck(block: Bottleneck) -> CompactBottleneck:
    first, second, last = (
        _scaled(block.get_submodule(f"conv{index}"), block.get_submodule(f"bn{index}"))
        for index in (1, 2, 3)
    )
    assert _is_pixelwise(first)
    assert _is_pixelwise(last)
    inner = (Pixelwise(first, has_relu=True), second, ShiftedReLU(_bias_taken(second)))
    shortcut = block.downsample or nn.Identity()
    _take_biases(shortcut, last.bias)
    return CompactBottleneck(nn.Sequential(*inner), PixelwiseSum(last), shortcut)


def _fold_block(block: Block) -> None:
    """Each norm leaves an offset; the last takes that of a shortcut that is projected."""
    norms = [name for name, _ in block.named_children() if name.startswith(("bn", "norm"))]
    for index, norm in enumerate(norms, start=1):
        conv = _scaled(block.get_submodule(f"conv{index}"), block.get_submodule(norm))
        _replace(block, f"conv{index}", conv)
        _replace(block, norm, Offset(_bias_taken(conv)))
    _take_biases(block.shortcut, block.get_buffer(f"{norms[-1]}.offset"))


def _take_biases(shortcut: nn.Module, total: Tensor | None) -> None:
    """Adds what a shortcut adds after its convolution to what is added to the sum."""
    assert total is not None
    for conv in shortcut.modules():
        if isinstance(conv, Convolution):
            total += _bias_taken(conv)


def _fold_stem(backbone: Backbone) -> None:
    """Offset and ReLU do not change which pixel is the largest: they come after pooling."""
    conv = _scaled(backbone.conv1, backbone.bn1)
    after = ShiftedReLU(_bias_taken(conv))
    _replace(backbone, "conv1", conv)
    _replace(backbone, "bn1", Untouched())
    _replace(backbone, "maxpool", nn.Sequential(backbone.maxpool, after))


def _fold_pyramid(pyramid: Pyramid3d) -> None:
    """Between its convolution and its norm, volumes are added up."""
    conv = _scaled(pyramid.merge, pyramid.norm)
    _replace(pyramid, "norm", Offset(_bias_taken(conv)))
    _replace(pyramid, "merge", conv)


def _as_products(parent: nn.Module, *names: str) -> None:
    for name in names:
        conv = parent.get_submodule(name)
        assert _is_pixelwise(conv)
        _replace(parent, name, Pixelwise(conv, has_relu=False))


def _is_pixelwise(layer: nn.Module) -> TypeGuard[nn.Conv2d]:
    if not isinstance(layer, nn.Conv2d) or layer.groups != 1 or layer.bias is None:
        return False
    return layer.kernel_size == layer.stride == (1, 1) and layer.padding == (0, 0)


def _scaled(conv: nn.Module, norm: nn.Module) -> Convolution:
    """The convolution with the norm in its weight and bias."""
    assert isinstance(conv, Convolution)
    assert isinstance(norm, Norm)
    return fuse_conv_bn_eval(conv, norm)


def _bias_taken(conv: Convolution) -> Tensor:
    """What a convolution adds; from now on, it does not."""
    bias = conv.bias
    assert bias is not None
    conv.register_parameter("bias", None)
    return bias


def _replace(parent: nn.Module, name: str, child: nn.Module) -> None:
    """Whatever type the attribute was declared with."""
    setattr(parent, name, child)
