# SPDX-License-Identifier: Apache-2.0
"""AdamW's moments in published checkpoints: there by number of the parameter, here by its name.

Source: formats.md section 5.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from langocc.errors import DataError
from langocc.interop.checkpoints_published import swap_axes

MOMENTS = ("exp_avg", "exp_avg_sq")


@dataclass(frozen=True)
class OptimizerState:
    """An optimizer's state in our terms.

    Attributes:
        moments: `<moment>.<our parameter name>` and `step.<our parameter name>`.
        groups: Published parameter groups: learning rates and the like, plain values.
        integer_steps: Steps are stored as integers, as older versions of torch did.
    """

    moments: Mapping[str, Tensor]
    groups: Sequence[Mapping[str, Any]]
    integer_steps: bool = False


def optimizer_from_published(
    published: Mapping[str, Any], parameters: Mapping[str, Tensor], source: str
) -> OptimizerState:
    """Moments by our parameter names.

    Args:
        published: `optimizer` of a published checkpoint.
        parameters: Our parameters in the published order, frozen ones included.
        source: Where it comes from, for errors.

    Raises:
        DataError: another number of parameters, or a moment of another shape or kind.
    """
    groups, state = published["param_groups"], published["state"]
    numbers = [number for group in groups for number in group["params"]]
    if len(numbers) != len(parameters):
        raise DataError(
            f"{source}: optimizer: expected {len(parameters)} parameters, found {len(numbers)}"
        )
    names = dict(zip(numbers, parameters, strict=True))
    moments: dict[str, Tensor] = {}
    integer_steps = False
    for number, entries in state.items():
        name = names.get(number)
        if name is None or set(entries) != {"step", *MOMENTS}:
            raise DataError(
                f"{source}: optimizer: expected step, exp_avg and exp_avg_sq of one of "
                f"{len(names)} parameters, found {sorted(entries)} of number {number}"
            )
        integer_steps |= isinstance(entries["step"], int)
        moments[f"step.{name}"] = torch.as_tensor(entries["step"], dtype=torch.float32)
        for moment in MOMENTS:
            tensor = swap_axes(entries[moment])
            if tensor.shape != parameters[name].shape:
                raise DataError(
                    f"{source}: optimizer: {moment} of {name}: expected shape "
                    f"{tuple(parameters[name].shape)}, found {tuple(tensor.shape)}"
                )
            moments[f"{moment}.{name}"] = tensor.contiguous()
    return OptimizerState(moments, groups, integer_steps)


def optimizer_to_published(state: OptimizerState, parameters: Sequence[str]) -> dict[str, Any]:
    """Moments by number, as published. A parameter without moments has no entry.

    Args:
        state: In our terms.
        parameters: Our parameter names in the published order, frozen ones included.
    """
    numbers = [number for group in state.groups for number in group["params"]]
    entries: dict[int, dict[str, Any]] = {}
    for number, name in zip(numbers, parameters, strict=True):
        if f"step.{name}" in state.moments:
            step = state.moments[f"step.{name}"]
            entries[number] = {
                "step": int(step) if state.integer_steps else step,
                **{m: swap_axes(state.moments[f"{m}.{name}"]).contiguous() for m in MOMENTS},
            }
    return {"state": entries, "param_groups": [dict(group) for group in state.groups]}
