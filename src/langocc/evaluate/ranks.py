# SPDX-License-Identifier: Apache-2.0
"""Evaluation by several processes: each counts its part, all end with the whole.

Parts are contiguous and merged in order, so every list and sum is that of one process, to the bit.
"""

from collections.abc import Sequence
from functools import reduce
from typing import Any, TypeVar

from torch import distributed

from langocc.train.processes import Processes

ALONE = Processes()
"""One process."""

T = TypeVar("T")


def own_part(items: Sequence[T], processes: Processes) -> Sequence[T]:
    """The part of some items that this process counts; the parts in rank order are the items.

    Example:
        >>> [own_part("abcde", Processes(rank, 2)) for rank in range(2)]
        ['ab', 'cde']
    """
    count = len(items)
    first, last = (count * r // processes.count for r in (processes.rank, processes.rank + 1))
    return items[first:last]


def merged_over_ranks(part: T, processes: Processes) -> T:
    """The parts of all processes merged in rank order, the same on every process. A collective.

    Args:
        part: What this process counted of its `own_part`; anything with a method `merge`.
        processes: All of them; for one, this is the part itself.
    """
    if processes.count == 1:
        return part
    parts: list[Any] = [None] * processes.count
    distributed.all_gather_object(parts, part)
    return reduce(lambda merged, other: merged.merge(other), parts)
