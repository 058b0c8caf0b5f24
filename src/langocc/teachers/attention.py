# SPDX-License-Identifier: Apache-2.0
"""Attentions that keep a patch's feature its own: stand-ins for the last block of a CLIP.

Sources: SCLIP (Wang et al., ECCV 2024), NACLIP (Hajimiri et al., WACV 2025); written from the
papers.
"""

import torch
from jaxtyping import Float
from torch import Tensor
from transformers.models.clip.modeling_clip import CLIPAttention

NEIGHBOUR_STD_PATCHES = 5.0
"""Standard deviation of NACLIP's Gaussian of distance, patches."""


def self_correlation_attention(
    attention: CLIPAttention, normed: Float[Tensor, "image token hidden"]
) -> Float[Tensor, "image token hidden"]:
    """SCLIP: weights are softmax(q q^T) + softmax(k k^T), both with CLIP's own scale."""
    weights = [
        torch.softmax(heads @ heads.transpose(-1, -2) * attention.scale, dim=-1)
        for heads in (
            _heads(attention, attention.q_proj(normed)),
            _heads(attention, attention.k_proj(normed)),
        )
    ]
    return _mix(attention, weights[0] + weights[1], normed)


def neighbour_attention(
    attention: CLIPAttention, normed: Float[Tensor, "image token hidden"], grid: tuple[int, int]
) -> Float[Tensor, "image token hidden"]:
    """NACLIP: weights are softmax(k k^T scale + exp(-distance^2 / (2 std^2))) among patches.

    The class token (first) attends by key similarity alone and receives no Gaussian.
    """
    keys = _heads(attention, attention.k_proj(normed))
    logits = keys @ keys.transpose(-1, -2) * attention.scale
    logits[..., 1:, 1:] += _gaussian(grid, normed)
    return _mix(attention, torch.softmax(logits, dim=-1), normed)


def _gaussian(grid: tuple[int, int], like: Tensor) -> Float[Tensor, "patch patch"]:
    rows, cols = (torch.arange(n, device=like.device, dtype=torch.float32) for n in grid)
    place = torch.cartesian_prod(rows, cols)
    squared = (place[:, None] - place[None]).square().sum(-1)
    return torch.exp(-squared / (2 * NEIGHBOUR_STD_PATCHES**2)).to(like.dtype)


def _heads(attention: CLIPAttention, x: Tensor) -> Float[Tensor, "image head token head_channel"]:
    return x.unflatten(-1, (attention.num_heads, -1)).transpose(1, 2)


def _mix(attention: CLIPAttention, weights: Tensor, normed: Tensor) -> Tensor:
    values = weights @ _heads(attention, attention.v_proj(normed))
    return attention.out_proj(values.transpose(1, 2).flatten(2))
