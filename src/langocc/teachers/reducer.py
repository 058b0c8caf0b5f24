# SPDX-License-Identifier: Apache-2.0
"""The reducer: a linear map to fewer channels that keeps the angles of a vocabulary.

Source: method.md section 7.
"""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from jaxtyping import Float, Int64
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional

from langocc.errors import DataError
from langocc.files import replacing

Separation = Literal["none", "cosine", "mse", "margin"]
"""Term that pushes classes apart in the reduced space; the paper has none."""

_LOSS_FACTOR = 10.0
_PATIENCE = 30
"""Steps in a row that may bring next to nothing; the next one ends the training."""
_MARGIN = 1.1
_COSINE_LIMIT = 1 - 1e-7
"""Cosines are kept inside, where arccos has a slope; so neither loss nor gradient is ever NaN."""


class Reducer(nn.Module):
    """`reduce` and `reconstruct`, both ending in unit vectors.

    Attributes:
        U: The map, channels x reduced channels (512 x 128 in the paper).
    """

    def __init__(
        self, channels: int = 512, reduced: int = 128, generator: torch.Generator | None = None
    ) -> None:
        """Normal values of standard deviation 0.1."""
        super().__init__()
        self.U = nn.Parameter(0.1 * torch.randn(channels, reduced, generator=generator))

    def reduce(self, vectors: Float[Tensor, "*batch channel"]) -> Float[Tensor, "*batch reduced"]:
        """Unit vectors of the small space. A zero vector stays zero."""
        return functional.normalize(vectors @ self.U, dim=-1)

    def reconstruct(
        self, reduced: Float[Tensor, "*batch reduced"]
    ) -> Float[Tensor, "*batch channel"]:
        """Unit vectors of the teacher's space again, as near as the map allows."""
        return functional.normalize(reduced @ self.U.T, dim=-1)


@dataclass(frozen=True)
class ReducerTraining:
    """How a reducer was trained.

    Attributes:
        losses: Loss before each step.
        mean_angle_deg: Between prompts and their reconstructions, after the last step.
        stopped: Why it ended.
    """

    losses: tuple[float, ...]
    mean_angle_deg: float
    stopped: Literal["steps", "no change", "small loss", "not finite"]


def angle_loss(reducer: Reducer, vectors: Float[Tensor, "vector channel"]) -> Float[Tensor, ""]:
    """Mean angle (radians) between unit vectors and their reconstructions."""
    rebuilt = reducer.reconstruct(reducer.reduce(vectors))
    cosine = functional.cosine_similarity(rebuilt, vectors, dim=-1)
    return cosine.clamp(-_COSINE_LIMIT, _COSINE_LIMIT).acos().mean()


def separation_loss(
    reduced: Float[Tensor, "vector reduced"],
    class_ids: Int64[Tensor, " vector"],
    kind: Literal["cosine", "mse", "margin"],
) -> Float[Tensor, ""]:
    """Pulls vectors of a class together and others apart; the mean over all ordered pairs.

    With s the cosine of a pair: `cosine` is 1 - s within a class, max(0, s) between; `mse` is the
    squared distance of s to 1 or to -1; `margin` is 1 - s within, max(0, 1.1 - (1 - s)) between.
    """
    similarity = reduced @ reduced.T
    is_same = class_ids[:, None] == class_ids
    if kind == "mse":
        return (similarity - is_same.to(similarity) * 2 + 1).square().mean()
    apart = similarity if kind == "cosine" else _MARGIN - (1 - similarity)
    return torch.where(is_same, 1 - similarity, apart.clamp(min=0)).mean()


def train_reducer(
    reducer: Reducer,
    vectors: Float[Tensor, "vector channel"],
    class_ids: Int64[Tensor, " vector"] | None = None,
    *,
    steps: int = 250,
    rate: float = 1e-3,
    separation: Separation = "none",
) -> ReducerTraining:
    """Trains in place with Adam on all vectors at once.

    Ends after `steps`, at the 31st change in a row below 1e-4, at a loss below 1e-4, or where the
    loss is not finite (then the last finite map is kept).

    Args:
        reducer: What is trained.
        vectors: Unit vectors, a vocabulary's prompts.
        class_ids: Class of each, for the separation.
        steps: At most.
        rate: Adam's.
        separation: Term added to the loss.
    """
    if separation != "none" and class_ids is None:
        raise ValueError(f"class_ids: expected ids for separation {separation!r}, found None")
    optimiser = torch.optim.Adam([reducer.U], lr=rate)
    losses: list[float] = []
    still = 0
    stopped = "steps"
    for _ in range(steps):
        loss = _LOSS_FACTOR * angle_loss(reducer, vectors)
        if separation != "none" and class_ids is not None:
            loss = loss + separation_loss(reducer.reduce(vectors), class_ids, separation)
        value = float(loss.detach())
        if not math.isfinite(value):
            stopped = "not finite"
            break
        still = still + 1 if losses and abs(losses[-1] - value) < 1e-4 else 0
        losses.append(value)
        if still > _PATIENCE or value < 1e-4:
            stopped = "no change" if still > _PATIENCE else "small loss"
            break
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    with torch.no_grad():
        angle = math.degrees(float(angle_loss(reducer, vectors)))
    return ReducerTraining(tuple(losses), angle, stopped)


def principal_reducer(vectors: Float[Tensor, "vector channel"], reduced: int = 128) -> Reducer:
    """A reducer of the directions in which vectors are largest (uncentred), all of unit length.

    The closed-form alternative to training. Of a vocabulary's prompts, it reconstructs them exactly
    with at least as many channels as prompts; of a sample of features, it keeps what images show,
    whatever the words.
    """
    data = vectors.double()
    _, axes = torch.linalg.eigh(data.T @ data)  # ascending
    result = Reducer(vectors.shape[1], reduced)
    with torch.no_grad():
        result.U.copy_(axes.flip(1)[:, :reduced])
    return result


def save_reducer(reducer: Reducer, path: Path, **facts: str) -> None:
    """Writes the map as safetensors with facts about it (teacher, vocabulary, ...)."""
    with replacing(path) as part:
        save_file({"U": reducer.U.detach().cpu().contiguous()}, part, metadata=facts)


def load_reducer(path: Path) -> tuple[Reducer, dict[str, str]]:
    """A saved reducer and the facts it was saved with.

    Raises:
        DataError: the file is missing, damaged or no reducer.
    """
    try:
        with safe_open(path, "pt") as file:
            names, facts = list(file.keys()), dict(file.metadata() or {})
            if names != ["U"]:
                raise DataError(f"{path}: expected one tensor 'U', found {json.dumps(names)}")
            values = file.get_tensor("U").float()
    except (OSError, SafetensorError) as error:
        raise DataError(f"{path}: not a readable reducer: {error}") from None
    if values.dim() != 2:
        raise DataError(f"{path}: expected a matrix, found shape {tuple(values.shape)}")
    reducer = Reducer(values.shape[0], values.shape[1])
    with torch.no_grad():
        reducer.U.copy_(values)
    return reducer, facts
