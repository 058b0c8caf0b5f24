# SPDX-License-Identifier: Apache-2.0
"""What hidden features of the language head say: the norm of its output, the best class.

With W = Q R, |W h + b|^2 = |R h + Q^T b|^2 + |b|^2 - |Q^T b|^2: of a product only as wide as h. For
class vectors E, E (W h + b) = (E W) h + E b.
"""

import importlib.util
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import linear

SMALLEST = 1e-24
"""Of a squared norm, as `torch.nn.functional.normalize` has it."""


@dataclass(frozen=True)
class Asked:
    """What a head's last layer and the class vectors come to, in the precision of `hidden`.

    Attributes:
        root: R.
        root_bias: Q^T b.
        rest: |b|^2 - |Q^T b|^2.
        class_weight: E W.
        class_bias: E b.
    """

    root: Float[Tensor, "root hidden"]
    root_bias: Float[Tensor, " root"]
    rest: Float[Tensor, ""]
    class_weight: Float[Tensor, "class hidden"]
    class_bias: Float[Tensor, " class"]


def answers(
    hidden: Float[Tensor, "row hidden"], asked: Asked
) -> tuple[Float[Tensor, " row"], Int[Tensor, " row"]]:
    """One over the norm of each row's output, and its best class: the first of equals."""
    product = linear(hidden, asked.root, asked.root_bias.to(hidden.dtype))
    length = torch.linalg.vector_norm(product, dim=-1, dtype=torch.float32)
    inverse = (length.square() + asked.rest).clamp(min=SMALLEST).rsqrt()
    logits = linear(hidden, asked.class_weight, asked.class_bias.to(hidden.dtype))
    return inverse, logits.argmax(dim=-1)


def fused_answers(
    hidden: Float[Tensor, "row hidden"], asked: Asked
) -> tuple[Float[Tensor, " row"], Int[Tensor, " row"]]:
    """As `answers`; on a GPU `hidden` is read once, and neither product nor logits are written."""
    if hidden.is_cuda and importlib.util.find_spec("triton") is not None:
        from langocc.deploy import triton_answers  # Triton is optional

        if triton_answers.can_take(hidden):
            return triton_answers.triton_answers(hidden, asked)
    return answers(hidden, asked)
