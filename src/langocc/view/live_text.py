# SPDX-License-Identifier: Apache-2.0
"""What people type into the text box of the live page: queries between commas."""

import re
from dataclasses import dataclass

from langocc.queries import MOST_CHARACTERS

MOST_QUERIES = 6
"""Queries answered at a time: as many as have a colour of their own."""

EMPTY = "Type what to look for, such as “yellow crane”. Commas part several queries."


@dataclass(frozen=True)
class Queries:
    """Queries read off a text.

    Attributes:
        texts: Without doubles, in order.
        notes: What was left out, or a hint if nothing is left.
    """

    texts: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def read_queries(typed: str) -> Queries:
    """Queries of a text: commas, semicolons and line ends part them.

    Example:
        >>> read_queries(" red car,, tree ,red car").texts
        ('red car', 'tree')
    """
    parts = [" ".join(part.split()) for part in re.split(r"[,;\n]", typed)]
    texts, notes = list(dict.fromkeys(part for part in parts if part)), []
    if not texts:
        return Queries(notes=(EMPTY,))
    if len(texts) > MOST_QUERIES:
        notes.append(f"{len(texts)} queries: the first {MOST_QUERIES} are answered.")
        texts = texts[:MOST_QUERIES]
    longest = max(map(len, texts))
    if longest > MOST_CHARACTERS:
        notes.append(f"A query of {longest:,} characters was cut to {MOST_CHARACTERS}.")
    cut = tuple(dict.fromkeys(text[:MOST_CHARACTERS].rstrip() for text in texts))
    return Queries(cut, tuple(notes))
