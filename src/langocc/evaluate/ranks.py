# SPDX-License-Identifier: Apache-2.0
"""Evaluation by several processes: each counts its part, all end with the whole.

Counts are integers and rows are only collected, so the numbers are those of one process.
"""

from functools import reduce
from typing import Any, TypeVar

from torch import distributed

from langocc.evaluate.occ3d import OccupancyCounts
from langocc.evaluate.rayiou import RayTotals
from langocc.evaluate.render import RenderErrors
from langocc.evaluate.retrieval import RetrievalResult

Counts = TypeVar("Counts", OccupancyCounts, RayTotals, RetrievalResult, RenderErrors)


def merged_over_ranks(part: Counts) -> Counts:
    """The parts of all processes merged in rank order, the same on every process.

    Without an initialised process group this is the part itself.

    Args:
        part: What this process counted: `frames[rank::world_size]`, or any other division.
    """
    if not (distributed.is_available() and distributed.is_initialized()):
        return part
    parts: list[Any] = [None] * distributed.get_world_size()
    distributed.all_gather_object(parts, part)
    return reduce(lambda merged, other: merged.merge(other), parts)
