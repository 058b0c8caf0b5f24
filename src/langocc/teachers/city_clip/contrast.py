# SPDX-License-Identifier: Apache-2.0
"""A contrastive loss in which a caption that is true of another crop too is no negative."""

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor
from torch.nn import functional


def caption_loss(
    images: Float[Tensor, "pair channel"],
    texts: Float[Tensor, "pair channel"],
    is_true: Bool[Tensor, "pair pair"],
    scale: Float[Tensor, ""],
) -> Float[Tensor, ""]:
    """Symmetric cross-entropy of unit features; row i of both belongs together.

    Args:
        images: Features of crops.
        texts: Features of their captions.
        is_true: Whether caption j is true of crop i; such pairs (i != j) leave the denominator.
        scale: Factor of the cosines.
    """
    logits = scale * images @ texts.T
    own = torch.arange(len(images), device=images.device)
    logits = logits.masked_fill(is_true & (own[:, None] != own), -torch.inf)
    return (functional.cross_entropy(logits, own) + functional.cross_entropy(logits.T, own)) / 2


def caption_is_true(
    true: Int64[Tensor, "pair true"], said: Int64[Tensor, "pair said"], words: int
) -> Bool[Tensor, "pair pair"]:
    """Whether all that caption j says (columns) is true of crop i (rows).

    Args:
        true: Word indices true of each crop, -1 where unused.
        said: Word indices each caption claims, -1 where unused.
        words: Size of the word space.
    """
    is_true, is_said = _many_hot(true, words), _many_hot(said, words)
    return is_true @ is_said.T >= is_said.sum(1)


def _many_hot(index: Int64[Tensor, "pair word"], words: int) -> Float[Tensor, "pair words"]:
    hot = torch.zeros(len(index), words + 1, device=index.device)
    hot.scatter_(1, index.where(index >= 0, torch.full_like(index, words)), 1.0)
    return hot[:, :words]
