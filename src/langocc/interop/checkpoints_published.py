# SPDX-License-Identifier: Apache-2.0
"""Published state dicts in our names and axis order, and back: a renaming, bit for bit.

Kernels of 3D convolutions are published as [out, in, z, y, x]; ours are [out, in, x, y, z].

Source: formats.md section 5.
"""

import re
from collections.abc import Mapping

from torch import Tensor

from langocc.errors import MismatchError

LISTED_DIFFERENCES = 10
"""How many differences an error lists."""

_DEPTH = "img_view_transformer.depth_net."
_RENAMES: tuple[tuple[str, str], ...] = (
    (r"backbone\.", "img_backbone."),
    (r"neck\.lateral16\.", "img_neck.lateral_convs.0.conv."),
    (r"neck\.lateral32\.", "img_neck.lateral_convs.1.conv."),
    (r"neck\.smooth\.", "img_neck.fpn_convs.0.conv."),
    (r"depth_net\.reduce\.", _DEPTH + "reduce_conv."),
    (r"depth_net\.camera_norm\.", _DEPTH + "bn."),
    (r"depth_net\.context\.", _DEPTH + "context_conv."),
    (r"depth_net\.(context|depth)_gate\.mlp\.0\.", _DEPTH + r"\1_mlp.fc1."),
    (r"depth_net\.(context|depth)_gate\.mlp\.2\.", _DEPTH + r"\1_mlp.fc2."),
    (r"depth_net\.(context|depth)_gate\.gate\.0\.", _DEPTH + r"\1_se.conv_reduce."),
    (r"depth_net\.(context|depth)_gate\.gate\.2\.", _DEPTH + r"\1_se.conv_expand."),
    (r"depth_net\.stereo\.", _DEPTH + "cost_volumn_net."),
    (r"depth_net\.blocks\.(\d)\.shortcut\.", _DEPTH + r"depth_conv.\1.downsample."),
    (r"depth_net\.blocks\.", _DEPTH + "depth_conv."),
    *(
        (
            rf"depth_net\.pyramid\.branches\.{i}\.{layer}\.",
            f"{_DEPTH}depth_conv.3.aspp{i + 1}.{name}.",
        )
        for i in range(4)
        for layer, name in enumerate(("atrous_conv", "bn"))
    ),
    (r"depth_net\.pyramid\.average\.0\.", _DEPTH + "depth_conv.3.global_avg_pool.1."),
    (r"depth_net\.pyramid\.average\.1\.", _DEPTH + "depth_conv.3.global_avg_pool.2."),
    (r"depth_net\.pyramid\.merge\.0\.", _DEPTH + "depth_conv.3.conv1."),
    (r"depth_net\.pyramid\.merge\.1\.", _DEPTH + "depth_conv.3.bn1."),
    (r"depth_net\.logits\.", _DEPTH + "depth_conv.4."),
    (r"pre_process\.conv(\d)\.", r"pre_process_net.layers.0.0.conv\1.conv."),
    (r"pre_process\.norm(\d)\.", r"pre_process_net.layers.0.0.conv\1.bn."),
    (r"pre_process\.shortcut\.0\.", "pre_process_net.layers.0.0.downsample.conv."),
    (r"pre_process\.shortcut\.1\.", "pre_process_net.layers.0.0.downsample.bn."),
    (r"encoder\.stages\.(\d\.\d)\.conv(\d)\.", r"img_bev_encoder_backbone.layers.\1.conv\2.conv."),
    (r"encoder\.stages\.(\d\.\d)\.norm(\d)\.", r"img_bev_encoder_backbone.layers.\1.conv\2.bn."),
    (
        r"encoder\.stages\.(\d\.\d)\.shortcut\.0\.",
        r"img_bev_encoder_backbone.layers.\1.downsample.conv.",
    ),
    (
        r"encoder\.stages\.(\d\.\d)\.shortcut\.1\.",
        r"img_bev_encoder_backbone.layers.\1.downsample.bn.",
    ),
    (r"pyramid\.merge\.", "img_bev_encoder_neck.conv.conv."),
    (r"pyramid\.norm\.", "img_bev_encoder_neck.conv.bn."),
    (r"final_conv\.", "final_conv.conv."),
    (r"reducer\.U", "reducer.U"),
    *((rf"density_head\.layers\.{i}\.", f"density_decoder.layers.{3 * i}.") for i in range(3)),
    (r"density_head\.last\.", "density_decoder.layers.9."),
    *((rf"head\.layers\.{i}\.", f"{{head}}_decoder.layers.{3 * i}.") for i in range(3)),
    (r"head\.last\.", "{head}_decoder.layers.9."),
)
"""Our name, as a pattern -> the published one. The first match wins."""


def published_name(name: str, variant: str) -> str:
    """Published name of one of our state entries.

    Args:
        name: Our name.
        variant: `ModelConfig.variant`: it names the head.

    Raises:
        ValueError: no such entry in the network.
    """
    for ours, published in _RENAMES:
        renamed, count = re.subn(f"^{ours}", published, name)
        if count:
            return renamed.replace("{head}", variant)
    raise ValueError(f"name: expected an entry of the network, got {name!r}")


def from_published(
    published: Mapping[str, Tensor], like: Mapping[str, Tensor], variant: str, source: str
) -> dict[str, Tensor]:
    """A published state dict in our names and axis order.

    Args:
        published: Entries as published.
        like: Our state dict, for names, shapes and types.
        variant: `ModelConfig.variant`.
        source: Where `published` comes from, for errors.

    Raises:
        MismatchError: an entry is missing, left over, or of another shape or type; the first ten.
    """
    names = {published_name(name, variant): name for name in like}
    expected = {theirs: swap_axes(like[ours]) for theirs, ours in names.items()}
    require_same(published, expected, source)
    return {ours: swap_axes(published[theirs]).contiguous() for theirs, ours in names.items()}


def to_published(ours: Mapping[str, Tensor], variant: str) -> dict[str, Tensor]:
    """One of our state dicts in published names and axis order."""
    return {published_name(n, variant): swap_axes(t).contiguous() for n, t in ours.items()}


def require_same(found: Mapping[str, Tensor], expected: Mapping[str, Tensor], source: str) -> None:
    """Refuses entries that are missing, left over, or of another shape or type.

    Raises:
        MismatchError: a DataError and a ValueError; lists the first ten differences.
    """
    differences = [
        *(f"missing {name} {_kind(expected[name])}" for name in expected if name not in found),
        *(f"unexpected {name} {_kind(found[name])}" for name in found if name not in expected),
        *(
            f"{name}: expected {_kind(expected[name])}, found {_kind(found[name])}"
            for name in expected
            if name in found and _kind(expected[name]) != _kind(found[name])
        ),
    ]
    if differences:
        listed = "\n  ".join(differences[:LISTED_DIFFERENCES])
        raise MismatchError(
            f"{source}: {len(differences)} entries differ from the network's, first:\n  {listed}"
        )


def _kind(tensor: Tensor) -> str:
    return f"{tuple(tensor.shape)} {str(tensor.dtype).removeprefix('torch.')}"


def swap_axes(tensor: Tensor) -> Tensor:
    """3D kernels [out, in, x, y, z] to [out, in, z, y, x] or back; all else as it is."""
    return tensor.transpose(2, 4) if tensor.dim() == 5 else tensor
