# SPDX-License-Identifier: Apache-2.0
"""Pieces of Markdown."""

import math
from collections.abc import Iterable, Sequence

from langocc.evaluate.bootstrap import Interval
from langocc.evaluate.faults import Fault


def joined(*parts: str) -> str:
    """Paragraphs; empty ones are left out."""
    return "\n\n".join(part for part in parts if part)


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table; numbers are formatted by the caller."""
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(map(str, row)) + " |" for row in rows]
    return "\n".join(lines)


def percent(value: float | None, digits: int = 2) -> str:
    """Two decimals; a dash for None and NaN."""
    return "–" if value is None or math.isnan(value) else f"{value:.{digits}f}"


def with_interval(value: float, interval: Interval | None, digits: int = 2) -> str:
    """A number with its interval: `10.71 [9.8, 11.5]`, which has a digit less."""
    if interval is None:
        return percent(value, digits)
    low, high = (f"{end:.{digits - 1}f}" for end in (interval.low, interval.high))
    return f"{percent(value, digits)} [{low}, {high}]"


def faults_text(faults: Sequence[Fault], unit: str) -> str:
    """What could not be evaluated, all of it; empty where nothing is."""
    if not faults:
        return ""
    title = f"**{len(faults)} {unit} could not be evaluated and are not in these numbers:**"
    return joined(title, "\n".join(f"- {fault.problem}" for fault in faults))
