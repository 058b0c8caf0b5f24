# SPDX-License-Identifier: Apache-2.0
"""What people type into the text box: queries between commas, and what to tell them about these."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from langocc.teachers.load import CITY_CLIP
from langocc.teachers.maskclip import MaskClip
from langocc.teachers.teacher import Teacher

MOST_QUERIES = 6
"""Queries answered at a time: as many as have a colour of their own."""

MOST_CHARACTERS = 200
"""Of one query; a CLIP reads a few dozen words at most."""

_LONGEST_WORD = 24
"""Characters of a word that are looked at and shown."""

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


def word_notes(teacher: Teacher, texts: Sequence[str]) -> tuple[str, ...]:
    """What to know about the words of queries; nothing if they are the teacher's own.

    The city's CLIP has one token for each word of its captions, so a word of several tokens is new
    to it. Other CLIPs know most English words; only other scripts are told.
    """
    words = [w[:_LONGEST_WORD] for text in texts for w in re.findall(r"[^\W\d_]+", text)]
    foreign = [w for w in words if not w.isascii()]
    if isinstance(teacher, MaskClip) and teacher.id.startswith(CITY_CLIP):
        tokenizer = teacher.texts.tokenizer
        unknown = [w for w in words if len(tokenizer.tokenize(w)) > 1]
        if not unknown:
            return ()
        said = "The city's CLIP knows English only, and of it the city's own words; new to it: "
        return (f"{said}{_listed(unknown)}. The answer is a guess.",)
    if foreign:
        return (f"This CLIP was taught in English; the answer to {_listed(foreign)} is a guess.",)
    return ()


def _listed(words: Sequence[str], most: int = 5) -> str:
    """Some words in quotes."""
    different = list(dict.fromkeys(words))
    more = ", …" if len(different) > most else ""
    return ", ".join(f"“{word}”" for word in different[:most]) + more
