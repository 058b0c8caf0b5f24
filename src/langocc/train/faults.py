# SPDX-License-Identifier: Apache-2.0
"""What may go wrong in a step: losses that are no numbers, and memory that does not suffice."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from langocc.errors import LangOccError
from langocc.train.checkpoint import newest_checkpoint


class DivergedError(LangOccError):
    """A loss term or the gradient is no longer a number. The last good checkpoint is kept."""


class ShortOfMemoryError(LangOccError):
    """A step needs more memory than there is. Says which setting frees how much."""


def check_finite(
    own: Mapping[str, float],
    mean: Mapping[str, float],
    *,
    step: int,
    tokens: Sequence[str],
    evidence: Sequence[Tensor],
    checkpoints: Path,
) -> None:
    """Refuses a step whose numbers are not finite.

    Args:
        own: Loss terms of this process, and the gradient's norm.
        mean: Their means over all processes.
        step: 0-based.
        tokens: Key frames of this process's samples.
        evidence: Tensors with a row per sample, to find the sample at fault.
        checkpoints: Their folder.

    Raises:
        DivergedError: names the terms, the frames and what is kept.
    """
    if all(math.isfinite(value) for value in [*own.values(), *mean.values()]):
        return
    checkpoint = newest_checkpoint(checkpoints)
    kept = f"{checkpoint} is kept" if checkpoint else "no checkpoint had been written yet"
    bad = {name: value for name, value in own.items() if not math.isfinite(value)}
    if not bad:
        raise DivergedError(f"step {step}: another process met a loss that is no number; {kept}")
    at_fault = [
        token
        for index, token in enumerate(tokens)
        if not all(bool(tensor[index].isfinite().all()) for tensor in evidence)
    ]
    # `total` and the gradient are bad whenever a term is.
    first = {n: v for n, v in bad.items() if n not in ("total", "gradient")} or bad
    names = ", ".join(f"{name!r} is {value}" for name, value in first.items())
    raise DivergedError(
        f"step {step}: the loss term {names} (frames "
        f"{', '.join(at_fault or tokens)}); {kept}. If the data are sound, a lower "
        "schedule.base-lr or clip-norm may help"
    )


def is_short_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out, on a GPU or on the processor."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and "can't allocate memory" in str(error)
