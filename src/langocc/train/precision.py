# SPDX-License-Identifier: Apache-2.0
"""With how many bits a step computes: weights, their average and the loss stay in float32."""

from typing import Literal

import torch

Precision = Literal["auto", "fp32", "tf32", "bf16"]


def chosen_precision(asked: Precision, device: torch.device) -> Precision:
    """What `auto` means on a device: bf16 on a GPU that has it, fp32 elsewhere."""
    if asked != "auto":
        return asked
    return "bf16" if device.type == "cuda" and torch.cuda.is_bf16_supported() else "fp32"


def set_up_arithmetic(precision: Precision) -> None:
    """Lets float32 products round to TF32, or not, and GPUs look for their fastest convolutions.

    For the whole process; looking pays because all steps have the same shapes.
    """
    torch.backends.cudnn.benchmark = True
    rounds = precision in ("tf32", "bf16")
    torch.set_float32_matmul_precision("high" if rounds else "highest")
    torch.backends.cudnn.allow_tf32 = rounds


def computing(precision: Precision, device: torch.device) -> torch.autocast:
    """Context of a forward pass: in bf16, convolutions and matrix products round to bfloat16."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bf16")
