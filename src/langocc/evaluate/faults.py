# SPDX-License-Identifier: Apache-2.0
"""What is wrong with single files of an evaluation: named and counted, never quietly skipped."""

from collections.abc import Sequence
from dataclasses import dataclass

from langocc.errors import DataError

SHOWN = 5
"""Faults an error message spells out; the rest is counted."""


@dataclass(frozen=True)
class Fault:
    """One file that could not be used.

    Attributes:
        token: Frame or query row it belongs to.
        problem: The file, what was expected and what was found.
    """

    token: str
    problem: str


def refuse(faults: Sequence[Fault], total: int, *, tolerated: bool) -> None:
    """Stops an evaluation with faulty files unless told that they are tolerated.

    Args:
        faults: What was found wrong.
        total: Frames or rows asked for, for the count in the message.
        tolerated: The caller wants numbers over the rest; the report still lists every fault.

    Raises:
        DataError: there are faults and they are not tolerated, nothing is left without them, or
            nothing was asked for.
    """
    if not total:
        raise DataError("nothing to evaluate: expected at least one frame or row, got none")
    if not faults or (tolerated and len(faults) < total):
        return
    lines = [f"  {fault.problem}" for fault in faults[:SHOWN]]
    if len(faults) > SHOWN:
        lines.append(f"  ... and {len(faults) - SHOWN} more")
    hint = "" if tolerated else "\nnumbers over the rest, with these listed: --tolerate-faults"
    raise DataError(f"{len(faults)} of {total} cannot be evaluated:\n" + "\n".join(lines) + hint)
